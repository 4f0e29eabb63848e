"""One picture of a scene into a framebuffer of its own, with whatever GL context is current."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from app import colormaps
from app.canvas import gl
from app.canvas.camera_sync import Viewport, through_view
from app.canvas.home import NamedView, named_view
from app.canvas.look import LOOKS, rgb
from app.canvas.navigator import Navigator
from app.canvas.renderer import Renderer
from app.canvas.scene_setup import show_points, show_scene
from app.canvas.visuals.markers import Mark
from app.canvas.visuals.prompts import IN_GROUP
from app.prompt_state import Prompt
from engine.api.camera import Camera
from engine.api.scene import SceneInfo, Volume

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]


def camera_for(scene: SceneInfo, view: int | str, size: tuple[int, int]) -> Camera:
    """The camera of a named view or of a photo.

    Raises:
        ValueError: no such view.
    """
    width, height = size
    if isinstance(view, str) and not view.lstrip("-").isdigit():
        if view not in get_args(NamedView):
            raise ValueError(f"view '{view}': expected {', '.join(get_args(NamedView))} or the number of a photo")
        navigator = Navigator()
        lo, hi = scene.bounds_w
        navigator.set_scene(scene.up_w, float(np.linalg.norm(hi - lo)))
        navigator.resize(width, height)
        navigator.goto(named_view(scene, cast(NamedView, view), width / height), 0.0, fly=False)
        return navigator.camera(0.0)
    index = int(view)
    found = next((v for v in scene.views if v.index == index), None)
    if found is None:
        raise ValueError(f"view {index}: this capture has photos 0 to {len(scene.views) - 1}")
    return through_view(found.camera, width, height)


def draw_scene(
    scene: SceneInfo,
    *,
    volume: Volume | None,
    voxel_rgb: UInt8 | None,
    voxel_heat: Float32 | None,
    prompts: Sequence[tuple[Prompt, UInt8]],
    photos: Mapping[int, UInt8],
    layer: str,
    view: int | str,
    size: tuple[int, int],
    theme: str,
    source_pos_w: tuple[float, float, float] | None,
) -> UInt8:
    """See ``app.snapshot.render_snapshot``."""
    if layer not in ("colour", "features", "spread", "heat", "points", "photo"):
        raise ValueError(f"layer '{layer}': expected colour, features, spread, heat, points or photo")
    if theme not in LOOKS:
        raise ValueError(f"theme '{theme}': expected dark or light")
    for name, array in (("voxel_rgb", voxel_rgb), ("voxel_heat", voxel_heat)):
        if array is not None and (volume is None or len(array) != len(volume.index)):
            raise ValueError(f"{name} has {len(array)} rows for {0 if volume is None else len(volume.index)} voxels")
    width, height = size
    camera = camera_for(scene, view, size)
    looking_through = not (isinstance(view, str) and view in get_args(NamedView))
    renderer = Renderer(LOOKS[theme])
    show_scene(renderer, scene)
    if not looking_through:
        renderer.focus = named_view(scene, cast(NamedView, view), width / height).distance
    as_points = layer == "points" or volume is None
    show_points(renderer, scene, volume)
    renderer.opacity.update(volume=0.0 if as_points else 1.0, points=1.0 if as_points else 0.0, axes=0.0)
    renderer.opacity["frusta"] = 1.0 if photos and not looking_through else 0.0
    order = {v.index: i for i, v in enumerate(scene.views)}
    renderer.frusta.set_photos({order[i]: rgb for i, rgb in photos.items() if i in order})
    if volume is not None and not as_points:
        recolour = voxel_rgb if layer in ("features", "spread") else None
        renderer.volume.set_volume(volume, [v.camera for v in scene.views], recolour)
        while renderer.volume.advance(wait=True):
            pass
        renderer.heat.set_map(colormaps.heat_table())
        if layer == "heat" and voxel_heat is not None:
            low, high = float(np.median(voxel_heat)), float(voxel_heat.max())
            renderer.heat.set(volume, colormaps.to_heat(voxel_heat, (low, max(high, low + 1e-3))))
        if prompts:
            few, many = renderer.prompts
            over = few if len(prompts) <= IN_GROUP else many
            over.set(volume, [relevancy for _, relevancy in prompts])
            table = [rgb(colour) for colour in colormaps.prompt_colours()]
            ramps = [(p.threshold, p.softness) for p, _ in prompts]
            over.set_style([table[p.colour] for p, _ in prompts], ramps, opacity=0.9, dim=1.0)
    if source_pos_w is not None:
        renderer.markers.set_data([Mark(source_pos_w, (*renderer.look.accent, 1.0), 13, True)])
    if layer == "photo" and looking_through and int(view) in photos:
        renderer.photo_view = scene.views[order[int(view)]].camera
        renderer.photo_opacity = 1.0
        renderer.photo.set_photo(photos[int(view)])
    return render_to_array(renderer, camera, Viewport(width, height))


def render_to_array(renderer: Renderer, camera: Camera, viewport: Viewport) -> UInt8:
    """(height, width, 4) uint8, opaque, drawn at full size off screen."""
    colour = gl.texture_2d((viewport.height, viewport.width, 4))
    depth = gl.gloo.RenderBuffer((viewport.height, viewport.width), gl.DEPTH24)
    buffer = gl.gloo.FrameBuffer(colour, depth)
    with buffer:
        renderer.draw_best(camera, viewport)
        out: UInt8 = np.array(gl.gloo.read_pixels((0, 0, viewport.width, viewport.height), alpha=True))
    out[..., 3] = 255
    return out
