"""Tasks: intents become requests, replies become ``AppState.tasks``. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from app.controller import Controller
from app.state import AppState, with_job
from app.task_state import Case, Cell, Learnt, Setup, TasksState, marks_of, stepped
from engine.api.annotating import AnnotationRequest, LabelNamed, PrepareAnnotating
from engine.api.replies import Failed, JobCancelled, JobFinished, Reply
from engine.api.requests import Request
from engine.api.tasks import (
    POINTNET,
    CaptureNamed,
    CaseFile,
    HeadReady,
    LearnTask,
    LoadHead,
    Mode,
    NameCapture,
    SaveHead,
    ShowCase,
    TaskMeasured,
    TaskRead,
    TaskStep,
)


class TasksDesk:
    """Asks the engine to learn a task, and keeps what it says.

    Args:
        controller: of the window.
        send: takes requests.
    """

    def __init__(self, controller: Controller, send: Callable[[Request], None]) -> None:
        self._controller, self._store, self._send = controller, controller.store, send
        controller.join(self)
        controller.store.listen(self._follow)

    @property
    def state(self) -> TasksState:
        return self._store.state.tasks

    def set(self, **changes: Any) -> None:
        """Set plain fields of the state."""
        self._store.update(tasks=replace(self.state, **changes))

    def _setup(self, **changes: Any) -> None:
        self.set(setup=replace(self.state.setup, **changes))

    # --- what is to be learnt

    def choose_data(self, folder: str) -> None:
        """Of labelled objects or scans."""
        if folder:
            self._setup(data=folder)

    def choose_mode(self, mode: Mode) -> None:
        """A PointNet is left out where a head alone learns: it knows nothing to be probed."""
        inits = self.state.setup.inits
        if mode == "probe":
            inits = tuple(i for i in inits if i != POINTNET) or Setup().inits
        self._setup(mode=mode, inits=inits)

    def toggle_init(self, init: str) -> None:
        """Start from it too, or no more; one always stays."""
        s = self.state.setup
        if init == POINTNET and s.mode == "probe":
            return
        inits = tuple(i for i in s.inits if i != init) if init in s.inits else (*s.inits, init)
        self._setup(inits=inits or s.inits)

    def choose_labels(self, labels: str) -> None:
        """How many of them keep their label."""
        if labels.strip():
            self._setup(labels=labels.strip().replace(" ", ""))

    def choose_seeds(self, seeds: int) -> None:
        self._setup(seeds=seeds)

    def start(self) -> None:
        """Learn and measure."""
        s = self.state.setup
        if not s.data or _live(self.state) is not None:
            return
        request = LearnTask(data=s.data, inits=s.inits, mode=s.mode, labels=s.labels, seeds=s.seeds)
        self.set(learnt=Learnt(request.id, s), chosen=None, cell=None, showing=0)
        self._job(request)
        self._send(request)

    def stop(self) -> None:
        """What was measured so far stays."""
        t = _live(self.state)
        if t is not None:
            self._controller.jobs.cancel(t.job_id)

    # --- what is looked at

    def look_at(self, init: str, seed: int) -> None:
        """At what was measured of that init and seed."""
        self.set(chosen=(init, seed))

    def choose_cell(self, cell: Cell | None) -> None:
        """List what is behind it; again, or None: all mistakes."""
        self.set(cell=None if cell == self.state.cell else cell)

    def show(self, case: Case) -> None:
        """Open what was tested as a capture."""
        t = self.state.learnt
        run = None if t is None else t.run(self.state.chosen)
        if t is None or run is None:
            return
        request = ShowCase(
            learning=t.job_id, init=run.init, seed=run.seed, item=case.item, true=case.true, said=case.said
        )
        self.set(showing=request.id)
        self._send(request)

    # --- heads

    def save_head(self, path: str) -> None:
        if path:
            self._send(SaveHead(path=path))

    def load_head(self, path: str) -> None:
        if path:
            request = LoadHead(path=path)
            self.set(loading=request.id)
            self._send(request)

    def name(self) -> None:
        """Say what each voxel of the open capture is."""
        request = NameCapture()
        self.set(naming=request.id)
        self._job(request)
        self._send(request)

    def choose_sure(self, sure: float) -> None:
        """From which chance on what the head says shows, and is kept."""
        named = self.state.named
        self.set(sure=sure, over=None if named is None else marks_of(named, sure))

    def keep(self, ask: Callable[[AnnotationRequest], None]) -> None:
        """Make labels of what shows, a step for each class.

        Args:
            ask: takes edits of the annotations.
        """
        named, over = self.state.named, self.state.over
        if named is None or over is None:
            return
        for k, (name, rgb) in enumerate(zip(named.names, named.colours, strict=True), start=1):
            rows = np.flatnonzero(over.labels == k)
            if len(rows):
                ask(LabelNamed(rows=rows, name=name, rgb=rgb))
        self.set(shown=False)  # the labels are to be seen now

    def _see_in_photos(self) -> None:
        """Have it found what each photo shows, unless annotating has."""
        s = self._store.state
        if s.scene is not None and len(s.annotate.photos) < len(s.scene.views):
            request = PrepareAnnotating(first=() if s.selected is None else (s.selected,))
            self._job(request)
            self._send(request)

    def _job(self, request: Request) -> None:
        jobs = with_job(self._store.state.jobs, request.id, title=request.title, outlives=request.outlives)
        self._store.update(jobs=jobs)

    def _follow(self, old: AppState, new: AppState) -> None:
        gone = old.scene is not new.scene or (
            new.tasks.named is not None and new.volume is not None and new.tasks.named.version != new.volume.version
        )
        if gone and (new.tasks.named is not None or new.tasks.naming):
            self.set(named=None, over=None, naming=0)

    # --- replies

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about tasks alone."""
        match reply:
            case TaskRead():
                self._change(reply.id, lambda t: replace(t, read=reply))
            case TaskStep():
                self._change(reply.id, lambda t: stepped(t, reply))
            case TaskMeasured():
                self._change(reply.id, lambda t: replace(t, runs=(*t.runs, reply)))
            case HeadReady():
                self.set(head=reply, loading=0, named=None, over=None)
            case CaseFile():
                if reply.id == self.state.showing:
                    self.set(showing=0)
                    self._controller.open(reply.path)
            case CaptureNamed():
                if reply.id == self.state.naming:
                    self.set(named=reply, naming=0, shown=True, over=marks_of(reply, self.state.sure))
                    self._controller.set_layer("labels", visible=True)
                    self._see_in_photos()
            case JobFinished():
                self._change(reply.id, lambda t: replace(t, ending="finished", seconds=reply.seconds))
                return False
            case JobCancelled():
                self._change(reply.id, lambda t: replace(t, ending="stopped"))
                self._ended(reply.id)
                return False
            case Failed():
                failed = self._change(reply.id, lambda t: replace(t, ending="failed", error=reply.text))
                self._ended(reply.id)
                if failed:  # it is told in the panel, on the data it is about
                    self._controller.jobs.change(reply.id, status="failed", eta=None, note=reply.what)
                return failed
            case _:
                return False
        return True

    def _change(self, job_id: int, change: Callable[[Learnt], Learnt]) -> bool:
        t = _live(self.state)
        if t is None or t.job_id != job_id:
            return False
        self.set(learnt=change(t))
        return True

    def _ended(self, id: int) -> None:
        """Something that was asked for will not come."""
        for name in ("showing", "loading", "naming"):
            if id and getattr(self.state, name) == id:
                self.set(**{name: 0})


def _live(state: TasksState) -> Learnt | None:
    t = state.learnt
    return t if t is not None and t.live else None
