"""The session's answers to requests about annotations, on a real, tiny capture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
import pytest

from engine.api.annotated import (
    AnnotationChanged,
    AnnotationsOpened,
    PhotoVoxels,
    PlaceFound,
    ReviewFound,
    SelectionFound,
    SuggestionsFound,
)
from engine.api.annotating import (
    AddClass,
    AnnotationRequest,
    BoxRows,
    DrawOver,
    DrawStroke,
    ExportAnnotations,
    FindPlace,
    FloodFill,
    ImportAnnotations,
    LabelRows,
    LoadClasses,
    LookAtPhoto,
    MoveThreshold,
    OpenAnnotations,
    PaintAt,
    PrepareAnnotating,
    PutLandmark,
    PutNote,
    PutPolyline,
    PutThing,
    RedoAnnotation,
    RemoveThing,
    ResizeSelection,
    ReviewAnnotations,
    SaveClasses,
    SelectClick,
    SelectThing,
    SuggestAlike,
    UndoAnnotation,
)
from engine.api.annotations import LabelClass
from engine.api.errors import AnnotationError
from engine.api.jobs import finish
from engine.api.replies import JobFinished, Notice, Reply
from engine.api.requests import EncodeViews, FitGrid, OpenCapture, PixelSource, PointSource, Request
from engine.session import Session
from tests.conftest import write_tiny_capture

R = TypeVar("R", bound=Reply)
CUBE = PixelSource(0, 48.0, 36.0)
"""The middle of the first photo."""


def ask(session: Session, request: Request) -> list[Reply]:
    return [r for r in session.handle(request) if r is not None]


def only(session: Session, request: AnnotationRequest, kind: type[R]) -> R:
    (found,) = [r for r in ask(session, request) if isinstance(r, kind)]
    return found


def seen_at(session: Session) -> np.ndarray:
    """(3,) where the first photo shows ``CUBE``."""
    return np.array(session._annotations.seeing.place_w(CUBE))


def opened(capture: Path, cache: Path) -> Session:
    session = Session(device="cpu", cache=cache, threads=1)
    for _ in session.start():
        pass
    ask(session, OpenCapture(path=str(capture)))
    ask(session, FitGrid(seconds=4))
    ask(session, EncodeViews())
    return session


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("annotated") / "tiny")


@pytest.fixture(scope="module")
def cache(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the capture fitted and encoded."""
    folder = tmp_path_factory.mktemp("cache")
    opened(capture, folder).close()
    return folder


@pytest.fixture
def session(capture: Path, cache: Path) -> Iterator[Session]:
    """Annotations are open; every edit of a test is undone after it."""
    session = opened(capture, cache)
    ask(session, OpenAnnotations())
    ask(session, AddClass(name="chair"))
    ask(session, AddClass(name="table"))
    yield session
    while ask(session, UndoAnnotation()):
        pass
    session.close()


def test_without_begin_nothing_is_begun(capture: Path, tmp_path: Path, cache: Path) -> None:
    session = opened(capture, cache)
    scene = session.scene
    folder = scene.store.cache.parent / scene.capture.fingerprint / "annotations"
    before = sorted(folder.rglob("*"))
    reply = only(session, OpenAnnotations(begin=False), AnnotationsOpened)
    assert reply.begun == bool(before)
    assert sorted(folder.rglob("*"))[: len(before)] == before
    session.close()


def test_classes_get_colours_and_keys_and_stay_unlike(session: Session) -> None:
    changed = only(session, AddClass(name=" lamp "), AnnotationChanged)
    chair, table, lamp = changed.things.palette
    assert (lamp.name, lamp.digit, changed.changed.title) == ("lamp", 3, "Add class lamp")
    assert len({chair.rgb, table.rgb, lamp.rgb}) == 3
    with pytest.raises(AnnotationError, match="name already"):
        ask(session, AddClass(name="Chair"))
    with pytest.raises(AnnotationError, match="needs a name"):
        ask(session, AddClass(name="  "))
    only(session, RemoveThing(kind="class", thing_id=lamp.id), AnnotationChanged)


def test_a_click_selects_and_the_selection_is_labelled_undone_and_redone(session: Session) -> None:
    found = only(session, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound)
    assert len(found.rows) > 50
    assert found.score is not None
    assert found.score.shape == (len(session.scene.grid.index),)
    row = int(found.seeds[0])
    assert row in found.rows
    at = session.scene.grid.spec.to_world(session.scene.grid.index[row] + 0.5)
    same = only(session, SelectThing(clicks=(SelectClick(PointSource(tuple(at.tolist()))),)), SelectionFound)
    np.testing.assert_array_equal(same.rows, found.rows)
    more = only(session, MoveThreshold(score=found.score, seeds=found.seeds, threshold=0.01), SelectionFound)
    assert set(found.rows) < set(more.rows)
    grown = only(session, ResizeSelection(rows=found.rows, steps=1), SelectionFound)
    assert set(found.rows) < set(grown.rows)
    shrunk = only(session, ResizeSelection(rows=found.rows, steps=-1), SelectionFound)
    assert set(shrunk.rows) < set(found.rows)
    made = only(session, LabelRows(rows=found.rows, class_id=1), AnnotationChanged)
    assert made.made
    np.testing.assert_array_equal(made.changed.rows, found.rows)
    assert set(made.changed.instances) == {1}
    state = session._annotations.state
    only(session, UndoAnnotation(), AnnotationChanged)
    assert not state.labels.any()
    again = only(session, RedoAnnotation(), AnnotationChanged)
    assert not again.made
    assert (state.labels[found.rows] == 1).all()
    second = only(session, LabelRows(rows=found.rows[:5], class_id=2), AnnotationChanged)
    assert set(second.changed.instances) == {2}  # a thing of its own


def test_added_to_and_taken_from_what_was_selected_before(session: Session) -> None:
    base = np.arange(20)
    found = only(session, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound).rows
    added = only(session, SelectThing(clicks=(SelectClick(CUBE),), base=base), SelectionFound)
    np.testing.assert_array_equal(added.rows, np.union1d(base, found))
    taken = only(session, SelectThing(clicks=(SelectClick(CUBE),), base=found, subtract=True), SelectionFound)
    assert not len(taken.rows)


def test_a_stroke_labels_what_the_photo_shows_there(session: Session) -> None:
    shown = only(session, LookAtPhoto(view=0), PhotoVoxels)
    h, w = shown.rows.shape
    stroke = DrawStroke(view=0, kind="box", path_px=((38.0, 30.0), (58.0, 42.0)), class_id=1)
    made = only(session, stroke, AnnotationChanged)
    inside = shown.rows[
        round(30 / 72 * h) + 1 : round(42 / 72 * h) - 1, round(38 / 96 * w) + 1 : round(58 / 96 * w) - 1
    ]
    outside = shown.rows.copy()
    outside[round(30 / 72 * h) - 6 : round(42 / 72 * h) + 6, round(38 / 96 * w) - 6 : round(58 / 96 * w) + 6] = -1
    labels = session._annotations.state.labels
    assert (labels[inside[inside >= 0]] == 1).mean() > 0.95
    assert (labels[outside[outside >= 0]] == 1).mean() < 0.02
    assert set(made.changed.instances) == {1}
    beside = DrawStroke(view=0, kind="brush", path_px=((58.0, 36.0), (64.0, 36.0)), radius_px=3, class_id=1)
    assert set(only(session, beside, AnnotationChanged).changed.instances) == {1}  # goes on with what it touches
    far = DrawStroke(view=0, kind="lasso", path_px=((2.0, 60.0), (14.0, 60.0), (8.0, 70.0)), class_id=1)
    assert set(only(session, far, AnnotationChanged).changed.instances) == {2}
    erase = DrawStroke(view=0, kind="box", path_px=((0.0, 0.0), (96.0, 72.0)), use="erase")
    only(session, erase, AnnotationChanged)
    assert not labels[shown.rows[shown.rows >= 0]].any()
    chosen = only(session, DrawStroke(view=0, kind="box", path_px=stroke.path_px, use="add"), SelectionFound)
    np.testing.assert_array_equal(chosen.rows, made.changed.rows)
    left = DrawStroke(view=0, kind="box", path_px=stroke.path_px, use="subtract", rows=chosen.rows)
    assert not len(only(session, left, SelectionFound).rows)


def test_a_brush_over_the_scene_keeps_to_what_it_touches(session: Session) -> None:
    grid = session.scene.grid
    row = session._annotations.seeing.row(CUBE)
    centre = np.array(session._annotations.seeing.centre_w(row))
    radius = 3 * grid.spec.voxel
    painted = PaintAt(points_w=np.array([centre], np.float32), radius_w=radius, class_id=2)
    rows = only(session, painted, AnnotationChanged).changed.rows
    away = np.linalg.norm(grid.centres_w() - centre, axis=1)
    assert row in rows
    assert away[rows].max() <= radius + 1e-4
    with pytest.raises(AnnotationError, match="no line"):
        ask(session, PaintAt(points_w=np.full((1, 3), np.nan, np.float32), radius_w=1.0, class_id=2))


def test_fill_box_landmark_and_note(session: Session) -> None:
    filled = only(session, FloodFill(source=CUBE, class_id=1), AnnotationChanged)
    assert len(filled.changed.rows) > 0
    erased = only(session, FloodFill(source=CUBE, class_id=0), AnnotationChanged)
    np.testing.assert_array_equal(erased.changed.rows, filled.changed.rows)
    rows = np.arange(200)
    box = only(session, BoxRows(rows=rows, class_id=2), AnnotationChanged).things.boxes[0]
    assert box.class_id == 2
    put = only(session, PutLandmark(source=CUBE, class_id=1, name="corner"), AnnotationChanged).things.landmarks
    at, voxel = seen_at(session), session.scene.grid.spec.voxel
    assert put[0].pos_w == pytest.approx(at)  # no keypoints were looked for
    assert (
        np.abs(at - np.array(session._annotations.seeing.centre_w(session._annotations.seeing.row(CUBE)))).max() < voxel
    )
    note = only(session, PutNote(source=CUBE, text="odd"), AnnotationChanged).things.notes[0]
    assert note.text == "odd"
    with pytest.raises(AnnotationError, match="nothing of the scene"):
        ask(session, PutNote(source=PointSource((90.0, 0.0, 0.0)), text="x"))


def test_an_outline_over_the_scene_is_lifted(session: Session) -> None:
    camera = session.scene.capture.views[0].camera
    hits = finish(session._annotations.seeing.hits(0))
    corners = ((0.0, 0.0), (float(camera.width), float(camera.height)))
    drawn = DrawOver(camera=camera, depth_z=hits.depth_z, kind="box", path_px=corners, class_id=1)
    rows = only(session, drawn, AnnotationChanged).changed.rows
    np.testing.assert_array_equal(rows, np.flatnonzero(hits.shown))
    small = replace(drawn, kind="lasso", path_px=((30.0, 30.0), (60.0, 30.0), (60.0, 50.0), (30.0, 50.0)), use="add")
    shown = only(session, small, SelectionFound).rows
    deep = only(session, replace(small, through=True), SelectionFound).rows
    assert set(shown) < set(deep)
    left = only(session, replace(small, use="subtract", rows=rows), SelectionFound).rows
    np.testing.assert_array_equal(left, np.setdiff1d(rows, shown))
    only(session, replace(small, use="erase"), AnnotationChanged)
    assert not session._annotations.state.labels[shown].any()
    with pytest.raises(AnnotationError, match="no picture"):
        ask(session, replace(drawn, depth_z=np.zeros((0, 4), np.float32)))
    with pytest.raises(AnnotationError, match="no line of pixels"):
        ask(session, replace(small, path_px=((1.0, 1.0), (np.nan, 2.0), (3.0, 3.0))))
    blind = replace(drawn, depth_z=np.full_like(hits.depth_z, np.nan))
    assert not len(only(session, blind, AnnotationChanged).changed.rows)


def test_a_line_joins_places(session: Session) -> None:
    at = seen_at(session)
    (first,) = ask(session, FindPlace(source=CUBE))
    assert isinstance(first, PlaceFound)
    assert (first.snapped, first.pos_w) == (False, pytest.approx(at))
    px, _ = session.scene.capture.views[0].camera.project(at[None])
    assert np.abs(px[0] - (CUBE.x, CUBE.y)).max() < 4.3  # the next pixel that shows something
    keypoint = at.astype(np.float32) + 2 * np.float32(session.scene.grid.spec.voxel)
    session.scene.keypoints = SimpleNamespace(pos_w=keypoint[None], score=np.ones(1, np.float32))
    (near,) = ask(session, FindPlace(source=CUBE))
    assert near.snapped
    assert near.pos_w == pytest.approx(keypoint)
    (exact,) = ask(session, FindPlace(source=CUBE, snap=False))
    assert (exact.snapped, exact.pos_w) == (False, pytest.approx(at))
    drawn = PutPolyline(points_w=(first.pos_w, near.pos_w), class_id=1, name="edge")
    line = only(session, drawn, AnnotationChanged).things.polylines[0]
    assert (line.name, line.points_w, line.closed) == ("edge", (first.pos_w, near.pos_w), False)
    assert not only(session, UndoAnnotation(), AnnotationChanged).things.polylines
    assert only(session, RedoAnnotation(), AnnotationChanged).things.polylines == (line,)
    with pytest.raises(AnnotationError, match="two points"):
        ask(session, replace(drawn, points_w=drawn.points_w[:1]))
    with pytest.raises(AnnotationError, match="cannot be annotated"):
        ask(session, replace(drawn, points_w=((0.0, 0.0, float("inf")), (1.0, 0.0, 0.0))))


def test_photos_and_regions_are_prepared_once(session: Session) -> None:
    replies = ask(session, PrepareAnnotating(first=(5, 99)))
    photos = [r for r in replies if isinstance(r, PhotoVoxels)]
    assert [p.view for p in photos] == [5, 0, 1, 2, 3, 4, 6, 7]
    assert isinstance(replies[-1], JobFinished)
    voxels = len(session.scene.grid.index)
    assert all(p.rows.dtype == np.int32 and p.rows.min() >= -1 and p.rows.max() < voxels for p in photos)
    tree = session._annotations.seeing._select
    ask(session, SelectThing(clicks=(SelectClick(CUBE),)))
    assert session._annotations.seeing._select is tree


def test_a_click_goes_on_with_what_a_cancelled_job_began(session: Session) -> None:
    seeing = session._annotations.seeing
    job = seeing.selectable()
    for _ in range(3):
        next(job)
    job.close()
    making = seeing._making
    assert making is not None
    ask(session, SelectThing(clicks=(SelectClick(CUBE),)))
    assert seeing._making is making


def test_review_and_suggestions(session: Session) -> None:
    review = only(session, ReviewAnnotations(), ReviewFound)
    assert review.labelled == 0
    assert [h.title for h in review.history][-2:] == ["Add class chair", "Add class table"]
    sizes = [r.size for r in review.unlabelled]
    assert sizes == sorted(sizes, reverse=True)
    found = only(session, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound)
    offered = only(session, SuggestAlike(rows=found.rows), SuggestionsFound).suggestions
    assert all(not set(s.rows) & set(found.rows) for s in offered)


def test_locked_classes_are_left_alone(session: Session) -> None:
    only(session, LabelRows(rows=np.arange(10), class_id=1), AnnotationChanged)
    chair = session._annotations.state.palette[0]
    locked = LabelClass(chair.id, chair.name, chair.rgb, chair.digit, locked=True)
    only(session, PutThing(thing=locked), AnnotationChanged)
    changed = only(session, LabelRows(rows=np.arange(12), class_id=2), AnnotationChanged)
    assert changed.changed.rows.tolist() == [10, 11]
    with pytest.raises(AnnotationError, match="locked"):
        ask(session, LabelRows(rows=np.arange(3), class_id=1))


def test_labels_are_back_after_a_crash_and_a_second_window_reads_them(
    session: Session, capture: Path, cache: Path
) -> None:
    rows = np.arange(7, 60)
    only(session, LabelRows(rows=rows, class_id=1), AnnotationChanged)
    other = opened(capture, cache)  # the first one has not closed: to the disk that is a crash, or another window
    seen = only(other, OpenAnnotations(begin=False), AnnotationsOpened)
    assert "another window" in seen.problem
    assert np.flatnonzero(seen.labels).tolist() == rows.tolist()
    with pytest.raises(AnnotationError, match="another window"):
        ask(other, LabelRows(rows=rows, class_id=2))
    assert only(other, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound).rows.size  # looking is free
    other.close()


def test_files(session: Session, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="nothing is annotated"):
        ask(session, ExportAnnotations(path=str(tmp_path / "none.json"), format="json"))
    rows = np.arange(30)
    only(session, LabelRows(rows=rows, class_id=2), AnnotationChanged)
    for kind, name in (("json", "own.json"), ("coco", "masks.json"), ("ply", "points.ply")):
        replies = ask(session, ExportAnnotations(path=str(tmp_path / name), format=kind))
        assert isinstance(replies[-1], JobFinished)
        assert (tmp_path / name).is_file()
    assert {"images", "annotations", "categories"} <= set(json.loads((tmp_path / "masks.json").read_text()))
    only(session, LabelRows(rows=rows, class_id=0), AnnotationChanged)
    replies = ask(session, ImportAnnotations(path=str(tmp_path / "own.json")))
    (changed,) = [r for r in replies if isinstance(r, AnnotationChanged)]
    assert changed.changed.rows.tolist() == rows.tolist()
    assert changed.made
    with pytest.raises(AnnotationError, match="no such file"):
        ask(session, ImportAnnotations(path=str(tmp_path / "gone.json")))
    (tmp_path / "what.xyz").write_text("")
    with pytest.raises(AnnotationError, match="does not tell its format"):
        ask(session, ImportAnnotations(path=str(tmp_path / "what.xyz")))
    path = str(tmp_path / "classes.json")
    assert "2 classes" in only(session, SaveClasses(path=path), Notice).text
    assert not only(session, LoadClasses(path=path), AnnotationChanged).made  # they are all there


def test_labels_of_another_fit_are_brought_over_by_place(session: Session) -> None:
    cube = only(session, SelectThing(clicks=(SelectClick(CUBE),)), SelectionFound).rows
    only(session, LabelRows(rows=cube, class_id=1), AnnotationChanged)
    before = session.scene.grid.centres_w()[cube]
    kept = session.scene.grid
    session.scene.fit_cells = 20_000
    ask(session, FitGrid(seconds=2, refit=True))
    with pytest.raises(AnnotationError, match="other voxels"):
        ask(session, LabelRows(rows=cube, class_id=1))
    fresh = only(session, OpenAnnotations(), AnnotationsOpened)
    assert not fresh.labels.any()
    assert fresh.elsewhere
    replies = ask(session, ImportAnnotations(path=fresh.elsewhere, by_position=True))
    (changed,) = [r for r in replies if isinstance(r, AnnotationChanged)]
    now = session.scene.grid.centres_w()[changed.changed.rows]
    reach = 2 * max(kept.spec.voxel, session.scene.grid.spec.voxel)
    away = np.linalg.norm(now[:, None] - before[None], axis=2).min(axis=1)
    assert len(now) > 20
    assert away.max() < reach
