"""``condense annotate diff``: two files, class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.annotations.commands import grid_of, read, scene_of
from engine.annotations.comparing import Theirs, theirs_of
from engine.annotations.places import VoxelPlaces
from engine.annotations.review import Difference, common_names, difference, named

if TYPE_CHECKING:
    from engine.annotations.cli import AnnotateDiff


def diff(command: AnnotateDiff) -> dict[str, Any]:
    """Bring both onto the capture's voxels and compare them.

    Raises:
        AnnotationError: a file cannot be read, or is of another capture or grid and is not to be brought by position.
    """
    scene = scene_of(command, command.capture)
    grid = grid_of(scene)
    places, sides = VoxelPlaces.of(grid), list[Theirs]()
    for path in (command.a, command.b):
        incoming = read(path, command.format, scene.capture, grid)
        sides.append(theirs_of(incoming, places, scene.capture.fingerprint, by_position=command.by_position))
    a, b = sides
    found = difference(a.state, b.state)
    return {
        "capture": scene.capture.name, "a": str(command.a), "b": str(command.b), "voxels": len(places),
        "agreed": round(found.agreed, 4), "kappa": None if found.kappa is None else round(found.kappa, 4),
        "differ": found.differ, "rows": _rows(a, b, found),
        "left_out": [f"{s.name}: {line}" for s in sides for line in s.told],
    }  # fmt: skip


def _rows(a: Theirs, b: Theirs, found: Difference) -> list[dict[str, Any]]:
    """A row each class that either has, the most different first."""
    names = common_names(a.state, b.state)
    of_a, of_b = (named(s.state, names) for s in (a, b))
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(names, start=1):
        if name not in found.iou:
            continue
        first, second = of_a == place, of_b == place
        by_instance = found.instance_iou.get(name)
        rows.append({
            "class": name, "a": int(first.sum()), "b": int(second.sum()), "both": int((first & second).sum()),
            "iou": round(found.iou[name], 4), "instance_iou": None if by_instance is None else round(by_instance, 4),
        })  # fmt: skip
    return sorted(rows, key=lambda r: (r["iou"], r["class"]))


def as_text(answer: dict[str, Any], table: str) -> str:
    """The answer as a person reads it in a terminal."""
    kappa = "" if answer["kappa"] is None else f", Cohen's kappa {answer['kappa']:.3f} where both have a label"
    alike = f"{answer['agreed']:.1%} of what either labelled is labelled alike"
    said = f"{alike}{kappa}; {answer['differ']:,} voxels differ."
    return "\n".join([table, said, *answer["left_out"]])
