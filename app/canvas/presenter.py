"""Brings a renderer from one canvas view state to the next, touching only what differs. No Qt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app import colormaps
from app.canvas.labels import present_labels
from app.canvas.look import LOOKS, rgb
from app.canvas.renderer import Renderer
from app.canvas.scene_setup import show_points, show_scene
from app.canvas.visuals.markers import Mark
from app.canvas.visuals.prompts import IN_GROUP
from app.glyphs import glyphs, shown
from app.state import Answer
from app.view_state import CanvasView, MatchesView, PromptsOver, VolumeView
from engine.api.camera import Camera

UInt8 = NDArray[np.uint8]
MARK_SOURCE, MARK_MATCH = 14.0, 10.0
PULL_VOXELS = 3.0
"""Keypoints are drawn nearer by so much: they lie within the surface they are on."""


class Presenter:
    """Owns what is shown on a renderer; ``present`` takes the next view state."""

    def __init__(self, renderer: Renderer) -> None:
        self._r = renderer
        self._shown: CanvasView | None = None
        self._cameras: dict[int, Camera] = {}
        self._position: dict[int, int] = {}  # view index to place in the scene's list
        self._photos_done: dict[int, object] = {}
        self._points_due = False  # made only once they are to be seen
        renderer.heat.set_map(colormaps.heat_table())

    def present(self, new: CanvasView) -> None:
        old, r = self._shown, self._r
        self._shown = new
        themed = old is None or old.theme != new.theme
        if themed:
            r.set_look(LOOKS[new.theme])
        rescened = old is None or old.scene is not new.scene
        if rescened or (themed and new.scene is not None):
            self._scene(new)
        if old is None or rescened or old.volume.volume is not new.volume.volume:
            self._volume(new)
            self._points_due = True
        elif (old.volume.colouring, old.volume.features) != (new.volume.colouring, new.volume.features):
            r.volume.set_colours(_colours(new.volume))
        if rescened or themed or old is None or old.volume.clip != new.volume.clip:
            self._clip(new)
        if self._points_due and new.points.visible and new.scene is not None:
            show_points(r, new.scene, new.volume.volume, new.volume.clip)
            self._points_due = False
        self._heat(old, new)
        if old is None or old.prompts != new.prompts or old.volume.layer != new.volume.layer:
            self._prompts(None if old is None else old.prompts, new)
        if old is None or themed or old.labels != new.labels or old.volume.layer != new.volume.layer:
            present_labels(r, None if old is None or themed else old.labels, new)
        self._layers(old, new)
        if rescened or themed or old is None or old.frusta != new.frusta:
            self._frusta(new)
        if old is None or rescened or themed or old.thumbnails is not new.thumbnails:
            self._thumbnails(new)
        if old is None or old.photo != new.photo:
            self._photo(new)
        if old is None or rescened or old.keypoints != new.keypoints or old.volume.clip != new.volume.clip:
            self._keypoints(new)
        if old is None or rescened or themed or old.ruler != new.ruler:
            self._ruler(new)
        if old is None or themed or old.matches != new.matches:
            self._matches(new.matches)

    def _scene(self, new: CanvasView) -> None:
        self._photos_done.clear()
        self._cameras = {} if new.scene is None else {v.index: v.camera for v in new.scene.views}
        self._position = {} if new.scene is None else {v.index: i for i, v in enumerate(new.scene.views)}
        if new.scene is not None:
            show_scene(self._r, new.scene)

    def _volume(self, new: CanvasView) -> None:
        self._r.volume.set_volume(new.volume.volume, list(self._cameras.values()), _colours(new.volume))
        if new.volume.volume is None:
            self._r.touch()

    def _clip(self, new: CanvasView) -> None:
        r, clip = self._r, new.volume.clip
        r.volume.clip = clip
        r.touch()
        self._points_due = True
        if clip is None or new.scene is None:
            r.box.set_data([], [], (0, 0, 0, 0))
        else:
            r.box.set_data(*clip.edges_w(new.scene.bounds_w), (*r.look.accent, 0.7), 1.2)

    def _heat(self, old: CanvasView | None, new: CanvasView) -> None:
        r, was = self._r, None if old is None else old.heat
        if new.heat.answer is not (None if was is None else was.answer):
            if new.heat.answer is None:
                r.heat.clear()
            else:
                self._load_heat(new.heat.answer)
        shown = new.heat.layer.opacity if new.heat.layer.visible else 0.0
        r.heat.set_style(
            opacity=shown * new.volume.layer.opacity, dim=min(1.0, shown * 1.2), threshold=new.heat.threshold
        )

    def _load_heat(self, answer: Answer) -> None:
        if answer.volume is not None and answer.reply.voxel_heat is not None:
            self._r.heat.set(answer.volume, colormaps.to_heat(answer.reply.voxel_heat, answer.bounds))

    def _prompts(self, was: PromptsOver | None, new: CanvasView) -> None:
        over = new.prompts
        few, many = self._r.prompts
        use, rest = (few, many) if len(over.shown) <= IN_GROUP else (many, few)
        asked = tuple(p.text for p in over.shown)
        if over.answer is None:
            few.clear()
            many.clear()
        elif was is None or was.answer is not over.answer or asked != tuple(p.text for p in was.shown):
            rest.clear()
            use.set(over.answer.volume, [over.answer.by_text[text].relevancy for text in asked])
        table = [rgb(colour) for colour in colormaps.prompt_colours()]
        shown = over.layer.opacity
        use.set_style(
            [table[p.colour] for p in over.shown], [(p.threshold, p.softness) for p in over.shown],
            opacity=0.9 * shown * new.volume.layer.opacity, dim=min(1.0, shown * 1.2),
        )  # fmt: skip

    def _layers(self, old: CanvasView | None, new: CanvasView) -> None:
        r, v = self._r, new.volume
        shown = {
            "volume": v.layer.opacity if v.layer.visible else 0.0,
            "points": new.points.opacity if new.points.visible else 0.0,
            "frusta": new.frusta.layer.opacity if _frusta_show(new) else 0.0,
            "grid": (new.grid.opacity if new.grid.visible and new.through is None else 0.0) if new.scene else 0.0,
            "axes": 1.0 if new.scene is not None else 0.0,
        }
        if shown["volume"] != r.opacity["volume"] or old is None or old.volume.cutaway != v.cutaway:
            r.volume.set_uniforms(opacity=shown["volume"], cutaway=float(v.cutaway))
            r.touch()
        r.opacity.update(shown)

    def _frusta(self, new: CanvasView) -> None:
        scene, look, f = new.scene, self._r.look, new.frusta
        if scene is None:
            return
        accents = {self._position[i]: (*look.accent, 0.95) for i in f.mutual if i in self._position}
        held = {i: look.held_out for i, v in enumerate(scene.views) if v.held_out}
        if f.selected in self._position:
            accents[self._position[f.selected]] = (*look.accent, 1.0)
        self._r.frusta.set_style(look.frustum, {**held, **accents}, wide=frozenset(accents))

    def _thumbnails(self, new: CanvasView) -> None:
        fresh = {
            self._position[i]: photo.rgb
            for i, photo in new.thumbnails.items()
            if i in self._position and self._photos_done.get(i) is not photo
        }
        self._photos_done.update(new.thumbnails)
        self._r.frusta.set_photos(fresh)

    def _photo(self, new: CanvasView) -> None:
        r, p = self._r, new.photo
        if p.placed is not None:
            r.photo.set_photo(p.placed.photo)
            r.photo_view = p.placed.camera
        else:
            r.photo.set_photo(None if p.photo is None else p.photo.rgb)
            r.photo_view = self._cameras.get(p.view) if p.view is not None else None
        r.photo_opacity = p.layer.opacity if p.layer.visible else 0.0

    def _keypoints(self, new: CanvasView) -> None:
        r = self._r
        r.opacity["keypoints"] = float(shown(new.keypoints) > 0)
        arrays = glyphs(new.keypoints)
        if new.volume.clip is not None:
            within = new.volume.clip.holds(arrays[0])
            arrays = (arrays[0][within], arrays[1][within], arrays[2][within])
        r.keypoints.set_arrays(*arrays)
        r.keypoints_pull = 0.0 if new.volume.volume is None else PULL_VOXELS * new.volume.volume.voxel

    def _ruler(self, new: CanvasView) -> None:
        r, points = self._r, new.ruler.points_w if new.ruler.on else ()
        accent = (*r.look.accent, 1.0)
        r.ruler.set_data(points[:-1], points[1:], accent, 2.0)
        r.ruler_ends.set_data([Mark(p, accent, MARK_MATCH * 0.8, True) for p in points])

    def _matches(self, m: MatchesView) -> None:
        r, accent = self._r, self._r.look.accent
        marks: list[Mark] = []
        start: list[tuple[float, float, float]] = []
        end: list[tuple[float, float, float]] = []
        alpha: list[float] = []
        if m.visible and m.source_w is not None:
            for mark in m.marks:
                camera = self._cameras.get(mark.view)
                if camera is None:
                    continue
                at = self._on_image_plane(camera, mark.x, mark.y)
                start.append(m.source_w)
                end.append(at)
                alpha.append(0.85 if mark.mutual else 0.16)
                if mark.mutual:
                    marks.append(Mark(at, (*accent, 1.0), MARK_MATCH * 0.7, True))
                if mark.pos_w is not None:
                    marks.append(Mark(mark.pos_w, (*accent, 0.95), MARK_MATCH, mark.mutual))
        if m.source_w is not None:
            marks.append(Mark(m.source_w, (*accent, 1.0), MARK_SOURCE, filled=not m.pending))
        rgba = [(*accent, a) for a in alpha]
        r.lines.set_data(start, end, rgba if rgba else (0, 0, 0, 0), 1.4)
        r.markers.set_data(marks)

    def _on_image_plane(self, camera: Camera, x: float, y: float) -> tuple[float, float, float]:
        p = camera.unproject(np.array([[x, y]]), np.array([self._r.frusta.depth]))[0]
        return (float(p[0]), float(p[1]), float(p[2]))


def _frusta_show(view: CanvasView) -> bool:
    """Not before the eye that looks through one of them, nor where something is to be annotated."""
    return view.frusta.layer.visible and view.through is None and view.tool is None


def _colours(v: VolumeView) -> UInt8 | None:
    if v.colouring == "colour" or v.features is None:
        return None
    if v.colouring == "features":
        return v.features.rgb
    return spread_colours(v.features.spread)


def spread_colours(spread: NDArray[np.float32]) -> UInt8:
    """(V,) spread to (V, 3) in a perceptual map, stretched over what occurs."""
    finite = np.nan_to_num(spread, nan=0.0)
    low, high = (float(q) for q in np.quantile(finite, [0.02, 0.98])) if len(finite) else (0.0, 1.0)
    level = np.clip((finite - low) / max(high - low, 1e-6), 0, 1) * 255
    return colormaps.table(colormaps.SPREAD)[level.astype(np.uint8)]
