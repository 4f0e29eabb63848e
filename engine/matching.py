"""The answer to a click: heat over voxels and photos, the best match per view, and the geometric truth beside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import QueryError
from engine.api.replies import MatchReply, ViewMatch
from engine.api.requests import HoverQuery, MatchQuery, PixelSource, PointSource
from engine.api.scene import Float32
from engine.march import surface_along, surface_points, unblocked, visible
from engine.queries.bank import Best
from engine.queries.quantise import cosines

if TYPE_CHECKING:
    from engine.features import ViewFeatureSet
    from engine.scene_state import SceneState

MUTUAL_EXTENT = 0.05
"""For a clicked 3D point: a match is mutual when its own best voxel lies within this share of the scene's extent."""

Triple = tuple[float, float, float]


def answer(scene: SceneState, features: ViewFeatureSet, request: MatchQuery) -> MatchReply:
    """Answer a click or hover; the source's own view must be encoded.

    Raises:
        QueryError: there are no features to compare, or the point has none.
    """
    start = time.perf_counter()
    source = request.source
    if isinstance(source, PixelSource):
        query, rel, pos_w = _from_pixel(scene, features, source)
    else:
        rel, pos_w = None, source.pos_w
        query = _from_point(scene, features, source)
    heat = features.bank.heat(query)
    best = [b for b in features.bank.best(heat) if not (isinstance(source, PixelSource) and b.view == source.view)]
    voxel_heat = _voxel_heat(scene, query)
    if isinstance(source, PixelSource):
        assert rel is not None
        mutual = features.bank.mutual(best, source.view, rel)
    else:
        mutual = _mutual_in_scene(scene, features, best, source.pos_w)
    return MatchReply(
        id=request.id,
        source=source,
        source_pos_w=pos_w,
        source_px=(source.x, source.y) if isinstance(source, PixelSource) else None,
        version=None if voxel_heat is None else scene.version,
        voxel_heat=voxel_heat,
        view_heat=heat,
        matches=_matches(scene, best, mutual, pos_w),
        milliseconds=(time.perf_counter() - start) * 1e3,
        hover=isinstance(request, HoverQuery),
    )


def _from_pixel(
    scene: SceneState, features: ViewFeatureSet, source: PixelSource
) -> tuple[Float32, tuple[float, float], Triple | None]:
    camera = scene.capture.views[scene.check_view(source.view)].camera
    if not bool(camera.contains([[source.x, source.y]])[0]):
        raise QueryError(
            "the pixel lies outside the photo",
            found=f"{source.x:g} {source.y:g}",
            expected=f"0 0 to {camera.width} {camera.height}",
        )
    if source.view not in features.bank:
        raise QueryError("the photo could not be encoded", found=features.skipped.get(source.view))
    rel = (source.x / camera.width, source.y / camera.height)
    return features.bank.feature(source.view, rel), rel, _surface(scene, source.view, source.x, source.y)


def _from_point(scene: SceneState, features: ViewFeatureSet, source: PointSource) -> Float32:
    """The lifted feature at the point, or, before there is one, that of the views that see it, averaged."""
    pos_w = np.array([source.pos_w], dtype=np.float64)
    if not np.isfinite(pos_w).all():
        raise QueryError("the point is not finite", found=str(source.pos_w))
    if scene.lifted is not None:
        lifted = scene.lifted
        if len(lifted.known):
            # A window of voxels around the point, then the nearest of all.
            away = lifted.known_w - pos_w.astype(np.float32)
            square = np.einsum("ij,ij->i", away, away)
            near = lifted.known[square <= max(float(square.min()) * 1.02, (1.5 * lifted.grid.spec.voxel) ** 2)]
            return _unit(lifted.features(near).sum(axis=0))
    total = np.zeros(features.dim, np.float32)
    for view in features.views():
        camera = scene.capture.views[view].camera
        px, _ = camera.project(pos_w)
        if camera.contains(px)[0] and (scene.grid is None or visible(scene.grid, camera, pos_w)[0]):
            total += features.bank.feature(view, (px[0, 0] / camera.width, px[0, 1] / camera.height))
    if not total.any():
        raise QueryError("no encoded photo sees this point", mend="click where a photo looks, or wait for the encoding")
    return _unit(total)


def _unit(f: Float32) -> Float32:
    return (f / max(float(np.linalg.norm(f)), 1e-12)).astype(np.float32)


def _voxel_heat(scene: SceneState, query: Float32) -> Float32 | None:
    if scene.lifted is None or scene.grid is None:
        return None
    return scene.lifted.carry(scene.grid, cosines(scene.lifted.codes, scene.lifted.scale, query)[scene.lifted.shown])


def _mutual_in_scene(scene: SceneState, features: ViewFeatureSet, best: list[Best], pos_w: Triple) -> list[bool]:
    if scene.lifted is None or not best:
        return [False] * len(best)
    import torch

    lifted = scene.lifted
    queries = torch.from_numpy(np.stack([features.bank.feature(b.view, b.rel) for b in best]))
    rows = (queries @ torch.from_numpy(lifted.sample).T).argmax(dim=1).numpy()
    away = np.linalg.norm(lifted.sample_w[rows] - np.array(pos_w), axis=1)
    extent = float(np.linalg.norm(np.diff(lifted.grid.spec.bounds_w, axis=0)))
    return [bool(a <= MUTUAL_EXTENT * extent) for a in away]


def _matches(scene: SceneState, best: list[Best], mutual: list[bool], source_w: Triple | None) -> tuple[ViewMatch, ...]:
    """Pixels, scene points and the true reprojections of all matches, in one pass over the views."""
    if not best:
        return ()
    cameras = scene.cameras
    views = np.array([b.view for b in best])
    px = np.array([b.rel for b in best]) * cameras.size[views]
    pos_w: list[Triple | None] = [None] * len(best)
    true: dict[int, tuple[float, float]] = {}
    if scene.grid is not None:
        found, _ = surface_along(scene.grid, *cameras.rays(views, px))
        pos_w = [_triple(p) if np.isfinite(p).all() else None for p in found]
        if source_w is not None:
            point = np.array(source_w, dtype=np.float64)
            projected, inside = cameras.project(point)
            seen = np.flatnonzero(inside)
            reached = unblocked(scene.grid, cameras.centre_w[seen], np.broadcast_to(point, (len(seen), 3)))
            true = {int(v): (float(projected[v, 0]), float(projected[v, 1])) for v in seen[reached]}
    return tuple(
        ViewMatch(
            view=b.view,
            x=float(x),
            y=float(y),
            score=b.score,
            mutual=m,
            pos_w=p,
            true_px=true.get(b.view),
        )
        for b, (x, y), m, p in zip(best, px, mutual, pos_w, strict=True)
    )


def _surface(scene: SceneState, view: int, x: float, y: float) -> Triple | None:
    if scene.grid is None:
        return None
    pos_w, _ = surface_points(scene.grid, scene.capture.views[view].camera, np.array([[x, y]]))
    return _triple(pos_w[0]) if np.isfinite(pos_w).all() else None


def _triple(p: NDArray[np.float64]) -> Triple:
    return float(p[0]), float(p[1]), float(p[2])
