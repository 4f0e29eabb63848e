"""The canvas without a window: the same renderer on an EGL context, to an array of pixels.

Use it in a process that opens no Qt window; it needs no X server.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.prompt_state import Prompt
from engine.api.camera import Camera
from engine.api.scene import SceneInfo, Volume

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
LAYERS = ("colour", "features", "spread", "heat", "points", "photo")


def render_snapshot(
    scene: SceneInfo,
    *,
    volume: Volume | None,
    voxel_rgb: UInt8 | None = None,
    voxel_heat: Float32 | None = None,
    prompts: Sequence[tuple[Prompt, UInt8]] | None = None,
    photos: Mapping[int, UInt8] | None = None,
    layer: str = "colour",
    view: int | str = "home",
    size: tuple[int, int] = (1280, 720),
    theme: str = "dark",
    source_pos_w: tuple[float, float, float] | None = None,
) -> UInt8:
    """Draw a scene as the window would show it.

    Args:
        scene: what is open.
        volume: its radiance volume, if any; without one the points are drawn.
        voxel_rgb: (V, 3) uint8 colours that replace the volume's own (layers ``features`` and ``spread``).
        voxel_heat: (V,) float32 cosines, drawn over the volume's own colours (layer ``heat``).
        prompts: what was asked, with its relevancies (V,) uint8, lit up over the volume.
        photos: thumbnails for the frusta by view index; with ``layer="photo"`` the one of ``view`` lies over the scene.
        layer: one of ``LAYERS``.
        view: ``home``, ``top``, ``front``, ``side``, or the index of a photo to look through.
        size: width and height, pixels.
        theme: ``dark`` or ``light``.
        source_pos_w: where to put the mark of the query that made the heat.

    Returns:
        (height, width, 4) uint8, opaque.

    Raises:
        ValueError: a layer, view or theme that does not exist, or arrays that do not fit the volume.
        RuntimeError: no EGL on this machine.
    """
    canvas = _canvas(size)
    try:
        # after the backend is chosen, for these import gloo
        from app.canvas.still import draw_scene

        return draw_scene(
            scene,
            volume=volume,
            voxel_rgb=voxel_rgb,
            voxel_heat=voxel_heat,
            prompts=prompts or (),
            photos=photos or {},
            layer=layer,
            view=view,
            size=size,
            theme=theme,
            source_pos_w=source_pos_w,
        )
    finally:
        canvas.close()


def camera_of(scene: SceneInfo, view: int | str, size: tuple[int, int]) -> Camera:
    """The camera that ``render_snapshot`` draws ``view`` with."""
    _use_egl()
    from app.canvas.still import camera_for

    return camera_for(scene, view, size)


def _use_egl() -> None:
    os.environ.setdefault("EGL_PLATFORM", "surfaceless")
    vispy: Any = importlib.import_module("vispy")
    try:
        vispy.use("egl", gl="gl2")
    except Exception as e:
        raise RuntimeError(f"no EGL to draw with on this machine: {e}") from e


def _canvas(size: tuple[int, int]) -> Any:
    _use_egl()
    canvas: Any = importlib.import_module("vispy.app").Canvas(size=size, show=False)
    canvas.set_current()
    return canvas
