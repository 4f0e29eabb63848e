"""The only place where the engine's camera (OpenCV axes, y down) meets GL's clip space (y up)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera

Float32 = NDArray[np.float32]


def clip_matrix(camera: Camera) -> Float32:
    """(4, 4) world point (x, y, z, 1) to (x_clip, y_clip, 0, z_c); z_clip is made linear in the shader.

    x_ndc = 2 u / width - 1 and y_ndc = 1 - 2 v / height, where (u, v) are pixels.
    """
    k, w, h = camera.intrinsics, camera.width, camera.height
    ndc_from_c = np.zeros((4, 4))
    ndc_from_c[0, :3] = 2 * k[0] / w - k[2]
    ndc_from_c[1, :3] = k[2] - 2 * k[1] / h
    ndc_from_c[3, 2] = 1
    c_from_w = np.eye(4)
    c_from_w[:3, :3] = camera.c2w[:3, :3].T
    c_from_w[:3, 3] = -camera.c2w[:3, :3].T @ camera.centre_w
    return (ndc_from_c @ c_from_w).astype(np.float32)


def ray_matrix(camera: Camera) -> NDArray[np.float64]:
    """(3, 3) that takes (u, v, 1), u and v in 0..1 from the top left, to a world direction of unit camera z."""
    scale = np.diag([camera.width, camera.height, 1.0])
    return camera.c2w[:3, :3] @ np.linalg.inv(camera.intrinsics) @ scale


@dataclass(frozen=True)
class Viewport:
    """Size of what is drawn: ``width`` and ``height`` in physical pixels, ``ratio`` physical per logical."""

    width: int
    height: int
    ratio: float = 1.0


def through_view(view: Camera, width: int, height: int, margin: float = 1.0) -> Camera:
    """The view's own camera in a viewport of ``width`` x ``height``: the photo whole and centred, more scene around.

    ``margin``: share of the viewport that the photo may fill.
    """
    s = margin * min(width / view.width, height / view.height)
    k = np.diag([s, s, 1.0]) @ view.intrinsics
    k[0, 2] += (width - s * view.width) / 2
    k[1, 2] += (height - s * view.height) / 2
    return Camera(k, view.c2w, width, height)


def photo_rect(view: Camera, shown: Camera) -> tuple[float, float, float, float]:
    """Where ``view``'s photo lies in ``shown`` when both look from the same pose: (left, top, right, bottom) px."""
    scale = shown.intrinsics[0, 0] / view.intrinsics[0, 0]
    left = shown.intrinsics[0, 2] - scale * view.intrinsics[0, 2]
    scale_y = shown.intrinsics[1, 1] / view.intrinsics[1, 1]
    top = shown.intrinsics[1, 2] - scale_y * view.intrinsics[1, 2]
    return (float(left), float(top), float(left + scale * view.width), float(top + scale_y * view.height))


def to_view_px(view: Camera, shown: Camera, x: float, y: float) -> tuple[float, float]:
    """A pixel of ``shown`` to ``view``'s full-size pixel, both looking from the same pose."""
    left, top, right, bottom = photo_rect(view, shown)
    return (x - left) / (right - left) * view.width, (y - top) / (bottom - top) * view.height
