"""Camera frusta with the photos on their image planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from app.canvas.camera_sync import Viewport, clip_matrix
from app.canvas.visuals.segments import SegmentsVisual
from engine.api.camera import Camera
from shaders import loader

Float64 = NDArray[np.float64]
Rgba = tuple[float, float, float, float]
TILE_H, TILE_W = 96, 128
COLUMNS = 16
_TRIANGLES = np.array([0, 1, 2, 0, 2, 3], np.uint32)


def image_plane_w(camera: Camera, depth: float) -> Float64:
    """(4, 3) world corners of the image plane at camera z = ``depth``, clockwise from the top left."""
    w, h = camera.width, camera.height
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)
    return camera.unproject(corners, np.full(4, depth))


def frustum_depth(cameras: Sequence[Camera], extent: float) -> float:
    """How deep to draw frusta so that neighbours do not crowd: from the typical distance between cameras."""
    if len(cameras) < 2:
        return 0.08 * extent
    eyes = np.array([c.centre_w for c in cameras])
    gap = np.linalg.norm(eyes[:, None] - eyes[None], axis=2)
    np.fill_diagonal(gap, np.inf)
    return float(np.clip(0.6 * np.median(gap.min(axis=1)), 0.02 * extent, 0.06 * extent))


class FrustaVisual:
    """All frusta of a scene: outlines in one draw call, thumbnails from one atlas in another."""

    def __init__(self) -> None:
        self._program: Any = gl.gloo.Program(*loader.program("quads"))
        self._lines = SegmentsVisual()
        self._cameras: tuple[Camera, ...] = ()
        self._atlas: Any = None
        self._index: Any = None
        self._loaded = np.zeros(0, np.float32)
        self.quads_w: Float64 = np.zeros((0, 4, 3))
        self._eyes_w: Float64 = np.zeros((0, 3))
        self.depth = 0.1

    def set_cameras(self, cameras: Sequence[Camera], depth: float) -> None:
        """Show other cameras, image planes at ``depth`` world units; thumbnails start empty."""
        self._cameras = tuple(cameras)
        self.depth = depth
        n = len(self._cameras)
        self._loaded = np.zeros(n, np.float32)
        self.quads_w = np.array([image_plane_w(c, depth) for c in self._cameras]).reshape(-1, 4, 3)
        self._eyes_w = np.array([c.centre_w for c in self._cameras]).reshape(-1, 3)
        if n == 0:
            self._index = None
            self._lines.set_data([], [], (0, 0, 0, 0))
            return
        rows = -(-n // COLUMNS)
        columns = min(n, COLUMNS)
        self._atlas = gl.texture_2d((rows * TILE_H, columns * TILE_W, 3))
        cell = np.stack(np.divmod(np.arange(n), COLUMNS), axis=1).astype(np.float32)  # row, column
        corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
        inset = np.array([0.5 / TILE_W, 0.5 / TILE_H], np.float32)
        uv = cell[:, None, ::-1] + inset + corner * (1 - 2 * inset)
        uv = uv / np.array([columns, rows], np.float32)
        p = self._program
        p["a_pos_w"] = gl.gloo.VertexBuffer(self.quads_w.reshape(-1, 3).astype(np.float32))
        p["a_uv"] = gl.gloo.VertexBuffer(uv.reshape(-1, 2).astype(np.float32))
        p["u_atlas"] = self._atlas
        self._set_loaded()
        self._index = gl.gloo.IndexBuffer(np.zeros(n * len(_TRIANGLES), np.uint32))

    def set_photos(self, photos: Mapping[int, NDArray[np.uint8]]) -> None:
        """Put (h, w, 3) uint8 photos into the atlas, by position in the list of cameras."""
        for i, rgb in photos.items():
            if i >= len(self._cameras) or self._atlas is None:
                continue
            row, column = divmod(i, COLUMNS)
            self._atlas.set_data(shrink(rgb, TILE_H, TILE_W), offset=(row * TILE_H, column * TILE_W))
            self._loaded[i] = 1
        if photos:
            self._set_loaded()

    def set_style(self, rgba: Rgba, others: Mapping[int, Rgba], wide: frozenset[int] = frozenset()) -> None:
        """Outline colour, that of views which differ, and which views are drawn with a wider line."""
        n = len(self._cameras)
        if n == 0:
            return
        colour = np.array([others.get(i, rgba) for i in range(n)], np.float32)
        width = np.array([1.7 if i in wide else 1.0 for i in range(n)], np.float32)
        q = self.quads_w
        eyes = np.repeat(self._eyes_w[:, None], 4, axis=1)
        start, end = np.concatenate([eyes, q], axis=1), np.concatenate([q, np.roll(q, -1, axis=1)], axis=1)
        self._lines.set_data(start, end, np.repeat(colour, 8, axis=0), np.repeat(width, 8))

    def draw(self, camera: Camera, viewport: Viewport, far: float, opacity: float, focus: float) -> None:
        """``focus``: camera z of what is looked at; photos well in front of it are drawn faintly."""
        if self._index is None:
            return
        p = self._program
        p["u_focus"] = focus
        p["u_clip"] = clip_matrix(camera).T
        p["u_far"] = far
        p["u_opacity"] = opacity
        gl.gloo.set_state(
            blend=True, blend_func=("src_alpha", "one_minus_src_alpha"), depth_test=True, cull_face=False,
            depth_mask=False,
        )  # fmt: skip
        # back to front, for faint photos let others shine through
        order = np.argsort(-(self._eyes_w @ camera.forward_w)).astype(np.uint32)
        self._index.set_data((order[:, None] * 4 + _TRIANGLES).ravel())
        p.draw("triangles", self._index)
        gl.gloo.set_depth_mask(True)
        self._lines.draw(camera, viewport, far, opacity, focus=focus)

    def _set_loaded(self) -> None:
        self._program["a_loaded"] = gl.gloo.VertexBuffer(np.repeat(self._loaded, 4))


def shrink(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(h, w, 3) to (height, width, 3), each pixel the mean of four: enough for a thumbnail, and quick."""
    h, w = rgb.shape[:2]
    total = np.zeros((height, width, 3), np.uint16)
    for dy, dx in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        y = ((np.arange(height) + dy) * h / height).astype(np.intp)
        x = ((np.arange(width) + dx) * w / width).astype(np.intp)
        total += rgb[y][:, x]
    return (total >> 2).astype(np.uint8)
