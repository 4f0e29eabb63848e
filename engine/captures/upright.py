"""Which way is up, from the poses alone; photos stored sideways included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.captures.poses import Float64

CANDIDATES = 4000
ROLL_TOLERANCE = np.deg2rad(12)


def estimate_up(cameras: Sequence[Camera], points_w: NDArray | None = None) -> Float64:
    """(3,) unit vector, our form: people hold cameras upright or turn them by a quarter, whatever the pitch.

    A direction u appears in camera i as the image vector q_i = (u·x_i, u·y_i). If u is up, q_i lies along an image
    axis, whatever the pitch, so we maximise Σ |q_i| exp(-(φ_i / 12°)²), φ_i the angle of q_i to its nearest image
    axis, over directions spread evenly on the sphere and the cameras' own axes; then refine: up is at right angles to
    every camera's level image axis, so it is the smallest singular vector of those axes when they span a plane.

    Sign: photos that are upright vote for their own top; when nearly all lie sideways, which of the two quarter
    turns it was is read from ``points_w`` ((N, 3) surface points, may be None): a scene stands on something, so the
    end at which points spread wider across u is the lower one.
    """
    x, y = (np.stack([c.c2w[:3, a] for c in cameras]) for a in (0, 1))
    candidates = np.concatenate([_sphere(CANDIDATES), x, -y])
    # Upright is the likelier story where both fit (forward-facing captures, single photos).
    scores = [_fit(u, x, y, sideways_weight=0.8).sum() for u in candidates]
    up = _refined(candidates[int(np.argmax(scores))], x, y)
    votes = -(y @ up)
    upright = np.abs(votes) > np.abs(x @ up)
    decided = float(votes[upright].sum())
    if abs(decided) > 0.1 * len(cameras):
        return up if decided > 0 else -up
    if points_w is not None and len(points_w) >= 100:
        return up * _standing_sign(np.asarray(points_w, np.float64), up)
    return up if float((x @ up).sum()) > 0 else -up


def _sphere(n: int) -> Float64:
    """(n, 3) directions spread evenly (Fibonacci lattice)."""
    i = np.arange(n) + 0.5
    z = 1 - 2 * i / n
    r = np.sqrt(1 - z * z)
    a = np.pi * (1 + np.sqrt(5)) * i
    return np.stack([r * np.cos(a), r * np.sin(a), z], axis=1)


def _fit(u: Float64, x: Float64, y: Float64, sideways_weight: float = 1.0) -> Float64:
    """(N,) how well direction u runs along an image axis of each camera."""
    qx, qy = np.abs(x @ u), np.abs(y @ u)
    phi = np.arctan2(np.minimum(qx, qy), np.maximum(qx, qy))
    return np.hypot(qx, qy) * np.exp(-((phi / ROLL_TOLERANCE) ** 2)) * np.where(qx > qy, sideways_weight, 1.0)


def _refined(up: Float64, x: Float64, y: Float64) -> Float64:
    for _ in range(5):
        level = np.where((np.abs(x @ up) < np.abs(y @ up))[:, None], x, y)
        weight = _fit(up, x, y)
        _, s, vt = np.linalg.svd(level * np.sqrt(weight)[:, None], full_matrices=True)
        if len(s) < 3 or s[1] < 0.2 * s[0]:
            # All cameras face one way: pitch cannot be told; take the mean of their tops.
            tall = np.where((np.abs(x @ up) < np.abs(y @ up))[:, None], y, x)
            up = (tall * np.sign(tall @ up)[:, None] * weight[:, None]).sum(axis=0)
            return up / np.linalg.norm(up)
        up = vt[2] * np.sign(vt[2] @ up or 1.0)
    return up


def _standing_sign(points_w: Float64, up: Float64) -> float:
    """+1 when the points spread wider across ``up`` at its lower end (ground, table, plinth), else -1."""
    height = points_w @ up
    across = points_w - height[:, None] * up
    low, high = np.percentile(height, [20, 80])
    spread = [np.median(np.abs(p - np.median(p, axis=0))) for p in (across[height < low], across[height > high])]
    return 1.0 if spread[0] >= spread[1] else -1.0
