"""ScanNet's pair of files, with the points that they are of.

``NAME.ply`` (points, as in ``ply``), ``NAME.segs.json`` ("segIndices": the segment of each point) and
``NAME.aggregation.json`` ("segGroups": objects of segments with a label). A segment is what has one class and instance;
points without label are one segment of no group. We write the instance of a group as ``instance`` too, which other
readers pass over; without it groups are numbered by ``objectId``.

Lost: the palette's colours and keys, classes without voxels, boxes, lines, landmarks, notes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.annotations.formats.content import Content, Incoming, malformed, read_json
from engine.annotations.formats.ply import lost_things, read_vertices, write_ply
from engine.annotations.palette import fresh_colour
from engine.api.annotations import LabelClass
from engine.storage import write_json

SEGS, GROUPS = ".segs.json", ".aggregation.json"


def write_scannet(path: Path, content: Content) -> list[str]:
    """Write the three files, ``path`` being that of the groups; what is lost.

    Raises:
        AnnotationError: see ``write_ply``.
        CacheError: a file cannot be written.
    """
    state, stem = content.state, _stem(path)
    both = np.stack([state.labels.astype(np.int64), state.instances.astype(np.int64)], axis=1)
    kinds, segment = np.unique(both, axis=0, return_inverse=True)
    groups: list[dict[str, Any]] = []
    for n, (label, instance) in enumerate(kinds.tolist()):
        if label:
            groups.append(
                {"id": len(groups), "objectId": len(groups), "segments": [n], "label": state.name_of(label),
                 "instance": instance}
            )  # fmt: skip
    write_ply(path.with_name(f"{stem}.ply"), content)
    scene = {"sceneId": content.capture}
    write_json(path.with_name(stem + SEGS), {"params": {}, **scene, "segIndices": segment.ravel().tolist()})
    write_json(
        path.with_name(stem + GROUPS),
        {**scene, "appId": "condense-studio", "segmentsFile": stem + SEGS, "segGroups": groups},
    )
    lost = lost_things(content)
    unused = [c.name for c in state.palette if c.id not in kinds[:, 0]]
    if unused:
        lost.append(f"Classes without voxels are not in the file: {', '.join(unused)}")
    orphans = int(((state.labels == 0) & (state.instances > 0)).sum())
    if orphans:
        lost.append(f"{orphans} voxels have an instance and no class: the format keeps no instance there.")
    return lost


def read_scannet(path: Path) -> Incoming:
    """Read the groups of ``path``, the segments beside it, and the points if they are there too; without them the
    segments must be of this scene's voxels in order.

    Raises:
        AnnotationError: a file is missing or malformed.
    """
    stem = _stem(path)
    return read_groups(path.with_name(stem + GROUPS), path.with_name(stem + SEGS), path.with_name(f"{stem}.ply"))


def read_groups(groups_path: Path, segments_path: Path, points: Path) -> Incoming:
    """``read_scannet`` of files of any names.

    Raises:
        AnnotationError: a file is missing or malformed.
    """
    aggregation, segments = read_json(groups_path), read_json(segments_path)
    path = groups_path
    try:
        segment = np.array(segments["segIndices"], np.int64).reshape(-1)
        groups = [
            (str(g["label"]), [int(s) for s in g["segments"]], int(g.get("instance", g["objectId"] + 1)))
            for g in aggregation["segGroups"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise malformed(path, e, "segIndices and segGroups, as ScanNet has them") from e
    names = list(dict.fromkeys(name for name, _, _ in groups))
    of_name = {name: n for n, name in enumerate(names, start=1)}
    labels, instances = np.zeros(len(segment), np.uint16), np.zeros(len(segment), np.uint32)
    if len(names) > 0xFFFF or any(not name.strip() or len(name) > 200 for name in names):
        raise malformed(path, f"{len(names)} labels", "names of at most 200 letters")
    for name, some, instance in groups:
        if not 0 <= instance <= 0xFFFFFFFF:
            raise malformed(path, f"the instance {instance}", "a number from 0 on")
        inside = np.isin(segment, some)
        labels[inside], instances[inside] = of_name[name], instance
    classes = tuple(LabelClass(n, name.strip(), fresh_colour(n)) for name, n in of_name.items())
    pos_w = None
    if points.exists():
        vertices = read_vertices(points)
        if len(vertices) != len(segment):
            raise malformed(points, f"{len(vertices)} vertices", f"{len(segment)}, as many as have segments")
        pos_w = np.stack([vertices[a] for a in "xyz"], axis=1).astype(np.float64)
    return Incoming(path, classes, labels, instances, pos_w)


def _stem(path: Path) -> str:
    name = path.name
    for ending in (GROUPS, SEGS, ".json", ".ply"):
        if name.endswith(ending):
            return name[: -len(ending)]
    return name
