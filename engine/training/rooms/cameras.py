"""Where the cameras stand: across the room, around a piece, along a walk; around a single object.

Neighbouring views turn little enough to share most of what they show, and the views of a capture together turn enough
to be worth comparing: many pairs lie between 5 and 60 degrees apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.api.camera import Camera, look_at
from engine.training.rooms.furnish import Float64, Plan

GAP = 0.18
"""Metres between a camera and anything."""

TRIES = 200
SHARES = (0.4, 0.75)
"""Below the first: across the room; below the second: around a piece; else a walk."""

Pose = tuple[Float64, Float64]
"""Eye and target, each (3,)."""


def room_cameras(plan: Plan, count: int, width: int, rng: np.random.Generator) -> list[Camera]:
    """``count`` views of a room, of ``width`` × three quarters of it pixels, all with the same lens."""
    kind = rng.random()
    fov = float(rng.uniform(46, 66))
    if kind < SHARES[0] or not plan.large:
        draw = _across(plan, rng)
    elif kind < SHARES[1]:
        draw = _around(plan, count, rng)
    else:
        draw = _walk(plan, count, rng)
    poses = [_clear_pose(plan, draw, i) for i in range(count)]
    return [_camera(eye, target, fov, width) for eye, target in poses]


def _clear_pose(plan: Plan, draw: Callable[[int, float], Pose], i: int) -> Pose:
    """The first pose drawn for view ``i`` that stands clear and has 0.7 m of air before it, ever more freely drawn."""
    target = np.zeros(3)
    for n in range(TRIES):
        eye, target = draw(i, n / TRIES)
        before = target - eye
        ahead = eye + before * min(1.0, 0.7 / max(float(np.linalg.norm(before)), 1e-6))
        if plan.clear(eye, GAP) and plan.clear(ahead, 0.0) and np.linalg.norm(before[:2]) > 0.3:
            return eye, target
    return np.array([0, 0, plan.height - 0.3]), target


def _across(plan: Plan, rng: np.random.Generator) -> Callable[[int, float], Pose]:
    """Anywhere in one half of the room, looking across it at about the same place."""
    angle = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(angle), np.sin(angle)])
    centre = -0.5 * side * plan.half

    def draw(i: int, loose: float) -> Pose:
        eye = rng.uniform(-plan.half + GAP, plan.half - GAP)
        while (eye / plan.half) @ side < 0.1 - loose:
            eye = rng.uniform(-plan.half + GAP, plan.half - GAP)
        target = [*(centre + rng.normal(0, 0.35, 2)), rng.uniform(0.4, 1.2)]
        return np.array([*eye, rng.uniform(1.0, 2.0)]), np.array(target)

    return draw


def _around(plan: Plan, count: int, rng: np.random.Generator) -> Callable[[int, float], Pose]:
    """On an arc around a large piece, looking at it; the arc is centred on the open side of the room."""
    lo, hi = plan.boxes[plan.large[rng.integers(len(plan.large))]]
    middle = (lo + hi) / 2
    reach = max(0.9, float(np.linalg.norm((hi - lo)[:2])) * 0.9) + rng.uniform(0.2, 1.0)
    open_side = np.arctan2(-middle[1], -middle[0])
    step = np.deg2rad(rng.uniform(6, 13))
    high = rng.uniform(1.0, 1.9)

    def draw(i: int, loose: float) -> Pose:
        a = open_side + (i - (count - 1) / 2) * step * (1 - 0.7 * loose) + rng.normal(0, 0.05 + 0.6 * loose)
        r = reach * rng.uniform(0.85 - 0.4 * loose, 1.15)
        eye = np.array([*(middle[:2] + r * np.array([np.cos(a), np.sin(a)])), high + rng.normal(0, 0.1)])
        eye[:2] = np.clip(eye[:2], -plan.half + GAP, plan.half - GAP)
        eye[2] = np.clip(eye[2], 0.6, plan.height - 0.3)
        return eye, middle + rng.normal(0, 0.12, 3)

    return draw


def _walk(plan: Plan, count: int, rng: np.random.Generator) -> Callable[[int, float], Pose]:
    """From one place to another while the gaze sweeps over part of the room."""
    ends = rng.uniform(-0.75, 0.75, (2, 2)) * plan.half
    gaze = rng.uniform(0, 2 * np.pi)
    sweep = np.deg2rad(rng.uniform(30, 110)) * (1 if rng.random() < 0.5 else -1)
    high, down = rng.uniform(1.2, 1.8), rng.uniform(0.15, 0.45)

    def draw(i: int, loose: float) -> Pose:
        s = i / max(1, count - 1)
        eye2 = ends[0] * (1 - s) + ends[1] * s + rng.normal(0, 0.06 + 0.8 * loose, 2)
        eye2 = np.clip(eye2, -plan.half + GAP, plan.half - GAP)
        a = gaze + sweep * (s - 0.5) + rng.normal(0, 0.04)
        eye = np.array([*eye2, np.clip(high + rng.normal(0, 0.08 + 0.4 * loose), 0.9, plan.height - 0.3)])
        # looking back over the middle when the walk has led to a wall
        to_middle = np.arctan2(-eye2[1], -eye2[0])
        near_wall = float(np.max(np.abs(eye2) / plan.half)) ** 4
        a += near_wall * np.arctan2(np.sin(to_middle - a), np.cos(to_middle - a)) * 0.8
        return eye, eye + 2 * np.array([np.cos(a), np.sin(a), -down])

    return draw


def object_cameras(middle: Float64, radius: float, count: int, width: int, rng: np.random.Generator) -> list[Camera]:
    """Views on an arc or a whole ring around an object of that radius, from 10 to 50 degrees above."""
    fov = float(rng.uniform(40, 56))
    step = np.deg2rad(rng.uniform(10, 360 / count))
    first, up = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(12, 45))
    distance = radius / np.sin(np.deg2rad(fov / 2)) * rng.uniform(0.95, 1.25)
    cameras = []
    for i in range(count):
        a, e = first + i * step + rng.normal(0, 0.04), np.clip(up + rng.normal(0, 0.1), 0.1, 1.2)
        towards = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        eye = middle + towards * distance * rng.uniform(0.92, 1.08)
        cameras.append(_camera(eye, middle + rng.normal(0, 0.06 * radius, 3), fov, width))
    return cameras


def _camera(eye: Float64, target: Float64, fov: float, width: int) -> Camera:
    return look_at(eye, target, [0, 0, 1], fov_y=fov, width=width, height=width * 3 // 4)
