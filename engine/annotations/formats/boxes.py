"""Boxes as labelCloud and KITTI have them.

labelCloud's JSON (its format ``centroid_abs``) turns a box by Euler angles about the x, then the y, then the z axis of
the world, in degrees: all nine degrees of freedom. Its text format for KITTI without camera (``kitti_untransformed``)
has lines ``type truncated occluded alpha left top right bottom height width length x y z rotation``: the box turned
about the world's z axis alone.

Lost in both: labels of voxels, instances, colours, lines, landmarks, notes. Lost in KITTI: turns about x and y.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from engine.annotations.formats.content import MOST_BYTES, Content, Incoming, malformed, read_json
from engine.annotations.palette import fresh_colour
from engine.annotations.things import of_json
from engine.api.annotations import LabelClass, OrientedBox
from engine.storage import write_atomic, write_json

UPRIGHT = 1e-6
"""Turned about x or y by less than this, a box counts as upright; radians."""
UNNAMED = "unlabelled"


def write_labelcloud(path: Path, content: Content) -> list[str]:
    """Write the boxes; what is lost.

    Raises:
        CacheError: the file cannot be written.
    """
    objects = []
    for box in content.state.boxes:
        x, y, z = Rotation.from_quat(box.rotation, scalar_first=True).as_euler("xyz", degrees=True).tolist()
        objects.append(
            {
                "name": content.state.name_of(box.class_id),
                "centroid": dict(zip("xyz", box.centre_w, strict=True)),
                "dimensions": dict(zip(("length", "width", "height"), box.size_w, strict=True)),
                "rotations": {"x": x, "y": y, "z": z},
            }
        )
    name = f"{content.capture}.ply"
    write_json(path, {"folder": "pointclouds", "filename": name, "path": f"pointclouds/{name}", "objects": objects})
    return _lost(content)


def read_labelcloud(path: Path) -> Incoming:
    """What ``write_labelcloud`` or labelCloud wrote.

    Raises:
        AnnotationError: it cannot be read or is malformed.
    """
    told = read_json(path)
    expected = "labelCloud's objects with name, centroid, dimensions and rotations"
    try:
        found = [
            (
                str(o["name"]),
                [float(o["centroid"][a]) for a in "xyz"],
                [float(o["dimensions"][a]) for a in ("length", "width", "height")],
                [float(o["rotations"][a]) for a in "xyz"],
            )
            for o in told["objects"]
        ]
        rotations = [Rotation.from_euler("xyz", turned, degrees=True) for *_, turned in found]
        boxes = [(name, at, size, r) for (name, at, size, _), r in zip(found, rotations, strict=True)]
        return _incoming(path, boxes)
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise malformed(path, e, expected) from e


def write_kitti(path: Path, content: Content) -> list[str]:
    """Write the boxes, one a line; what is lost. A name's spaces become underscores, as the format divides by spaces.

    Raises:
        CacheError: the file cannot be written.
    """
    lines: list[str] = []
    tilted = 0
    for box in content.state.boxes:
        x, y, z = Rotation.from_quat(box.rotation, scalar_first=True).as_euler("xyz").tolist()
        tilted += max(abs(x), abs(y)) > UPRIGHT
        length, width, height = box.size_w
        name = "_".join(content.state.name_of(box.class_id).split())
        numbers = (height, width, length, *box.centre_w, z)
        lines.append(" ".join([name, *["0"] * 7, *(repr(float(n)) for n in numbers)]))
    text = "".join(f"{line}\n" for line in lines)
    write_atomic(path, lambda tmp: tmp.write_text(text, encoding="utf-8") and None)
    lost = _lost(content)
    if tilted:
        lost.append(f"{tilted} boxes are turned about the x or y axis; the format keeps the turn about z alone.")
    return lost


def read_kitti(path: Path) -> Incoming:
    """What ``write_kitti`` or labelCloud wrote.

    Raises:
        AnnotationError: it cannot be read or is malformed.
    """
    expected = "lines of a type and 14 numbers"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("a file that is too large")
        boxes = []
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if not line.strip():
                continue
            name, *rest = line.split()
            if len(rest) not in (14, 15):  # the 15th is a score
                raise ValueError(f"line {number} of {len(rest)} numbers")
            height, width, length, x, y, z, turn = (float(v) for v in rest[7:14])
            boxes.append((name, [x, y, z], [length, width, height], Rotation.from_euler("z", turn)))
        return _incoming(path, boxes)
    except (OSError, ValueError, OverflowError) as e:
        raise malformed(path, e, expected) from e


def _incoming(path: Path, boxes: Iterable[tuple[str, list[float], list[float], Rotation]]) -> Incoming:
    """Raises:
    ValueError: a box makes no sense.
    """
    ids: dict[str, int] = {}
    things: list[OrientedBox] = []
    for name, centre, size, rotation in boxes:
        name = name.strip()
        if name and name != UNNAMED:
            ids.setdefault(name, len(ids) + 1)
        w, x, y, z = rotation.as_quat(scalar_first=True).tolist()
        norm = math.hypot(w, x, y, z)
        box = of_json(
            "box",
            {
                "id": len(things) + 1,
                "class_id": ids.get(name, 0),
                "centre_w": centre,
                "size_w": size,
                "rotation": [w / norm, x / norm, y / norm, z / norm],
            },
        )
        assert isinstance(box, OrientedBox)
        things.append(box)
    classes = [of_json("class", {"id": n, "name": name, "rgb": fresh_colour(n)}) for name, n in ids.items()]
    return Incoming(
        path, tuple(c for c in classes if isinstance(c, LabelClass)), np.zeros(0, np.uint16), np.zeros(0, np.uint32),
        np.zeros((0, 3)), things=tuple(things),
    )  # fmt: skip


def _lost(content: Content) -> list[str]:
    state = content.state
    lost: list[str] = []
    labelled = int((state.labels > 0).sum())
    if labelled:
        lost.append(f"{labelled} labelled voxels are not in the file: the format holds boxes alone.")
    for name, some in (("polylines", state.polylines), ("landmarks", state.landmarks), ("notes", state.notes)):
        if some:
            lost.append(f"{len(some)} {name} are not in the file: the format holds boxes alone.")
    if any(b.instance for b in state.boxes):
        lost.append("Which instance a box is of is not in the file.")
    return lost
