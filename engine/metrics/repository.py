"""How well a repository answers: photos find their scene and camera, second scans their first, words their scenes.

Rooms are scenes of the repository without the photos they are asked by. Photos of rooms that are not in it must be
turned away. A second scan of a room has other cameras, light and noise, and a world of its own, turned, moved and
scaled at random; a room whose furniture was moved, or swapped for other models, is no duplicate, though its walls,
floor and pictures are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress
from engine.metrics.room_scenes import AskedPhoto
from engine.queries.prompt import Vocabulary
from engine.repository.pose import Pose
from engine.repository.record import SceneRecord
from engine.repository.search import CONFIDENT, Duplicate, Repository

Float64 = NDArray[np.float64]

WITHIN_EXTENT, WITHIN_DEGREES = 0.05, 5.0
RARE = 0.03
"""Share of the rooms of a gallery that have what is asked for."""
GALLERIES = 20
LEAST_HAVING, MOST_HAVING = 3, 0.8
"""Rooms, and share of them, that have a thing that is asked for."""


class RepositoryRow(TypedDict):
    """One line of the table; None where a measure does not apply.

    ``recall_1``, ``recall_5``: share of questions with a right scene first, or among the first five. ``placed``: share
    of photos whose camera is within 5 % of the scene's extent and 5 degrees. ``rejected``: share of photos of unknown
    places that are turned away; ``auc``: area under the ROC curve of that. ``precision``, ``recall``: of pairs.
    ``error_extent``, ``error_degrees``: median. ``query_ms``: median, without encoding.
    """

    task: str
    method: str
    questions: int
    scenes: int
    recall_1: float | None
    recall_5: float | None
    placed: float | None
    rejected: float | None
    auc: float | None
    precision: float | None
    recall: float | None
    error_extent: float | None
    error_degrees: float | None
    query_ms: float | None


@dataclass(frozen=True)
class Found:
    """What a photo was answered.

    Attributes:
        scenes: names of the scenes that were looked at, the best first.
        pose: in the first of them.
        confidence: in [0, 1], of the first.
        seconds: that it took.
    """

    scenes: tuple[str, ...]
    pose: Pose | None
    confidence: float
    seconds: float


Finder = Callable[[AskedPhoto], Found]


def finder(repository: Repository) -> Finder:
    """Ours."""

    def find(photo: AskedPhoto) -> Found:
        start = time.perf_counter()
        ranked = repository.by_photo(photo.query)
        seconds = time.perf_counter() - start
        best = ranked[0]
        return Found(tuple(r.row.name for r in ranked), best.pose, best.confidence, seconds)

    return find


def photo_row(
    task: str,
    method: str,
    find: Finder,
    known: Sequence[AskedPhoto],
    unknown: Sequence[AskedPhoto],
    extents: Mapping[str, float],
) -> Job[RepositoryRow]:
    """Ask with photos of scenes that are there, by name, and of others.

    Args:
        task: of the row.
        method: of the row.
        find: answers a photo.
        known: photos of scenes that are there.
        unknown: photos of others.
        extents: of the scenes by name, world units.
    """
    right: list[tuple[bool, bool]] = []
    errors: list[tuple[float, float]] = []
    sure: list[float] = []
    seconds: list[float] = []
    for done, photo in enumerate(known):
        yield Progress(done, len(known) + len(unknown), "photos", method)
        found = find(photo)
        first = found.scenes[0] == photo.room
        right.append((first, photo.room in found.scenes[:5]))
        error = pose_error(found.pose, photo.camera) if first else (np.inf, np.inf)
        errors.append((error[0] / extents[photo.room], error[1]))
        sure.append(found.confidence)
        seconds.append(found.seconds)
    strange: list[float] = []
    for done, photo in enumerate(unknown):
        yield Progress(len(known) + done, len(known) + len(unknown), "photos", method)
        strange.append(find(photo).confidence)
    one, five = np.mean(right, axis=0)
    table = np.array(errors)
    placed = (table[:, 0] <= WITHIN_EXTENT) & (table[:, 1] <= WITHIN_DEGREES)
    turned_away = float((np.array(strange) < CONFIDENT).mean()) if strange else None
    return _row(
        task, method, len(known), len(extents),
        recall_1=float(one), recall_5=float(five), placed=float(placed.mean()), rejected=turned_away,
        auc=area_under_roc(sure, strange) if strange else None,
        error_extent=float(np.median(table[:, 0])), error_degrees=float(np.median(table[:, 1])),
        query_ms=1000 * float(np.median(seconds)),
    )  # fmt: skip


def pose_error(pose: Pose | None, truth: Camera) -> tuple[float, float]:
    """Distance of the cameras' centres, world units, and the angle between them in degrees; infinite for no pose."""
    if pose is None:
        return np.inf, np.inf
    found = pose.camera
    turn = found.c2w[:3, :3].T @ truth.c2w[:3, :3]
    degrees = float(np.rad2deg(Rotation.from_matrix(turn).magnitude()))
    return float(np.linalg.norm(found.centre_w - truth.centre_w)), degrees


def area_under_roc(yes: Sequence[float], no: Sequence[float]) -> float:
    """How often one of ``yes`` is larger than one of ``no``; equal counts half."""
    a, b = np.array(yes)[:, None], np.array(no)
    return float(((a > b) + 0.5 * (a == b)).mean())


@dataclass(frozen=True, eq=False)
class Rescanned:
    """A second scan of a scene, and the similarity (4, 4) from the first one's world to its own."""

    record: SceneRecord
    first: str
    first_to_it: Float64


def elsewhere(record: SceneRecord, first: str, rng: np.random.Generator) -> Rescanned:
    """A scan in a world of its own: turned, moved and scaled at random."""
    turn = Rotation.random(random_state=rng).as_matrix()
    scale = float(np.exp(rng.uniform(-0.7, 0.7)))
    into = np.eye(4)
    into[:3, :3], into[:3, 3] = scale * turn, rng.normal(0, record.extent_w, 3)
    cameras = record.cameras.astype(np.float64)
    cameras[:, :3, 3] = cameras[:, :3, 3] @ into[:3, :3].T + into[:3, 3]
    cameras[:, :3, :3] = turn @ cameras[:, :3, :3]
    pos_w = (record.pos_w.astype(np.float64) @ into[:3, :3].T + into[:3, 3]).astype(np.float32)
    occupancy = None if record.occupancy is None else record.occupancy.moved(into)
    moved = replace(
        record, pos_w=pos_w, cameras=cameras.astype(np.float32), extent_w=scale * record.extent_w, occupancy=occupancy
    )
    return Rescanned(moved, first, into)


def duplicates_row(
    task: str,
    repository: Repository,
    scans: Sequence[Rescanned],
    first: Mapping[str, SceneRecord],
    found: Sequence[Duplicate],
) -> RepositoryRow:
    """Judge all pairs that a repository calls duplicates, and in which it sees no change.

    Args:
        task: of the row.
        repository: that holds first and second scans, and whatever is none.
        scans: the second scans: the only duplicates.
        first: records of the first scans, by name.
        found: what it says.
    """
    truth = {(s.first, s.record.name): s for s in scans}
    right: list[tuple[float, float]] = []
    called = 0
    for pair in found:
        a, b, a_to_b = pair.a.name, pair.b.row.name, pair.b.alignment
        if a_to_b is None or a_to_b.changed:
            continue
        called += 1
        flipped = (b, a) in truth
        scan = truth.get((b, a) if flipped else (a, b))
        if scan is not None:
            into = np.linalg.inv(a_to_b.a_to_b) if flipped else a_to_b.a_to_b
            right.append(alignment_error(into, scan, first[scan.first]))
    errors = np.array(right).reshape(-1, 2)
    good = (errors[:, 0] <= WITHIN_EXTENT) & (errors[:, 1] <= WITHIN_DEGREES)
    return _row(
        task, "condense", len(truth), len(repository.rows),
        precision=len(right) / called if called else None, recall=len(right) / len(truth),
        placed=float(good.mean()) if len(good) else None,
        error_extent=float(np.median(errors[:, 0])) if len(good) else None,
        error_degrees=float(np.median(errors[:, 1])) if len(good) else None,
    )  # fmt: skip


def alignment_error(a_to_b: Float64, scan: Rescanned, first: SceneRecord) -> tuple[float, float]:
    """Mean distance between where keypoints come to lie and where they belong, in extents of b; and degrees."""
    pos = first.pos_w.astype(np.float64)
    there, truth = (pos @ m[:3, :3].T + m[:3, 3] for m in (a_to_b, scan.first_to_it))
    turns = [m[:3, :3] / np.cbrt(np.linalg.det(m[:3, :3])) for m in (a_to_b, scan.first_to_it)]
    degrees = float(np.rad2deg(Rotation.from_matrix(turns[0].T @ turns[1]).magnitude()))
    return float(np.linalg.norm(there - truth, axis=1).mean()) / scan.record.extent_w, degrees


def text_row(
    method: str,
    repository: Repository,
    vocabularies: Sequence[Vocabulary],
    holds: Mapping[str, Sequence[str]],
    asked: Sequence[str],
    rng: np.random.Generator,
) -> RepositoryRow:
    """Ask for rooms with a thing, each in ``GALLERIES`` repositories in which few rooms have it: all rooms that have
    none, and some of the others, drawn at random.


    Args:
        method: of the row.
        repository: of the rooms.
        vocabularies: that its places are called by.
        holds: what is in each scene, by the scene's name.
        asked: names, each present somewhere and absent somewhere.
        rng: draws.
    """
    first: list[tuple[bool, bool]] = []
    seconds: list[float] = []
    for name in asked:
        start = time.perf_counter()
        ranked = [w.row.name for w in repository.by_words(f"room with a {name}", vocabularies, most=len(holds))]
        seconds.append(time.perf_counter() - start)
        having = sorted(scene for scene, things in holds.items() if name in things)
        few = max(1, round(RARE / (1 - RARE) * (len(holds) - len(having))))
        for _ in range(GALLERIES):
            right = set(rng.choice(having, min(few, len(having)), replace=False))
            shown = [scene for scene in ranked if scene in right or name not in holds[scene]][:5]
            first.append((not right.isdisjoint(shown[:1]), not right.isdisjoint(shown)))
    one, five = np.mean(first, axis=0)
    return _row(
        "text", method, len(asked), len(holds),
        recall_1=float(one), recall_5=float(five), query_ms=1000 * float(np.median(seconds)),
    )  # fmt: skip


def asked_names(holds: Mapping[str, Sequence[str]], known: Sequence[str]) -> list[str]:
    """Of the known names, those that some rooms have and enough others have not."""
    count = {name: sum(name in things for things in holds.values()) for name in known}
    return sorted(name for name, n in count.items() if LEAST_HAVING <= n <= MOST_HAVING * len(holds))


def _row(task: str, method: str, questions: int, scenes: int, **measured: float | None) -> RepositoryRow:
    rounded = {k: None if v is None or not np.isfinite(v) else round(v, 4) for k, v in measured.items()}
    nothing = dict.fromkeys(RepositoryRow.__annotations__)
    given = {"task": task, "method": method, "questions": questions, "scenes": scenes}
    return RepositoryRow(**{**nothing, **rounded, **given})  # pyright: ignore[reportArgumentType] - built by name
