"""Labelled points as PLY: a vertex for each voxel with colour, ``label`` and ``instance``; Open3D and trimesh read it.

Lost: boxes, lines, landmarks, notes, and how classes are coloured and keyed; their names go to a text file beside it
(``NAME.classes.json``), without which a reader names them by number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.annotations.formats.content import MOST_BYTES, Content, Incoming, malformed
from engine.annotations.palette import read_classes, write_classes
from engine.api.annotations import LabelClass
from engine.api.errors import AnnotationError
from engine.storage import write_atomic

LARGEST = 0x7FFFFFFF
"""PLY readers have signed integers."""


def write_ply(path: Path, content: Content) -> list[str]:
    """Write the voxels as points; what is lost.

    Raises:
        AnnotationError: an instance's number is too large for the format.
        CacheError: a file cannot be written.
    """
    state = content.state
    if int(state.instances.max(initial=0)) > LARGEST:
        raise AnnotationError("PLY cannot hold so large an instance", path=path, found=str(state.instances.max()))
    write_points(path, content.places.centres_w, content.rgb, state.labels, state.instances)
    write_classes(classes_path(path), state.palette)
    return lost_things(content)


def write_points(
    path: Path, pos_w: NDArray[Any], rgb: NDArray[np.uint8], labels: NDArray[Any], instances: NDArray[Any]
) -> None:
    """Write points (N, 3) with colours (N, 3), labels (N,) and instances (N,), atomically.

    Raises:
        CacheError: the file cannot be written.
    """
    import open3d as o3d

    points = o3d.t.geometry.PointCloud()
    of = o3d.core.Tensor
    points.point.positions = of(np.ascontiguousarray(pos_w))
    points.point.colors = of(np.ascontiguousarray(rgb))
    points.point.label = of(labels.astype(np.int32)[:, None])
    points.point.instance = of(instances.astype(np.int32)[:, None])

    def write(tmp: Path) -> None:
        named = tmp.with_suffix(".ply")  # Open3D goes by the ending
        try:
            if not o3d.t.io.write_point_cloud(str(named), points):
                raise OSError("Open3D could not write it")
            named.replace(tmp)
        finally:
            named.unlink(missing_ok=True)

    write_atomic(path, write)


def classes_path(path: Path) -> Path:
    """Of the class list beside a file."""
    return path.with_name(f"{path.stem}.classes.json")


def lost_things(content: Content) -> list[str]:
    """What formats of points alone cannot hold."""
    state = content.state
    out: list[str] = []
    for name, some in (
        ("boxes", state.boxes), ("polylines", state.polylines), ("landmarks", state.landmarks), ("notes", state.notes)
    ):  # fmt: skip
        if some:
            out.append(f"{len(some)} {name} are not in the file: the format has no place for them.")
    return out


def read_ply(path: Path) -> Incoming:
    """Points with ``label`` and, perhaps, ``instance``, by us or by others.

    Raises:
        AnnotationError: it cannot be read, or has no labels.
    """
    vertices = read_vertices(path)
    names = vertices.dtype.names or ()
    label = next((n for n in ("label", "scalar_Label", "class", "semantic") if n in names), None)
    if label is None or not {"x", "y", "z"} <= set(names):
        raise malformed(path, f"vertices with {', '.join(names)}", "vertices with x, y, z and label")
    pos_w = np.stack([vertices[a] for a in "xyz"], axis=1).astype(np.float64)
    labels = _whole(path, vertices[label], 0xFFFF)
    instances = _whole(path, vertices["instance"], 0xFFFFFFFF) if "instance" in names else np.zeros(len(labels))
    if not np.isfinite(pos_w).all():
        raise malformed(path, "a position that is not finite", "finite positions")
    classes: tuple[LabelClass, ...] = ()
    lost: tuple[str, ...] = ()
    if classes_path(path).exists():
        classes = read_classes(classes_path(path))
    elif labels.any():
        lost = (f"There is no {classes_path(path).name} beside it, so that classes have no names.",)
    return Incoming(path, classes, labels.astype(np.uint16), instances.astype(np.uint32), pos_w, lost=lost)


def read_vertices(path: Path) -> NDArray[Any]:
    """The vertices of a PLY file, all their properties, as a structured array.

    Raises:
        AnnotationError: it cannot be read.
    """
    import trimesh

    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("a file that is too large")
        with path.open("rb") as f:
            if f.read(3) != b"ply":
                raise ValueError("no PLY file")
            f.seek(0)
            loaded = trimesh.exchange.ply.load_ply(f)
        data = loaded["metadata"]["_ply_raw"]["vertex"]["data"]
    except Exception as e:  # trimesh raises what its parsers happen to
        raise malformed(path, e, "a whole PLY file with vertices") from e
    if isinstance(data, dict):  # of text files, by property
        columns = {k: np.asarray(v).reshape(-1) for k, v in data.items()}
        out = np.empty(len(next(iter(columns.values()))), [(k, v.dtype) for k, v in columns.items()])
        for k, v in columns.items():
            out[k] = v
        return out
    return np.asarray(data).reshape(-1)


def _whole(path: Path, values: NDArray[Any], most: int) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        whole = np.asarray(values, np.float64)
        if not (np.isfinite(whole).all() and (whole == np.floor(whole)).all() and (whole >= 0).all()):
            raise malformed(path, "labels that are no whole numbers from 0 on", "classes and instances by number")
    if (whole > most).any():
        raise malformed(path, f"the number {whole.max():.0f}", f"at most {most}")
    return whole.astype(np.int64)
