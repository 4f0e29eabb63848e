"""The session's answers to requests that look over annotations, on a real, tiny capture."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.api.annotated import AnnotationChanged, PhotoVoxels, ReviewFound, SelectionFound, SuggestionsFound
from engine.api.annotating import (
    AddClass,
    DrawStroke,
    ExportAnnotations,
    ImportAnnotations,
    LabelRows,
    LookAtPhoto,
    OpenAnnotations,
    PutThing,
    RemoveThing,
    ReviewAnnotations,
    SelectClick,
    SelectThing,
    UndoAnnotation,
)
from engine.api.annotations import LabelClass
from engine.api.errors import AnnotationError
from engine.api.replies import JobFinished
from engine.api.reviewing import (
    AnnotationsCompared,
    CompareAgain,
    CompareAnnotations,
    ComparedElsewhere,
    ConflictsFound,
    DescribeExamples,
    ExamplesDescribed,
    FindConflicts,
    LabelAs,
    SettleConflict,
    StopComparing,
    SuggestFrom,
    TakeTheirs,
)
from engine.session import Session
from tests.conftest import write_tiny_capture
from tests.engine.annotations.test_annotation_service import CUBE, ask, only, opened

WHOLE = ((38.0, 30.0), (58.0, 42.0))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("reviewed") / "tiny")


@pytest.fixture(scope="module")
def cache(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    opened(capture, folder).close()
    return folder


@pytest.fixture
def session(capture: Path, cache: Path) -> Iterator[Session]:
    """With the classes chair and table; every edit of a test is undone after it."""
    session = opened(capture, cache)
    ask(session, OpenAnnotations())
    ask(session, AddClass(name="chair"))
    ask(session, AddClass(name="table"))
    yield session
    while ask(session, UndoAnnotation()):
        pass
    session.close()


def conflicts(session: Session) -> ConflictsFound:
    replies = ask(session, FindConflicts())
    assert isinstance(replies[-1], JobFinished)
    (found,) = [r for r in replies if isinstance(r, ConflictsFound)]
    return found


def test_two_strokes_contradict_are_settled_and_are_back_after_reopening(
    session: Session, capture: Path, cache: Path
) -> None:
    assert conflicts(session).conflicts == ()
    first = only(session, DrawStroke(view=0, kind="box", path_px=WHOLE, class_id=1), AnnotationChanged).changed.rows
    second = only(session, DrawStroke(view=1, kind="box", path_px=WHOLE, class_id=2), AnnotationChanged).changed.rows
    shared = np.intersect1d(first, second)
    assert len(shared) > 10
    found = conflicts(session)
    told = np.unique(np.concatenate([c.rows for c in found.conflicts]))
    np.testing.assert_array_equal(told, shared)
    assert found.voxels == len(shared)
    (a, b) = found.conflicts[0].a, found.conflicts[0].b
    assert (a.view, a.name, a.class_id, b.view, b.name, b.class_id) == (0, "chair", 1, 1, "table", 2)
    ask(session, OpenAnnotations())
    session._close_annotations()  # the capture is closed and opened again: what was said is in the journal
    ask(session, OpenAnnotations())
    assert conflicts(session).voxels == len(shared)
    made = only(session, SettleConflict(rows=shared, class_id=1), AnnotationChanged)
    assert made.made
    assert made.changed.title == "Settle as chair"
    assert (session._annotations.state.labels[shared] == 1).all()
    assert conflicts(session).conflicts == ()
    only(session, UndoAnnotation(), AnnotationChanged)
    assert conflicts(session).voxels == len(shared)
    kept = only(session, SettleConflict(rows=shared, class_id=2), AnnotationChanged)
    assert kept.made  # though no label changes
    assert not len(kept.changed.rows)
    assert conflicts(session).conflicts == ()
    with pytest.raises(AnnotationError, match="no such class"):
        ask(session, SettleConflict(rows=shared, class_id=9))
    with pytest.raises(AnnotationError, match="not voxels"):
        ask(session, SettleConflict(rows=np.array([10**9]), class_id=1))


def test_masks_of_others_contradict_what_was_labelled(session: Session, tmp_path: Path) -> None:
    cube = only(session, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound).rows
    only(session, LabelRows(rows=cube, class_id=1), AnnotationChanged)
    ask(session, ExportAnnotations(path=str(tmp_path / "masks.json"), format="coco"))
    only(session, LabelRows(rows=cube, class_id=2), AnnotationChanged)
    replies = ask(session, ImportAnnotations(path=str(tmp_path / "masks.json"), format="coco"))
    (changed,) = [r for r in replies if isinstance(r, AnnotationChanged)]
    found = conflicts(session)
    assert found.conflicts
    assert {(c.a.view, c.a.name, c.b.name, c.b.mask) for c in found.conflicts} == {(None, "table", "chair", True)}
    assert found.voxels <= len(changed.changed.rows)
    assert found.voxels > 0.5 * len(cube)


def test_a_stroke_says_nothing_of_locked_voxels(session: Session) -> None:
    first = only(session, DrawStroke(view=0, kind="box", path_px=WHOLE, class_id=1), AnnotationChanged).changed.rows
    chair = session._annotations.state.palette[0]
    ask(session, PutThing(thing=LabelClass(chair.id, chair.name, chair.rgb, chair.digit, locked=True)))
    only(session, DrawStroke(view=1, kind="box", path_px=WHOLE, class_id=2), AnnotationChanged)
    assert (session._annotations.state.labels[first] == 1).all()
    assert conflicts(session).conflicts == ()


def test_another_annotator_is_compared_and_taken_over(session: Session, tmp_path: Path) -> None:
    path, rows = tmp_path / "b.npz", np.arange(400)
    only(session, LabelRows(rows=rows, class_id=1), AnnotationChanged)
    lamp = only(session, AddClass(name="lamp"), AnnotationChanged).things.palette[-1]
    only(session, LabelRows(rows=rows[:100], class_id=lamp.id), AnnotationChanged)
    ask(session, ExportAnnotations(path=str(path), format="npz"))
    for _ in range(3):
        ask(session, UndoAnnotation())
    only(session, LabelRows(rows=rows[50:], class_id=2), AnnotationChanged)
    found = only(session, CompareAnnotations(path=str(path)), AnnotationsCompared)
    assert [(c.name, c.mine, c.theirs, c.iou) for c in found.classes] == [
        ("table", 350, 0, 0.0), ("chair", 0, 300, 0.0), ("lamp", 0, 100, 0.0),
    ]  # fmt: skip
    assert (found.agreed, found.differ, found.told) == (0.0, 400, ())
    assert sum(len(p.rows) for p in found.places) == 400
    only(session, TakeTheirs(rows=rows[:200]), AnnotationChanged)
    labels = session._annotations.state.labels
    names = {c.id: c.name for c in session._annotations.state.palette}
    assert {names[x] for x in labels[:100]} == {"lamp"}
    assert {names[x] for x in labels[100:200]} == {"chair"}
    assert {names[x] for x in labels[200:400]} == {"table"}
    again = only(session, CompareAgain(), AnnotationsCompared)
    assert again.differ == 200
    ask(session, StopComparing())
    with pytest.raises(AnnotationError, match="no other annotations"):
        ask(session, CompareAgain())


def test_a_file_of_another_capture_is_offered_by_position(session: Session, tmp_path: Path) -> None:
    path, rows = tmp_path / "b.npz", np.arange(400)
    only(session, LabelRows(rows=rows, class_id=1), AnnotationChanged)
    ask(session, ExportAnnotations(path=str(path), format="npz"))
    with np.load(path) as z:
        arrays = dict(z)
    arrays["pos_w"] = arrays["pos_w"] + np.where(np.arange(len(arrays["pos_w"])) < 30, 90.0, 0.0)[:, None]
    arrays["meta"] = np.frombuffer(
        bytes(arrays["meta"]).replace(session.scene.capture.fingerprint.encode(), b"another"), np.uint8
    )
    np.savez(path, **arrays)
    other = only(session, CompareAnnotations(path=str(path)), ComparedElsewhere)
    assert "another capture" in other.what
    found = only(session, CompareAnnotations(path=str(path), by_position=True), AnnotationsCompared)
    assert "30 of 400 labelled points lie on no voxel" in found.told[0]
    assert found.differ == 30
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:500])
    with pytest.raises(AnnotationError, match=r"cannot be read|malformed"):
        ask(session, CompareAnnotations(path=str(tmp_path / "cut.npz")))


def test_examples_are_carried_from_scene_to_scene(session: Session, capture: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no example"):
        ask(session, DescribeExamples(class_id=1))
    cube = only(session, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound).rows
    only(session, LabelRows(rows=cube, class_id=1), AnnotationChanged)
    told = only(session, DescribeExamples(class_id=1), ExamplesDescribed)
    (example,) = told.examples
    assert np.linalg.norm(example.image) == pytest.approx(1)
    # what was fitted and encoded, but not what is annotated: the same scene, as if it were another
    shutil.copytree(cache, tmp_path / "cache", ignore=shutil.ignore_patterns("annotations"))
    other = opened(capture, tmp_path / "cache")
    ask(other, OpenAnnotations())
    (best, *_) = only(other, SuggestFrom(examples=told.examples, encoder=told.encoder), SuggestionsFound).suggestions
    assert len(np.intersect1d(best.rows, cube)) / len(np.union1d(best.rows, cube)) > 0.9
    assert best.score > 0.9
    made = only(other, LabelAs(rows=best.rows, name="chair", rgb=(1, 2, 3)), AnnotationChanged)
    assert [c.name for c in made.things.palette] == ["chair"]
    assert made.steps == (1, 0)
    with pytest.raises(AnnotationError, match="another encoder"):
        ask(other, SuggestFrom(examples=told.examples, encoder="foreign"))
    other.close()


def test_review_counts_by_class_and_gives_what_is_left(session: Session) -> None:
    only(session, LabelRows(rows=np.arange(50), class_id=2), AnnotationChanged)
    found = only(session, ReviewAnnotations(), ReviewFound)
    assert [(c.name, c.voxels, c.instances) for c in found.classes] == [("table", 50, 1), ("chair", 0, 0)]
    assert len(found.parts) == len(found.unlabelled)
    labels = session._annotations.state.labels
    assert all(not labels[rows].any() for rows in found.parts)
    shown = only(session, LookAtPhoto(view=0), PhotoVoxels)
    assert shown.rows.max() < found.voxels
    only(session, RemoveThing(kind="class", thing_id=2), AnnotationChanged)
