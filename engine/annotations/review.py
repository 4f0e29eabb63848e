"""Looking over what is annotated: how far it is, where photos contradict, and how two annotators differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.annotations.places import VoxelPlaces
from engine.annotations.state import AnnotationState
from engine.annotations.strokes import ViewHits
from engine.api.annotations import NOTHING
from engine.api.errors import AnnotationError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ClassStats:
    """One class: how many voxels, their share of all, their surface's volume in world units cubed, instances and
    things."""

    id: int
    name: str
    voxels: int
    share: float
    volume_w: float
    instances: int
    boxes: int
    lines: int
    landmarks: int


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


@dataclass(frozen=True, eq=False)
class Conflicts:
    """Where photos contradict.

    Attributes:
        rows: (N,) voxels, the most contradicted first.
        said: (N,) the class that most photos say, and ``share`` (N,) of those that see it.
        views: (N,) how many see it.
    """

    rows: Ints
    said: Ints
    share: NDArray[np.float64]
    views: Ints


LEAST_VIEWS = 2
AGREED = 0.6


def conflicts(
    state: AnnotationState, views: Sequence[tuple[ViewHits, Ints]], least_views: int = LEAST_VIEWS
) -> Conflicts:
    """The labelled voxels of which most photos say something else, or of which photos do not agree.

    Args:
        state: what is annotated.
        views: of each photo its hits, and (h, w) at their size the class that it alone says of each pixel, 0 unknown.
        least_views: photos that must speak.
    """
    rows_of: list[Ints] = []
    for hits, said in views:
        known = (hits.rows >= 0) & (said > 0)
        # a photo has one voice a voxel: what most of its pixels there say
        both, count = np.unique(hits.rows[known] << 16 | said[known], return_counts=True)
        order = np.lexsort((-count, both >> 16))
        _, first = np.unique(both[order] >> 16, return_index=True)
        rows_of.append(both[order][first])
    every = np.concatenate(rows_of) if rows_of else np.zeros(0, np.int64)
    both, count = np.unique(every, return_counts=True)
    order = np.lexsort((-count, both >> 16))
    row, first, _ = np.unique(both[order] >> 16, return_index=True, return_counts=True)
    total = np.bincount(both >> 16, count, minlength=len(state.labels))[row].astype(np.int64)
    said, share = both[order][first] & 0xFFFF, count[order][first] / np.maximum(total, 1)
    label = state.labels[row]
    wrong = (label != NOTHING) & (total >= least_views) & ((said != label) | (share < AGREED))
    worst = np.flatnonzero(wrong)
    against = np.where(said[worst] != label[worst], share[worst], 1 - share[worst])
    worst = worst[np.argsort(-against, kind="stable")]
    return Conflicts(row[worst], said[worst], share[worst], total[worst])


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
    names = sorted({c.name.casefold() for c in (*a.palette, *b.palette)})
    of_a, of_b = (_named(s, names) for s in (a, b))
    iou: dict[str, float] = {}
    by_instance: dict[str, float] = {}
    for n, name in enumerate(names, start=1):
        mine, theirs = of_a == n, of_b == n
        either = int((mine | theirs).sum())
        if not either:
            continue
        iou[name] = float((mine & theirs).sum() / either)
        matched = _matched(a.instances[mine], b.instances[mine], b.instances[theirs])
        if matched is not None:
            by_instance[name] = matched
    some = (of_a > 0) | (of_b > 0)
    both = (of_a > 0) & (of_b > 0)
    same = of_a == of_b
    return Difference(
        iou, by_instance, float(same[some].mean()) if some.any() else 1.0, _kappa(of_a[both], of_b[both]),
        int((~same).sum()),
    )  # fmt: skip


def _named(state: AnnotationState, names: list[str]) -> Ints:
    """(V,) labels as places in ``names``, from 1 on."""
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
