"""Which way is up, from the poses; photos stored sideways, mixed with upright ones, included."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.captures.poses import Float64

CANDIDATES = 2000
MAX_CAMERAS = 48
ROLL_SIGMA = np.deg2rad(7)
OUTLIERS = 0.15
UPRIGHT, SIDEWAYS, OVERTURNED = 0.6, 0.15, 0.1
"""How often a photo is stored each way (sideways: either of two ways)."""
LOOKS_UP = 4.0
LEVEL = 0.3
"""Of a photo's plane, the least share of the upright for it to have an up."""


def estimate_up(cameras: Sequence[Camera], points_w: NDArray | None = None) -> Float64:
    """(3,) unit vector, our form: people hold cameras level or turned by a quarter, and rather look down than up.

    A direction u appears in camera i as the image vector q_i = (u·x_i, u·y_i), of length r_i and at the angle φ_i
    from an image axis. If u is up, φ_i is near 0 whatever the pitch; the steeper the camera looks, the less certain.
    Over directions spread evenly on the sphere we maximise

        Σ log(ε + (1 - ε) 4 P(quarter turn) exp(κ_i cos 4φ_i) / I₀(κ_i)) - λ Σ max(0, u·z_i)²,  κ_i = (r_i / 4σ)²

    (a von Mises likelihood of the roll, σ = 7°, ε = 0.15 outliers), and then refine: up is at right angles to every
    camera's level image axis, so it is the smallest singular vector of those axes.

    When nothing tells u from -u (photos all stored sideways, looking level), ``points_w`` ((N, 3) surface points, may
    be None) decide: a scene stands on something, so points spread wider across u at its lower end.
    """
    every = np.unique(np.linspace(0, len(cameras) - 1, MAX_CAMERAS).round().astype(int))
    x, y, z = (np.stack([cameras[i].c2w[:3, a] for i in every]) for a in (0, 1, 2))
    candidates = np.concatenate([_sphere(CANDIDATES), x, -x, -y])
    up = _refined(candidates[int(np.argmax(_score(candidates, x, y, z)))], x, y)
    # The finest start may have gained from chance alone: both signs are weighed again after refinement.
    plus, minus = _score(np.stack([up, -up]), x, y, z)
    decided = abs(plus - minus) > 1 + 0.1 * len(every)
    if not decided and points_w is not None and len(points_w) >= 100:
        return up * _standing_sign(np.asarray(points_w, np.float64), up)
    return up if plus >= minus else -up


def quarter_turns(camera: Camera, up_w: NDArray) -> int:
    """By how many quarter turns, anticlockwise (``np.rot90``), a photo stands upright: many lie on their side, and
    networks were taught upright ones. None where the camera looks along the upright (3,)."""
    right, down, _ = camera.c2w[:3, :3].T @ up_w
    return round(math.atan2(right, -down) / (math.pi / 2)) % 4 if math.hypot(right, down) > LEVEL else 0


def _sphere(n: int) -> Float64:
    """(n, 3) directions spread evenly (Fibonacci lattice)."""
    i = np.arange(n) + 0.5
    z = 1 - 2 * i / n
    r = np.sqrt(1 - z * z)
    a = np.pi * (1 + np.sqrt(5)) * i
    return np.stack([r * np.cos(a), r * np.sin(a), z], axis=1)


def _level(u: Float64, x: Float64, y: Float64) -> Float64:
    """(U, N) likelihood of each camera's roll if u (U, 3) is up, relative to a roll at random, quarter turns alike."""
    qx2, qy2 = (u @ x.T) ** 2, (u @ y.T) ** 2
    r2 = qx2 + qy2 + 1e-12
    cos_4phi = 1 - 8 * qx2 * qy2 / r2**2
    kappa = r2 / (4 * ROLL_SIGMA) ** 2
    return np.exp(kappa * cos_4phi) / np.i0(kappa)


def _score(u: Float64, x: Float64, y: Float64, z: Float64) -> Float64:
    """(U,) the objective of ``estimate_up`` at each u (U, 3), for camera axes x, y, z (N, 3)."""
    qx, qy = u @ x.T, u @ y.T
    quarter = np.where(np.abs(qx) > np.abs(qy), SIDEWAYS, np.where(qy < 0, UPRIGHT, OVERTURNED))
    roll = np.log(OUTLIERS + (1 - OUTLIERS) * 4 * quarter * _level(u, x, y)).sum(axis=1)
    return roll - LOOKS_UP * (np.maximum(0, u @ z.T) ** 2).sum(axis=1)


def _refined(up: Float64, x: Float64, y: Float64) -> Float64:
    for _ in range(5):
        upright = (np.abs(x @ up) < np.abs(y @ up))[:, None]
        weight = _level(up[None], x, y)[0]
        _, s, vt = np.linalg.svd(np.where(upright, x, y) * weight[:, None], full_matrices=True)
        if len(s) < 3 or s[1] < 0.2 * s[0]:
            # All cameras face one way and the pitch cannot be told: the mean of the image axes nearest to up.
            tall = np.where(upright, y, x)
            up = (tall * (np.sign(tall @ up) * weight)[:, None]).sum(axis=0)
            return up / np.linalg.norm(up)
        up = vt[2] * (1.0 if vt[2] @ up >= 0 else -1.0)
    return up


def _standing_sign(points_w: Float64, up: Float64) -> float:
    """+1 when the points spread wider across ``up`` at its lower end (ground, table, plinth), else -1."""
    height = points_w @ up
    across = points_w - height[:, None] * up
    low, high = np.percentile(height, [20, 80])
    spread = [np.median(np.abs(p - np.median(p, axis=0))) for p in (across[height <= low], across[height >= high])]
    return 1.0 if spread[0] >= spread[1] else -1.0
