"""The canvas camera: orbit, fly, look through a photo, and short flights between them. No Qt, no GL."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.canvas.camera_sync import through_view
from app.canvas.home import FOV_Y, Orbit, direction
from app.canvas.visuals.grid import basis
from engine.api.camera import Camera, look_at

Float64 = NDArray[np.float64]
Mode = Literal["orbit", "fly"]
FLIGHT_S = 0.45
FRAME = 1.8  # times as far as a box just fills the picture
PITCH_LIMIT = np.deg2rad(89.9)


@dataclass(frozen=True)
class _Flight:
    start: Camera
    begun: float


class Navigator:
    """Holds where the eye is and turns drags, wheel and keys into camera poses.

    Sizes are logical pixels. Call ``camera(now)`` to get the view to draw, ``moving(now)`` for whether it is changing
    by itself.
    """

    def __init__(self) -> None:
        self.mode: Mode = "orbit"
        self.width, self.height = 640, 480
        self.orbit = Orbit((0.0, 0.0, 0.0), 0.8, 0.5, 3.0)
        self.extent = 1.0
        self._axes = basis(np.array([0.0, 0.0, 1.0]))
        self._through: Camera | None = None
        self._zoom = 1.0
        self._offset = np.zeros(2)
        self._flight: _Flight | None = None
        self._held: set[str] = set()
        self._last_tick: float | None = None

    def set_scene(self, up_w: Float64, extent: float) -> None:
        """World up and the size of the scene, which sets the speed of flight."""
        self._axes = basis(up_w)
        self.extent = max(extent, 1e-9)

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = max(1, width), max(1, height)

    @property
    def through(self) -> Camera | None:
        """The photo's camera that is being looked through."""
        return self._through

    def goto(self, orbit: Orbit, now: float, *, fly: bool = True) -> None:
        """Look from elsewhere, by a short flight or at once."""
        self._begin(now if fly else None)
        self._through = None
        self.orbit = orbit

    def look_through(self, view: Camera, now: float, *, fly: bool = True) -> None:
        """Take the pose and the lens of a photo."""
        self._begin(now if fly else None)
        self._through = view
        self._zoom, self._offset = 1.0, np.zeros(2)

    def leave_view(self, now: float) -> None:
        """Keep the place, but with the canvas's own lens and up."""
        if self._through is None:
            return
        self._begin(now)
        self._adopt(self._through)

    def stand_at(self, camera: Camera, now: float) -> None:
        """Take the place and direction of a camera."""
        self._begin(now)
        self._adopt(camera)

    def centre_on(self, pos_w: Float64, now: float) -> None:
        """Turn about another point, keeping direction, and come nearer when far away."""
        self._begin(now)
        if self._through is not None:
            self._adopt(self._through)
        o = self.orbit
        eye = np.array(o.target_w) + o.distance * direction(self._axes, o.yaw, o.pitch)
        distance = float(np.clip(np.linalg.norm(eye - pos_w) * 0.7, 0.02 * self.extent, o.distance))
        self.orbit = Orbit((float(pos_w[0]), float(pos_w[1]), float(pos_w[2])), o.yaw, o.pitch, distance)

    def see(self, target_w: Float64, eye_w: Float64, now: float) -> None:
        """Look at a point from another."""
        self._begin(now)
        self._through = None
        distance = max(float(np.linalg.norm(eye_w - target_w)), 1e-3 * self.extent)
        yaw, pitch = self._angles((eye_w - target_w) / distance)
        self.orbit = Orbit((float(target_w[0]), float(target_w[1]), float(target_w[2])), yaw, pitch, distance)

    def frame(self, lo_w: Float64, hi_w: Float64, now: float) -> None:
        """See a box whole, with room about it, keeping the direction."""
        self._begin(now)
        if self._through is not None:
            self._adopt(self._through)
        centre, radius = (lo_w + hi_w) / 2, float(np.linalg.norm(hi_w - lo_w)) / 2
        near = max(FRAME * radius / math.tan(math.radians(FOV_Y) / 2), 0.08 * self.extent)
        target = (float(centre[0]), float(centre[1]), float(centre[2]))
        self.orbit = Orbit(target, self.orbit.yaw, self.orbit.pitch, min(near, self.extent))

    def rotate(self, dx: float, dy: float, now: float) -> None:
        """Drag by (dx, dy) pixels: round the target, or in fly mode round the eye."""
        self._take_over(now)
        o = self.orbit
        if self.mode == "orbit":
            pitch = float(np.clip(o.pitch + 0.0065 * dy, -PITCH_LIMIT, PITCH_LIMIT))
            self.orbit = Orbit(o.target_w, o.yaw - 0.0065 * dx, pitch, o.distance)
            return
        eye = self._eye()
        pitch = float(np.clip(o.pitch - 0.004 * dy, -PITCH_LIMIT, PITCH_LIMIT))
        yaw = o.yaw + 0.004 * dx
        target = eye - o.distance * direction(self._axes, yaw, pitch)
        self.orbit = Orbit((float(target[0]), float(target[1]), float(target[2])), yaw, pitch, o.distance)

    def pan(self, dx: float, dy: float, now: float) -> None:
        """Move with the pointer by (dx, dy) pixels at the target's depth; a photo that is looked through slides."""
        if self._through is not None:
            self._offset = self._offset + np.array([dx, dy])
            return
        self._take_over(now)
        camera = self._free()
        scale = self.orbit.distance / camera.intrinsics[0, 0]
        self._shift(-camera.c2w[:3, 0] * dx * scale - camera.c2w[:3, 1] * dy * scale)

    def zoom(self, steps: float, pos_px: tuple[float, float], now: float) -> None:
        """Wheel: nearer for positive steps, keeping what is under the pointer there."""
        factor = 0.88**steps
        if self._through is not None:
            zoom = float(np.clip(self._zoom / factor, 0.25, 40))
            centre = np.array([self.width / 2, self.height / 2])
            at = np.array(pos_px)
            self._offset = at - centre - (at - centre - self._offset) * (zoom / self._zoom)
            self._zoom = zoom
            return
        self._take_over(now)
        camera = self._free()
        o = self.orbit
        ray = camera.ray_z(np.array([pos_px]))[0]
        if self.mode == "fly":
            self._shift(ray / np.linalg.norm(ray) * steps * 0.05 * self.extent)
            return
        distance = float(np.clip(o.distance * factor, 1e-3 * self.extent, 20 * self.extent))
        at_target = camera.centre_w + ray * o.distance
        self.orbit = Orbit(o.target_w, o.yaw, o.pitch, distance)
        self._shift((at_target - np.array(o.target_w)) * (1 - distance / o.distance))

    def hold(self, key: str, down: bool, now: float) -> None:
        """A flight key (w a s d q e) goes down or up."""
        if down:
            if not self._held:
                self._last_tick = now
            self._held.add(key)
        else:
            self._held.discard(key)

    def release_all(self) -> None:
        self._held.clear()

    def moving(self, now: float) -> bool:
        """Whether the camera changes by itself."""
        return bool(self._held) or (self._flight is not None and now - self._flight.begun < FLIGHT_S)

    def camera(self, now: float) -> Camera:
        """The view to draw at time ``now`` (seconds, monotonic)."""
        self._move_held(now)
        goal = self._goal()
        if self._flight is None:
            return goal
        s = (now - self._flight.begun) / FLIGHT_S
        if s >= 1:
            self._flight = None
            return goal
        return between(self._flight.start, goal, s * s * (3 - 2 * s))

    def _goal(self) -> Camera:
        if self._through is None:
            return self._free()
        base = through_view(self._through, self.width, self.height, margin=0.94)
        k = base.intrinsics.copy()
        centre = np.array([self.width / 2, self.height / 2])
        k[:2, 2] = centre + self._offset + (k[:2, 2] - centre) * self._zoom
        k[0, 0] *= self._zoom
        k[1, 1] *= self._zoom
        k[0, 1] *= self._zoom
        return Camera(k, base.c2w, self.width, self.height)

    def _free(self) -> Camera:
        return look_at(
            self._eye(), self.orbit.target_w, self._axes[2], fov_y=FOV_Y, width=self.width, height=self.height
        )

    def _eye(self) -> Float64:
        o = self.orbit
        return np.array(o.target_w) + o.distance * direction(self._axes, o.yaw, o.pitch)

    def _shift(self, by_w: Float64) -> None:
        o = self.orbit
        t = np.array(o.target_w) + by_w
        self.orbit = Orbit((float(t[0]), float(t[1]), float(t[2])), o.yaw, o.pitch, o.distance)

    def _begin(self, now: float | None) -> None:
        if now is None:
            self._flight = None
            return
        self._flight = _Flight(self.camera(now), now)

    def _take_over(self, now: float) -> None:
        """The user steers: end a flight where it is, or step out of a photo."""
        if self._through is not None:
            self._adopt(self._through)
            return
        self._flight = None

    def _adopt(self, view: Camera) -> None:
        """Make the orbit match a camera's place and direction."""
        self._through = None
        yaw, pitch = self._angles(-view.forward_w)
        distance = min(max(self.orbit.distance, 0.1 * self.extent), 0.5 * self.extent)
        target = view.centre_w - distance * direction(self._axes, yaw, pitch)
        self.orbit = Orbit((float(target[0]), float(target[1]), float(target[2])), yaw, pitch, distance)

    def _angles(self, back_w: Float64) -> tuple[float, float]:
        """Yaw and pitch of a unit vector from the target to the eye."""
        level = self._axes @ back_w
        pitch = float(np.clip(np.arcsin(np.clip(level[2], -1, 1)), -PITCH_LIMIT, PITCH_LIMIT))
        return float(np.arctan2(level[1], level[0])), pitch

    def _move_held(self, now: float) -> None:
        if not self._held or self._last_tick is None:
            return
        dt = min(now - self._last_tick, 0.1)
        self._last_tick = now
        camera = self._free()
        right, down, ahead = camera.c2w[:3, 0], camera.c2w[:3, 1], camera.forward_w
        push = {"w": ahead, "s": -ahead, "d": right, "a": -right, "e": -down, "q": down}
        total = np.sum([push[k] for k in self._held if k in push], axis=0)
        if np.any(total):
            self._take_over(now)
            self._shift(total * dt * 0.35 * self.extent)


def between(a: Camera, b: Camera, s: float) -> Camera:
    """A camera part of the way from ``a`` (s = 0) to ``b`` (s = 1): place and lens linearly, turn along the arc."""
    rotation = _slerp(a.c2w[:3, :3], b.c2w[:3, :3], s)
    c2w = np.eye(4)
    c2w[:3, :3] = rotation
    c2w[:3, 3] = (1 - s) * a.centre_w + s * b.centre_w
    scaled = a.scaled(b.width, b.height) if (a.width, a.height) != (b.width, b.height) else a
    return Camera((1 - s) * scaled.intrinsics + s * b.intrinsics, c2w, b.width, b.height)


def _slerp(a: Float64, b: Float64, s: float) -> Float64:
    """Rotation part of the way from a to b about their common axis (Rodrigues)."""
    r = a.T @ b
    angle = float(np.arccos(np.clip((np.trace(r) - 1) / 2, -1, 1)))
    if angle < 1e-6:
        return b
    if np.pi - angle < 1e-4:  # opposite: the axis is the eigenvector of r to the eigenvalue 1
        values, vectors = np.linalg.eig(r)
        axis = np.real(vectors[:, int(np.argmin(np.abs(values - 1)))])
    else:
        axis = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / (2 * np.sin(angle))
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    t = angle * s
    out: Float64 = a @ (np.eye(3) + np.sin(t) * k + (1 - np.cos(t)) * k @ k)
    return out
