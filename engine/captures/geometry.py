"""Bare geometry to look at: point clouds, meshes sampled to points, 3D Gaussian splats as points.

PLY, OBJ, GLB/GLTF, STL and OFF are read by trimesh, PCD by Open3D; both are imported only when needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.api.scene import PointCloud
from engine.captures.files import inside, is_file
from engine.captures.frames import Contents
from engine.captures.photos import MAX_PIXELS

SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off", ".pcd")
MAX_BYTES = 2 << 30
MAX_POINTS = 1_500_000
SAMPLES = 400_000
GREY = 180
SH_C0 = 0.28209479177387814
"""The constant real spherical harmonic, 1 / (2 √π): a splat's mean colour is 0.5 + SH_C0 f_dc."""
FAINT = 0.1
"""Splats of lower opacity are left out: as opaque points they would hide the scene in a haze."""


def read(path: Path) -> Contents:
    """Read a geometry file as a capture without photos.

    Raises:
        CaptureError: unreadable, empty, or too large.
    """
    points = read_points(path)
    # glTF defines Y up, and OBJ is written so by custom; scanners and point clouds put Z up.
    up = (0.0, 1.0, 0.0) if path.suffix.lower() in (".glb", ".gltf", ".obj") else (0.0, 0.0, 1.0)
    return Contents("geometry", path.parent, (path,), points, up_w=up)


def read_points(path: Path, samples: int = SAMPLES) -> PointCloud:
    """Points of a file: its vertices when it has no faces, else ``samples`` spread evenly over its surface.

    At most ``MAX_POINTS``, drawn at random (seed 0); without colour they are grey. NaN and infinite points are dropped.

    Raises:
        CaptureError: unreadable, empty, or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size >> 20} MiB are more than {MAX_BYTES >> 20}")
        pos_w, rgb = _read_pcd(path) if path.suffix.lower() == ".pcd" else _read_trimesh(path, samples)
        pos_w = np.asarray(pos_w, np.float64).reshape(-1, 3)
        good = (np.abs(pos_w) < 1e9).all(axis=1)
        if not good.any():
            raise ValueError("not one point in it")
        pos_w, rgb = pos_w[good], rgb[good]
    except Exception as e:  # parsers raise anything at all on damaged bytes
        raise CaptureError(
            "the geometry cannot be read",
            path=path,
            found=(str(e).splitlines() or [""])[0][:200] or type(e).__name__,
            expected=f"a whole {', '.join(s[1:].upper() for s in SUFFIXES)} file",
        ) from e
    if len(pos_w) > MAX_POINTS:
        chosen = np.random.default_rng(0).choice(len(pos_w), MAX_POINTS, replace=False)
        pos_w, rgb = pos_w[chosen], rgb[chosen]
    return PointCloud(np.ascontiguousarray(pos_w, np.float32), np.ascontiguousarray(rgb, np.uint8))


def _grey(n: int) -> NDArray[np.uint8]:
    return np.full((n, 3), GREY, np.uint8)


def _read_pcd(path: Path) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    import open3d  # 0.7 s

    cloud = open3d.io.read_point_cloud(str(path))
    pos_w, rgb = np.asarray(cloud.points), np.asarray(cloud.colors)
    return pos_w, (rgb * 255).round().astype(np.uint8) if len(rgb) == len(pos_w) else _grey(len(pos_w))


def _read_trimesh(path: Path, samples: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    import trimesh  # 1 s

    class Beside(trimesh.resolvers.Resolver):
        """Textures and buffers named in the file, from below its folder only."""

        def __init__(self) -> None:
            pass

        def get(self, name: str) -> bytes:
            found = inside(path.parent, name)
            if found is None or not is_file(found) or found.stat().st_size > MAX_BYTES:
                raise ValueError(f"{name[:80]} is missing or outside the folder")
            return found.read_bytes()

        def write(self, name: str, data: bytes) -> None:
            raise ValueError("captures are read only")

        def namespaced(self, namespace: str) -> Beside:
            return self

        def keys(self) -> list[str]:
            return [p.name for p in path.parent.iterdir()]

    with path.open("rb") as f:
        loaded = trimesh.load(f, file_type=path.suffix[1:].lower(), resolver=Beside(), process=False)
    parts = loaded.dump() if isinstance(loaded, trimesh.Scene) else [loaded]
    meshes = [m for m in parts if isinstance(m, trimesh.Trimesh) and len(m.faces)]
    if meshes:
        return _sampled(meshes, samples)
    clouds = [_vertices(c) for c in parts if isinstance(c, (trimesh.PointCloud, trimesh.Trimesh))]
    return np.concatenate([c[0] for c in clouds]), np.concatenate([c[1] for c in clouds])


def _vertices(cloud: Any) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    pos_w = np.asarray(cloud.vertices)
    raw = cloud.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    names = getattr(getattr(raw, "dtype", None), "names", None) or ()
    if {"f_dc_0", "f_dc_1", "f_dc_2", "opacity"} <= set(names):
        dc = np.stack([raw[f"f_dc_{i}"] for i in range(3)], axis=1).reshape(-1, 3)
        opacity = 1 / (1 + np.exp(-np.asarray(raw["opacity"], np.float64).reshape(-1).clip(-50, 50)))
        shown = opacity > FAINT
        rgb = (np.clip(np.nan_to_num(0.5 + SH_C0 * dc), 0, 1) * 255).round().astype(np.uint8)
        return pos_w[shown], rgb[shown]
    colours = np.asarray(cloud.colors if hasattr(cloud, "colors") else cloud.visual.vertex_colors)
    if colours.ndim == 2 and len(colours) == len(pos_w) and colours.shape[1] >= 3:
        return pos_w, colours[:, :3].astype(np.uint8)
    return pos_w, _grey(len(pos_w))


def _sampled(meshes: list[Any], samples: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Samples spread over all meshes by area, coloured by texture, vertex or face."""
    import trimesh

    areas = np.array([m.area for m in meshes])
    areas = np.where(np.isfinite(areas), areas, 0.0)
    if areas.sum() <= 0:
        raise ValueError("the surface has no area")
    counts = np.floor(areas / areas.sum() * samples).astype(int)
    points, colours = [], []
    for i, (mesh, count) in enumerate(zip(meshes, counts, strict=True)):
        if count == 0:
            continue
        pos_w, face = trimesh.sample.sample_surface(mesh, count, seed=i)
        points.append(pos_w)
        colours.append(_colours(mesh, np.asarray(pos_w), face))
    return np.concatenate(points), np.concatenate(colours)


def _colours(mesh: Any, pos_w: NDArray[Any], face: NDArray[Any]) -> NDArray[np.uint8]:
    """(N, 3) colours of samples on given faces."""
    import trimesh

    visual = mesh.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        material = visual.material
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if visual.uv is not None and image is not None and image.size[0] * image.size[1] <= MAX_PIXELS:
            corner = trimesh.triangles.points_to_barycentric(mesh.triangles[face], pos_w)
            uv = (np.asarray(visual.uv)[mesh.faces[face]] * corner[:, :, None]).sum(axis=1)
            return trimesh.visual.color.uv_to_color(np.nan_to_num(uv), image)[:, :3]
        return np.tile(np.asarray(material.main_color, np.uint8)[:3], (len(face), 1))
    if visual.kind == "vertex":
        corner = trimesh.triangles.points_to_barycentric(mesh.triangles[face], pos_w)
        rgb = (np.asarray(visual.vertex_colors)[mesh.faces[face], :3] * corner[:, :, None]).sum(axis=1)
        return np.clip(np.nan_to_num(rgb), 0, 255).round().astype(np.uint8)
    if visual.kind == "face":
        return np.asarray(visual.face_colors)[face, :3].astype(np.uint8)
    return _grey(len(face))
