"""Labels, selections and what is drawn of them, as plain data; and the desk without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from fake_annotations import FakeAnnotations
from fakes import BOXES, FakeEngine, cast_depth, featured
from hypothesis import given
from hypothesis import strategies as st
from test_controller import opened

from app.annotate import OF, AnnotateDesk
from app.annotate_state import Marks, Selection, label_colours
from app.controller import Controller
from app.history import Deed
from app.panels.label_paint import edges, painted_labels, painted_lit
from app.resolve_annotate import annotate_view, labels_over
from app.stepping import step_back
from app.theme import DARK
from engine.api.annotated import AnnotationChanged, AnnotationsOpened, Things
from engine.api.annotating import (
    AddClass,
    AnnotationRequest,
    DrawStroke,
    LabelRows,
    OpenAnnotations,
    PrepareAnnotating,
    SelectThing,
    SuggestByWords,
    UndoAnnotation,
)
from engine.api.annotations import Changed, LabelClass
from engine.api.replies import Failed, JobCancelled, JobProgress, SceneNamed
from engine.api.requests import PixelSource, Request

CHAIR, TABLE = LabelClass(1, "chair", (200, 100, 50), 1), LabelClass(2, "table", (10, 20, 30), 2)
THINGS = Things((CHAIR, TABLE))


def test_colours_follow_class_and_instance() -> None:
    labels = np.array([0, 1, 1, 2, 3], np.uint16)
    instances = np.array([0, 0, 1, 0, 1], np.uint32)
    hidden = LabelClass(2, "table", (10, 20, 30), visible=False)
    found = label_colours(labels, instances, (CHAIR, hidden))
    assert found[0].tolist() == [0, 0, 0, 0]
    assert found[1].tolist() == [200, 100, 50, 255]
    shade = 0.72 + 0.5 * 0.618033988749895
    assert found[2].tolist() == [round(200 * shade), round(100 * shade), round(50 * shade), 255]
    assert found[3, 3] == 0  # its class is not shown
    assert found[4].tolist() == [0, 0, 0, 0]  # of no class that there is


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 2), st.integers(0, 3)), max_size=12))
def test_edits_one_by_one_colour_as_all_at_once(edits: list[tuple[int, int, int]]) -> None:
    labels, instances = np.zeros(20, np.uint16), np.zeros(20, np.uint32)
    marks = Marks.of(1, labels, instances, THINGS)
    first = marks.colours.copy()
    for row, label, instance in edits:
        changed = Changed("x", np.array([row]), np.array([label], np.uint16), np.array([instance], np.uint32))
        marks = marks.after(changed, THINGS)
    whole = Marks.of(1, marks.labels, marks.instances, THINGS)
    np.testing.assert_array_equal(marks.colours, whole.colours)
    assert not labels.any()  # what was shown before is as it was
    np.testing.assert_array_equal(first, Marks.of(1, labels, instances, THINGS).colours)


def test_counts_are_of_voxels_and_instances() -> None:
    labels = np.array([0, 1, 1, 1, 2], np.uint16)
    marks = Marks.of(1, labels, np.array([0, 4, 4, 7, 0], np.uint32), THINGS)
    assert dict(marks.counts) == {1: (3, 2), 2: (1, 0)}
    assert marks.labelled == 4
    large = Marks.of(1, labels, np.array([0, 4, 4, 2**32 - 1, 0], np.uint32), THINGS)
    assert dict(large.counts) == {1: (3, 2), 2: (1, 0)}  # from files of others


def test_the_wheel_goes_from_level_to_level() -> None:
    score = np.array([0, 0.2, 0.4, 0.55, 1], np.float32)
    now = Selection(5, np.array([3, 4]), score=score, threshold=0.5)
    assert now.moved(1) == pytest.approx(0.4)
    assert now.moved(2) == pytest.approx(0.2)
    assert now.moved(9) == pytest.approx(0.2)  # never all there is
    assert now.moved(-1) == pytest.approx(1.0)
    assert Selection(5, np.array([1])).moved(3) == 0.5


def test_edges_are_where_a_neighbour_differs() -> None:
    values = np.zeros((4, 4), np.int64)
    values[1:3, 1:3] = 7
    wanted = np.ones((4, 4), bool)
    wanted[[0, 0, 3, 3], [0, 3, 0, 3]] = False
    np.testing.assert_array_equal(edges(values), wanted)
    assert not edges(np.ones((3, 3), np.int64)).any()


def test_photos_are_painted_where_they_show_a_label() -> None:
    marks = Marks.of(1, np.array([0, 1, 2], np.uint16), np.zeros(3, np.uint32), THINGS)
    rows = np.array([[-1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], np.int32)
    out = painted_labels(rows, marks)
    assert not out[0].any()
    assert out[1, 1, 3] == 255  # its edge
    assert out[3, 1].tolist() == [c * 158 // 256 for c in (200, 100, 50, 255)]
    lit = painted_lit(rows == 1, DARK)
    assert lit[1, 1].tolist() == [255, 255, 255, 255]
    assert 0 < lit[3, 2, 3] < 255
    assert not lit[0].any()


class Annotating:
    """The desk on a controller; the fake's annotations answer when told to."""

    def __init__(self, *, answering: bool = True) -> None:
        self.controller: Controller
        self.controller, self.outbox = opened()
        self.engine = FakeEngine(count=8)
        self.answering = answering
        self.fake: FakeAnnotations | None = None
        self.desk = AnnotateDesk(self.controller, self.send)
        featured(self.controller)
        volume = self.controller.state.volume
        assert volume is not None
        # the controller's volume is coarser than the fake engine's
        self.fake = FakeAnnotations(self.engine.scene, volume, [b[:2] for b in BOXES], cast_depth)

    def send(self, request: Request) -> None:
        self.outbox.send(request)
        if self.answering and self.fake is not None and isinstance(request, AnnotationRequest):
            self.fake.answer(request, self.controller.receive)

    def with_classes(self) -> Annotating:
        self.desk.ask(AddClass(name="chair"))
        self.desk.ask(AddClass(name="table"))
        return self


def test_annotations_open_once_the_scene_is_settled() -> None:
    controller, outbox = opened()
    AnnotateDesk(controller, outbox.send)
    controller.receive(JobProgress(id=5, title="Fitting", done=1, total=2, unit="s", rate=None, eta=None))
    featured(controller)
    assert not outbox.of(OpenAnnotations)  # a fit may replace the voxels any moment
    controller.jobs.change(5, status="finished")
    (request,) = outbox.of(OpenAnnotations)
    assert not request.begin
    controller.jobs.change(5, note="again")
    assert len(outbox.of(OpenAnnotations)) == 1


def test_edits_wait_until_annotations_are_open() -> None:
    world = Annotating(answering=False)
    world.desk.ask(AddClass(name="chair"))
    begin = world.outbox.of(OpenAnnotations)[-1]
    assert begin.begin
    assert not world.outbox.of(AddClass)
    world.fake.begun = True
    world.answering = True
    world.fake.answer(begin, world.controller.receive)
    assert [c.name for c in world.desk.state.marks.things.palette] == ["chair"]
    assert len(world.outbox.of(PrepareAnnotating)) == 1


def test_what_is_wanted_during_a_job_is_begun_after_it() -> None:
    world = Annotating()
    world.controller.receive(JobProgress(id=9, title="Naming", done=1, total=2, unit="s", rate=None, eta=None))
    world.desk.ask(AddClass(name="chair"))
    assert world.desk.state.marks is None
    world.controller.jobs.change(9, status="finished")
    assert [c.name for c in world.desk.state.marks.things.palette] == ["chair"]


def test_photos_that_were_not_prepared_are_prepared_for_the_next_tool() -> None:
    world = Annotating(answering=False)
    world.desk.begin()
    world.fake.begun = True
    world.fake.answer(world.outbox.of(OpenAnnotations)[-1], world.controller.receive)
    (job,) = world.outbox.of(PrepareAnnotating)
    world.desk.take("brush")
    assert len(world.outbox.of(PrepareAnnotating)) == 1
    world.controller.receive(JobCancelled(id=job.id, title=job.title))
    world.desk.take("lasso")
    assert len(world.outbox.of(PrepareAnnotating)) == 2


def test_steps_of_an_earlier_run_can_be_undone() -> None:
    world = Annotating(answering=False)
    world.desk.begin()
    begin = world.outbox.of(OpenAnnotations)[-1]
    volume = world.controller.state.volume
    none = np.zeros(len(volume.index))
    reply = AnnotationsOpened(
        id=begin.id, version=volume.version, begun=True, labels=none.astype(np.uint16),
        instances=none.astype(np.uint32), things=THINGS, steps=(3, 1),
    )  # fmt: skip
    world.controller.receive(reply)
    assert (world.controller.state.undoable, world.controller.state.redoable) == (3, 1)
    for _ in range(4):
        world.controller.history.undo()
    assert len(world.outbox.of(UndoAnnotation)) == 3
    world.controller.close_capture()
    assert (world.controller.state.undoable, world.controller.state.redoable) == (0, 0)


def test_more_deeds_are_remembered_than_settings() -> None:
    controller, _ = opened()
    done: list[int] = []
    for n in range(700):
        controller.history.did(Deed(lambda n=n: done.append(n), lambda: None, OF))
    controller.toggle_layer("grid")
    for _ in range(701):
        controller.history.undo()
    assert done == list(range(699, -1, -1))


def test_labels_of_other_voxels_are_not_shown() -> None:
    world = Annotating().with_classes()
    world.desk.ask(LabelRows(rows=world.fake.things[0], class_id=1))
    assert labels_over(world.controller.state).marks is not None
    featured(world.controller, version=2)
    assert labels_over(world.controller.state).marks is None
    assert [r.begin for r in world.outbox.of(OpenAnnotations)][-1]  # those of the new voxels, begun if need be


def test_an_older_answer_is_no_selection() -> None:
    world = Annotating().with_classes()
    world.desk.take("select")
    world.answering = False
    world.desk.tools.click(PixelSource(0, 10.0, 10.0))
    world.desk.tools.click(PixelSource(0, 20.0, 10.0))
    first, second = world.outbox.of(SelectThing)
    rows = np.arange(3)
    from engine.api.annotated import SelectionFound

    version = world.desk.state.marks.version
    world.controller.receive(SelectionFound(id=first.id, version=version, rows=rows))
    assert world.desk.state.selection is None
    world.controller.receive(SelectionFound(id=second.id, version=version, rows=rows))
    assert world.desk.state.selection is not None
    assert world.desk.state.selection.clicks == second.clicks


def test_strokes_need_a_class_but_selecting_does_not() -> None:
    world = Annotating()
    world.desk.begin()
    world.desk.take("lasso")
    path = [(1.0, 1.0), (40.0, 1.0), (40.0, 40.0)]
    world.desk.tools.stroke(0, "lasso", path, 4.0)
    assert not world.outbox.of(DrawStroke)
    assert "class" in world.controller.state.notice
    world.desk.tools.stroke(0, "lasso", path, 4.0, add=True)
    assert world.outbox.of(DrawStroke)[0].use == "add"
    assert world.desk.state.selection is not None
    world.desk.tools.stroke(0, "lasso", path, 4.0, subtract=True)
    assert world.desk.state.selection is None  # nothing is left
    world.desk.tools.stroke(0, "lasso", path, 4.0, subtract=True)
    assert world.outbox.of(DrawStroke)[-1].use == "erase"


def test_words_are_looked_for_once_the_scene_is_named() -> None:
    world = Annotating().with_classes()
    world.desk.by_words(" chair ")
    assert world.controller.state.naming
    assert not world.outbox.of(SuggestByWords)
    volume = world.controller.state.volume
    likely = np.zeros((len(volume.index), 1), np.uint16)
    named = SceneNamed(id=0, version=1, vocabulary=("chair",), photos=True, likely=likely,
                       chance=likely.astype(np.uint8))  # fmt: skip
    world.controller.store.update(named=named)
    (request,) = world.outbox.of(SuggestByWords)
    assert request.words == "chair"
    assert world.desk.state.offer.title == "“chair”"


def test_escape_goes_back_step_by_step() -> None:
    world = Annotating().with_classes()
    world.desk.take("select")
    world.desk.set(selection=Selection(5, np.array([1])))
    assert step_back(world.controller.state)["annotate"].tool == "select"
    world.controller.escape()
    assert world.desk.state.selection is None
    world.controller.escape()
    assert world.desk.state.tool is None


def test_a_window_that_only_reads_says_why() -> None:
    world = Annotating()
    world.fake.problem = "another window has these annotations open"
    world.desk.begin()
    view = annotate_view(world.controller.state)
    assert view.state.problem
    world.desk.take("fill")
    assert world.desk.tools.click(PixelSource(0, 10.0, 10.0))
    assert world.controller.state.notice.startswith("another window")


def test_a_failure_to_open_is_an_error_and_is_kept() -> None:
    world = Annotating(answering=False)
    world.desk.begin()
    request = world.outbox.of(OpenAnnotations)[-1]
    world.controller.receive(Failed(id=request.id, what="cannot be kept here", text="folder: cannot be kept here"))
    assert world.controller.state.banner.error
    assert world.desk.state.problem == "cannot be kept here"


def test_a_change_of_other_voxels_is_passed_over() -> None:
    world = Annotating().with_classes()
    before = world.desk.state.marks
    none = np.zeros(0, np.int64)
    changed = Changed("x", none, none.astype(np.uint16), none.astype(np.uint32))
    world.controller.receive(
        AnnotationChanged(id=0, version=99, changed=changed, things=Things(), steps=(0, 0), made=True)
    )
    assert world.desk.state.marks is before
