"""Tasks as the window asks for them: progress, losses, what is measured and on what, heads, and mistakes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.annotations.formats.ply import read_vertices
from engine.api.errors import CondenseError
from engine.api.replies import JobFinished, JobProgress, Notice, Reply
from engine.api.tasks import (
    CaseFile,
    HeadReady,
    LearnTask,
    LoadHead,
    NameCapture,
    SaveHead,
    ShowCase,
    TaskMeasured,
    TaskRead,
    TaskRequest,
    TaskStep,
)
from engine.tasks import classify as classifying
from engine.tasks.classify import iou_of
from engine.tasks.readers.detect import task_of
from engine.tasks.service import RED, TaskService

from .made import KINDS, class_folder
from .made_scans import KINDS as KINDS_OF_POINTS
from .made_scans import LAYOUTS, annotated


@pytest.fixture(autouse=True)
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifying, "LEAST_VIEWS", 1)
    monkeypatch.setattr(classifying, "MOST_VIEWS", 1)
    monkeypatch.setattr(classifying, "TURNS", 1)


@pytest.fixture
def service(tmp_path: Path) -> TaskService:
    torch.set_num_threads(1)
    return TaskService(device="cpu", cache=tmp_path / "cache", seed=0)


def served(service: TaskService, request: TaskRequest) -> list[Reply]:
    return [r for r in service.handle(request, None) if r is not None]


def of(replies: list[Reply], kind: type) -> list[Any]:
    return [r for r in replies if isinstance(r, kind)]


def test_objects_are_learnt_measured_and_shown(tmp_path: Path, service: TaskService) -> None:
    data = class_folder(tmp_path / "data", 2, 2)
    (data / "ball" / "test" / "cut.off").write_text("OFF\n9")
    request = LearnTask(data=str(data), seeds=2)
    replies = served(service, request)
    (read,) = of(replies, TaskRead)
    assert (read.kind, read.names, read.train, read.test) == ("classify", KINDS, 6, 6)
    assert [Path(path).name for path, _ in read.broken] == ["cut.off"]
    assert "cut.off" not in read.tested
    runs: list[TaskMeasured] = of(replies, TaskMeasured)
    assert [(r.init, r.seed) for r in runs] == [(i, s) for i in ("condense-s", "scratch") for s in (0, 1)]
    for run in runs:
        expected = np.zeros((3, 3), np.int64)
        np.add.at(expected, (run.cases.true, run.cases.said), run.cases.count)
        np.testing.assert_array_equal(run.confusion, expected)
        assert run.confusion.sum() == 6
        assert run.accuracy == pytest.approx(np.trace(run.confusion) / 6)
        np.testing.assert_allclose(run.iou, iou_of(run.confusion))
        assert ((run.cases.sure > 1 / 3 - 1e-6) & (run.cases.sure <= 1)).all()
    progress = of(replies, JobProgress)
    done = [p.done for p in progress if p.unit == "%"]
    assert done == sorted(done)
    assert 90 < done[-1] <= 100
    assert progress[0].note == "reading"
    assert isinstance(replies[-1], JobFinished)
    assert not of(replies, TaskStep)

    case = runs[0].cases
    show = ShowCase(learning=request.id, init="condense-s", seed=0, item=3, true=int(case.true[3]), said=0)
    (file,) = served(service, show)
    assert isinstance(file, CaseFile)
    assert Path(file.path).name == read.tested[3]
    assert Path(file.path).parent.parent.name == KINDS[case.true[3]]


def test_fine_tuning_tells_its_losses_and_the_first_head_is_kept(tmp_path: Path, service: TaskService) -> None:
    data = class_folder(tmp_path / "data", 1, 1, suffix="npz")
    request = LearnTask(data=str(data), mode="finetune", inits=("pointnet", "scratch"), seeds=1, steps=3)
    replies = served(service, request)
    steps: list[TaskStep] = of(replies, TaskStep)
    assert [(s.init, s.step, s.steps) for s in steps] == [(i, n, 3) for i in ("pointnet", "scratch") for n in (1, 2)]
    assert all(np.isfinite(s.loss) for s in steps)
    (ready,) = of(replies, HeadReady)
    assert (ready.kind, ready.names) == ("classify", KINDS)
    head = tmp_path / "head.safetensors"
    assert isinstance(served(service, SaveHead(path=str(head)))[0], Notice)
    other = TaskService(device="cpu", cache=tmp_path / "other", seed=0)
    (loaded,) = served(other, LoadHead(path=str(head)))
    assert isinstance(loaded, HeadReady)
    assert (loaded.kind, loaded.names, loaded.title) == ("classify", KINDS, "head.safetensors")

    (file,) = served(service, ShowCase(learning=request.id, init="scratch", seed=0, item=0, true=0, said=0))
    assert isinstance(file, CaseFile)
    assert len(read_vertices(Path(file.path))) > 16  # an NPZ is no capture, so it is written as one


def test_points_of_scans_are_learnt_and_mistakes_are_red(tmp_path: Path, service: TaskService) -> None:
    request = LearnTask(data=str(annotated(tmp_path / "data")), inits=("condense-s",), seeds=1)
    replies = served(service, request)
    (read,) = of(replies, TaskRead)
    assert (read.kind, set(read.names), read.train, read.test) == ("segment", set(KINDS_OF_POINTS), 2, 2)
    (run,) = of(replies, TaskMeasured)
    cases = run.cases
    assert cases.count.sum() == run.confusion.sum() == 1600
    for true in range(2):
        for said in range(2):
            here = (cases.true == true) & (cases.said == said)
            assert cases.count[here].sum() == run.confusion[true, said]
    at = int(np.argmax(cases.count))
    item, true, said = (int(x[at]) for x in (cases.item, cases.true, cases.said))
    show = ShowCase(learning=request.id, init="condense-s", seed=0, item=item, true=true, said=said)
    (file,) = served(service, show)
    assert isinstance(file, CaseFile)
    points = read_vertices(Path(file.path))
    red = np.all([points[c] == v for c, v in zip(("red", "green", "blue"), RED, strict=True)], axis=0)
    assert red.sum() == cases.count[at]


def test_what_data_is_for_is_told_apart(tmp_path: Path) -> None:
    assert task_of(class_folder(tmp_path / "a", 1, 1)) == "classify"
    assert task_of(class_folder(tmp_path / "b", 1, 1, split_first=True, suffix="npz")) == "classify"
    for name, make in LAYOUTS.items():
        assert task_of(make(tmp_path / name)) == "segment"


def test_mistakes_are_told(tmp_path: Path, service: TaskService) -> None:
    data = str(class_folder(tmp_path / "data", 1, 1))
    (tmp_path / "empty").mkdir()
    nothing = class_folder(tmp_path / "nothing", 1, 1)
    (nothing / "ball" / "test" / "ball_0000.off").unlink()
    for request, told in (
        (LearnTask(data=str(tmp_path / "nowhere")), "no such folder"),
        (LearnTask(data=str(tmp_path / "empty")), "neither class folders nor labelled scans"),
        (LearnTask(data=str(nothing)), "the class 'ball' has nothing to test with"),
        (LearnTask(data=data, labels="many"), "no share of labels"),
        (LearnTask(data=data, seeds=0), "cannot draw so often"),
        (LearnTask(data=data, inits=()), "nothing to start from"),
        (LearnTask(data=data, inits=("pointnet",)), "nothing to be probed"),
        (LearnTask(data=data, inits=(str(tmp_path / "none.safetensors"),)), "no such weights file"),
        (ShowCase(learning=1, init="scratch", seed=0, item=0, true=0, said=0), "not there any more"),
        (SaveHead(path=str(tmp_path / "head.safetensors")), "no head is in hand"),
        (LoadHead(path=str(tmp_path / "none.safetensors")), "no such weights file"),
        (NameCapture(), "no head is in hand"),
    ):
        with pytest.raises(CondenseError, match=told):
            served(service, request)


def test_a_job_that_is_closed_lets_go(tmp_path: Path, service: TaskService) -> None:
    """In the middle of the call that cannot be cut."""
    job = service.handle(LearnTask(data=str(class_folder(tmp_path / "d", 1, 1)), seeds=1), None)
    for reply in job:
        if isinstance(reply, JobProgress) and "fitting the head" in reply.note:
            break
    assert isinstance(job, Generator)
    job.close()  # waits for nothing
