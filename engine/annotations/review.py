"""Looking over what is annotated: how far it is, and how two annotators differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.annotations.places import VoxelPlaces
from engine.annotations.state import AnnotationState
from engine.api.annotated import ClassStats
from engine.api.annotations import NOTHING
from engine.api.errors import AnnotationError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Progress:
    """How far the work is: ``labelled`` of ``voxels`` that are worth a label, and each class, the largest first."""

    voxels: int
    labelled: int
    classes: tuple[ClassStats, ...]

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.labelled / self.voxels if self.voxels else 0.0


def progress(state: AnnotationState, places: VoxelPlaces, seen: NDArray[np.bool_] | None = None) -> Progress:
    """How far the work is.

    Args:
        state: what is annotated.
        places: of the voxels.
        seen: (V,) which voxels some photo sees, and are worth a label; by default all.
    """
    labels = state.labels
    of = np.bincount(labels, minlength=1)
    inside = np.ones(len(labels), np.bool_) if seen is None else seen
    rows: list[ClassStats] = []
    for c in state.palette:
        count = int(of[c.id]) if c.id < len(of) else 0
        instances = np.unique(state.instances[(labels == c.id) & (state.instances > 0)])
        things = [sum(t.class_id == c.id for t in some) for some in (state.boxes, state.polylines, state.landmarks)]
        share = count / len(labels) if len(labels) else 0.0
        rows.append(ClassStats(c.id, c.name, count, share, count * places.spec.voxel**3, len(instances), *things))
    rows.sort(key=lambda r: (-r.voxels, r.id))
    return Progress(int(inside.sum()), int((inside & (labels != NOTHING)).sum()), tuple(rows))


@dataclass(frozen=True)
class Difference:
    """Two annotators.

    Attributes:
        iou: of each class by name, over all voxels; of instances too, each matched to the likest one.
        agreed: share of the voxels labelled by either on which both say the same.
        kappa: Cohen's, over the voxels labelled by both; None where chance leaves nothing to say.
        differ: how many voxels differ.
    """

    iou: dict[str, float]
    instance_iou: dict[str, float]
    agreed: float
    kappa: float | None
    differ: int


def difference(a: AnnotationState, b: AnnotationState) -> Difference:
    """How two annotations of the same voxels differ; classes are the same by their names.

    Raises:
        AnnotationError: they are of other voxels.
    """
    if len(a.labels) != len(b.labels):
        raise AnnotationError(
            "these are annotations of different voxels", found=f"{len(b.labels)} voxels",
            expected=f"{len(a.labels)}", mend="bring one over to the other's grid by position first",
        )  # fmt: skip
    names = common_names(a, b)
    of_a, of_b = (named(s, names) for s in (a, b))
    iou: dict[str, float] = {}
    by_instance: dict[str, float] = {}
    for n, name in enumerate(names, start=1):
        mine, theirs = of_a == n, of_b == n
        either = int((mine | theirs).sum())
        if not either:
            continue
        iou[name] = float((mine & theirs).sum() / either)
        of_theirs = np.where(theirs, b.instances, np.uint32(0))
        matched = _matched(a.instances[mine], of_theirs[mine], b.instances[theirs])
        if matched is not None:
            by_instance[name] = matched
    some = (of_a > 0) | (of_b > 0)
    both = (of_a > 0) & (of_b > 0)
    same = of_a == of_b
    return Difference(
        iou, by_instance, float(same[some].mean()) if some.any() else 1.0, _kappa(of_a[both], of_b[both]),
        int((~same).sum()),
    )  # fmt: skip


def common_names(a: AnnotationState, b: AnnotationState) -> list[str]:
    """Of the classes that either has, case-folded: by them classes of two annotators are the same."""
    return sorted({c.name.casefold() for c in (*a.palette, *b.palette)})


def named(state: AnnotationState, names: list[str]) -> Ints:
    """(V,) labels as places in ``names``, from 1 on; 0 for none."""
    place = {name: n for n, name in enumerate(names, start=1)}
    table = np.zeros(int(state.labels.max(initial=0)) + 1, np.int64)
    for c in state.palette:
        if c.id < len(table):
            table[c.id] = place[c.name.casefold()]
    return table[state.labels]


def _matched(a: NDArray[np.uint32], b_there: NDArray[np.uint32], b: NDArray[np.uint32]) -> float | None:
    """Mean over instances of ``a`` of the IoU with the likest instance of ``b``; None without any."""
    ids = np.unique(a[a > 0])
    if not len(ids):
        return None
    size_b = dict(zip(*(x.tolist() for x in np.unique(b, return_counts=True)), strict=True))
    out: list[float] = []
    for id in ids:
        mine = a == id
        others, count = np.unique(b_there[mine], return_counts=True)
        shared = {int(o): int(c) for o, c in zip(others, count, strict=True) if o > 0}
        out.append(max((c / (int(mine.sum()) + size_b[o] - c) for o, c in shared.items()), default=0.0))
    return float(np.mean(out))


def _kappa(a: Ints, b: Ints) -> float | None:
    if not len(a):
        return None
    most = int(max(a.max(), b.max())) + 1
    chance = float((np.bincount(a, minlength=most) / len(a)) @ (np.bincount(b, minlength=most) / len(b)))
    return None if chance > 1 - 1e-12 else float(((a == b).mean() - chance) / (1 - chance))
