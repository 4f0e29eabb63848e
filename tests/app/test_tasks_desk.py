"""Tasks without Qt: what is asked, what answers change, what is listed, and what becomes labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import room_scene, room_volume

from app.controller import Controller
from app.resolve import resolve
from app.resolve_tasks import task_actions
from app.state import AppState, Job
from app.task_state import MOST_CASES, Learnt, Setup, cases, scores
from app.tasks import TasksDesk
from engine.api.annotating import AnnotationRequest, LabelNamed
from engine.api.replies import Failed, JobCancelled, JobFinished
from engine.api.requests import CancelJob, OpenCapture, Request
from engine.api.tasks import (
    CaptureNamed,
    CaseFile,
    Cases,
    HeadReady,
    LearnTask,
    LoadHead,
    NameCapture,
    ShowCase,
    TaskKind,
    TaskMeasured,
    TaskRead,
    TaskStep,
)

NAMES = ("bed", "chair", "sofa")


class Sent:
    """An outbox that only remembers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def send(self, request: Request) -> None:
        self.requests.append(request)

    def forget_match(self) -> None: ...

    def forget_hover(self) -> None: ...

    def of(self, kind: type) -> list[Any]:
        return [r for r in self.requests if isinstance(r, kind)]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def desk(sent: Sent) -> TasksDesk:
    controller = Controller(sent, AppState(), auto=False)
    return TasksDesk(controller, sent.send)


def read(id: int) -> TaskRead:
    return TaskRead(
        id=id, kind="classify", format="objects in class folders", names=NAMES, train=9, test=5,
        broken=(("cut.off", "no vertices"),), left_out=(), tested=("a.off", "b.off", "c.off", "d.off", "e.off"),
    )  # fmt: skip


def measured(id: int, init: str = "condense-s", seed: int = 0, accuracy: float = 0.4) -> TaskMeasured:
    """Five objects: a hit each of bed and sofa, chairs taken for sofas with chances of 0.5 and 0.9, one for a bed."""
    true, said = np.array([0, 1, 1, 1, 2]), np.array([0, 2, 2, 0, 2])
    sure = np.array([0.8, 0.5, 0.9, 0.7, 0.6], np.float32)
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (true, said), 1)
    return TaskMeasured(
        id=id, init=init, seed=seed, accuracy=accuracy, miou=0.3, iou=np.array([0.5, 0.0, 1 / 3]), confusion=confusion,
        cases=Cases(np.arange(5), true, said, np.ones(5, np.int64), sure), seconds=1.0,
    )  # fmt: skip


def begun(desk: TasksDesk, sent: Sent) -> LearnTask:
    desk.choose_data("/data/things")
    desk.start()
    (request,) = sent.of(LearnTask)
    return request


def test_the_setup_becomes_a_request(desk: TasksDesk, sent: Sent) -> None:
    desk.start()
    assert not sent.requests  # there is no data
    desk.choose_data("/data/things")
    desk.toggle_init("pointnet")
    assert desk.state.setup.inits == ("condense-s", "scratch")  # it knows nothing to be probed
    desk.choose_mode("finetune")
    desk.toggle_init("pointnet")
    desk.toggle_init("condense-s")
    assert desk.state.setup.inits == ("scratch", "pointnet")
    desk.choose_mode("probe")
    desk.toggle_init("scratch")
    assert desk.state.setup.inits == ("scratch",)  # one always stays
    desk.choose_labels(" 5 -shot ")
    desk.choose_labels("  ")
    desk.choose_seeds(2)
    desk.start()
    desk.start()  # it is at work already
    (request,) = sent.of(LearnTask)
    assert (request.data, request.inits, request.mode) == ("/data/things", ("scratch",), "probe")
    assert (request.labels, request.seeds) == ("5-shot", 2)
    (job,) = desk._store.state.jobs
    assert (job.id, job.title, job.outlives) == (request.id, "Learning a task", True)


def test_answers_are_kept_until_it_ends(desk: TasksDesk, sent: Sent) -> None:
    request = begun(desk, sent)
    receive = desk._controller.receive
    receive(read(request.id))
    for step in (1, 2):
        receive(TaskStep(id=request.id, init="scratch", seed=1, step=step, steps=9, loss=1 / step))
    receive(measured(request.id))
    receive(measured(10**6))  # of another
    t = desk.state.learnt
    assert t is not None
    assert t.live
    assert [p.values["loss"] for p in t.losses["scratch", 1]] == [1, 0.5]
    assert (t.steps, len(t.runs)) == (9, 1)
    assert task_actions(desk._store.state) >= {"task_stop"}
    receive(JobFinished(id=request.id, title=request.title, seconds=3.0))
    t = desk.state.learnt
    assert t is not None
    assert (t.ending, t.seconds) == ("finished", 3.0)
    assert "task_run" in task_actions(desk._store.state)


def test_stopping_keeps_what_was_measured(desk: TasksDesk, sent: Sent) -> None:
    request = begun(desk, sent)
    desk._controller.receive(read(request.id))
    desk._controller.receive(measured(request.id))
    desk.stop()
    (cancel,) = sent.of(CancelJob)
    assert cancel.job_id == request.id
    desk._controller.receive(JobCancelled(id=request.id, title=request.title))
    t = desk.state.learnt
    assert t is not None
    assert (t.ending, len(t.runs)) == ("stopped", 1)


def test_what_went_wrong_is_told_in_the_panel(desk: TasksDesk, sent: Sent) -> None:
    request = begun(desk, sent)
    desk._controller.receive(Failed(id=request.id, what="no such folder", text="/data/things: no such folder"))
    t, state = desk.state.learnt, desk._store.state
    assert t is not None
    assert (t.ending, t.error) == ("failed", "/data/things: no such folder")
    assert state.banner is None
    assert (state.jobs[0].status, state.jobs[0].note) == ("failed", "no such folder")
    desk.load_head("/data/none")
    desk._controller.receive(Failed(id=sent.of(LoadHead)[0].id, what="no such file", text="no such file"))
    assert desk.state.loading == 0
    assert desk._store.state.banner is not None


def test_scores_are_means_and_deviations_over_seeds() -> None:
    runs = (measured(1, accuracy=0.4), measured(1, seed=1, accuracy=0.8), measured(1, "scratch", accuracy=0.2))
    first, second = scores(Learnt(1, Setup(), read(1), runs=runs))
    assert (first.init, first.runs) == ("condense-s", 2)
    assert first.accuracy == pytest.approx(0.6)
    assert first.accuracy_deviation == pytest.approx(0.4 / np.sqrt(2))
    assert (second.init, second.accuracy, second.accuracy_deviation) == ("scratch", 0.2, None)


def test_mistakes_come_with_the_surest_first() -> None:
    t = Learnt(1, Setup(), read(1))
    listed, count = cases(t, measured(1), None)
    assert [(c.name, c.sure) for c in listed] == [("c.off", pytest.approx(0.9)), ("d.off", pytest.approx(0.7)),
                                                  ("b.off", pytest.approx(0.5))]  # fmt: skip
    assert count == 3
    listed, _ = cases(t, measured(1), (1, 2))
    assert [c.name for c in listed] == ["c.off", "b.off"]
    listed, _ = cases(t, measured(1), (2, 2))  # hits can be looked at, too
    assert [c.name for c in listed] == ["e.off"]
    run = measured(1)
    many = Cases(*(np.tile(x, 200) for x in (run.cases.item, run.cases.true, run.cases.said, run.cases.count)),
                 np.tile(run.cases.sure, 200))  # fmt: skip
    listed, count = cases(t, replace(run, cases=many), None)
    assert (len(listed), count) == (MOST_CASES, 600)


def test_a_case_is_opened_as_a_capture(desk: TasksDesk, sent: Sent) -> None:
    request = begun(desk, sent)
    desk._controller.receive(read(request.id))
    desk._controller.receive(measured(request.id, "scratch", 3))
    desk.choose_cell((1, 2))
    t = desk.state.learnt
    assert t is not None
    run = t.run(None)
    assert run is not None
    desk.show(cases(t, run, desk.state.cell)[0][0])
    (show,) = sent.of(ShowCase)
    assert (show.learning, show.init, show.seed, show.item, show.true, show.said) == (request.id, "scratch", 3, 2, 1, 2)
    desk._controller.receive(CaseFile(id=10**6, path="/late.off"))
    assert not sent.of(OpenCapture)
    desk._controller.receive(CaseFile(id=show.id, path="/data/things/chair/test/c.off"))
    assert [r.path for r in sent.of(OpenCapture)] == ["/data/things/chair/test/c.off"]
    desk.choose_cell((1, 2))
    assert desk.state.cell is None


def head(kind: TaskKind = "segment") -> HeadReady:
    return HeadReady(id=1, title="head.safetensors", kind=kind, names=NAMES, colour=True)


def test_the_scene_is_named_and_kept_as_labels(desk: TasksDesk, sent: Sent) -> None:
    store, volume = desk._store, room_volume(0.4)
    controller = desk._controller
    assert "load a saved head" in resolve(store.state).tasks.obstacle
    controller.receive(head("classify"))
    assert "whole objects" in resolve(store.state).tasks.obstacle
    controller.receive(head())
    assert "Open a capture" in resolve(store.state).tasks.obstacle
    store.update(scene=room_scene(4), volume=volume, jobs=(Job(7, "Encoding photos"),))
    assert "Wait" in resolve(store.state).tasks.obstacle
    store.update(jobs=())
    assert "task_name" in task_actions(store.state)
    desk.name()
    (request,) = sent.of(NameCapture)
    count = len(volume.index)
    label, sure = np.arange(count) % 3, np.full(count, 0.9, np.float32)
    sure[label == 1] = 0.3  # no chair is sure
    named = CaptureNamed(
        id=request.id, version=volume.version, names=NAMES, colours=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
        label=label, sure=sure,
    )  # fmt: skip
    controller.receive(named)
    over = resolve(store.state).canvas.labels
    assert over.marks is not None
    assert over.marks.labels[:3].tolist() == [1, 0, 3]
    assert over.marks.colours[:3].tolist() == [[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 255, 255]]
    assert "labels" in resolve(store.state).layers.usable
    desk.choose_sure(0.2)
    assert resolve(store.state).canvas.labels.marks is not over.marks
    desk.choose_sure(0.5)

    requests: list[AnnotationRequest] = []
    desk.keep(requests.append)
    asked = [r for r in requests if isinstance(r, LabelNamed)]
    assert len(asked) == len(requests)
    assert [(r.name, r.rgb) for r in asked] == [("bed", (255, 0, 0)), ("sofa", (0, 0, 255))]
    np.testing.assert_array_equal(asked[0].rows, np.flatnonzero(label == 0))
    assert resolve(store.state).canvas.labels.marks is None  # the labels are to be seen, and there are none here yet
    desk.set(shown=True)
    store.update(volume=replace(volume, version=volume.version + 1))
    assert desk.state.named is None  # it is of other voxels
