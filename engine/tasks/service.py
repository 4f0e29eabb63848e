"""The tasks of the window: what is learnt, the head in hand, and the answers to requests about them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations.formats.ply import write_points
from engine.annotations.palette import fresh_colour
from engine.api.errors import QueryError
from engine.api.replies import JobFinished, Notice, Reply
from engine.api.tasks import (
    CaptureNamed,
    CaseFile,
    HeadReady,
    LearnTask,
    LoadHead,
    NameCapture,
    SaveHead,
    ShowCase,
    TaskRequest,
)
from engine.runtime import resolve_device
from engine.scene_state import Replies, report
from engine.storage import digest
from engine.tasks.folders import Labelled
from engine.tasks.learning import Learning, learn
from engine.tasks.predicting import named
from engine.tasks.saved import Saved, load_head, save_head

if TYPE_CHECKING:
    from engine.scene_state import SceneState

RED, DIM = (255, 48, 48), 0.45
"""Points that are asked for, and how bright all others are beside them."""


class TaskService:
    """Holds what was learnt last, and one head.

    Args:
        device: as ``engine.runtime.resolve_device`` takes it.
        cache: folder of what is read, of states, and of files that are shown.
        seed: the first.
    """

    def __init__(self, *, device: str, cache: Path, seed: int) -> None:
        self._device, self._cache, self._seed = device, cache, seed
        self._learning: Learning | None = None
        self._head: Saved | None = None

    def handle(self, request: TaskRequest, scene: SceneState | None) -> Iterator[Reply | None]:
        """Serve one request; see ``engine.api.tasks`` for what answers what. ``scene``: the open one.

        Raises:
            CondenseError: it cannot be done, and why.
        """
        match request:
            case LearnTask():
                return self._learn(request)
            case ShowCase():
                return self._show(request)
            case SaveHead():
                return self._save(request)
            case LoadHead():
                return self._load(request)
            case NameCapture():
                return self._name(request, scene)
            case _:
                raise QueryError(f"tasks do not know the request {type(request).__name__}")

    @property
    def head(self) -> Saved:
        """In hand.

        Raises:
            QueryError: there is none.
        """
        if self._head is None:
            raise QueryError("no head is in hand", mend="learn a task, or load a saved head")
        return self._head

    def _learn(self, request: LearnTask) -> Replies[None]:
        device = resolve_device(self._device)
        for reply in learn(request, device, self._cache, self._seed, self._keep):
            if isinstance(reply, HeadReady) and self._learning is not None and self._learning.head is not None:
                self._head = self._learning.head[0]
            yield reply

    def _keep(self, learning: Learning) -> None:
        self._learning = learning

    def _show(self, request: ShowCase) -> Replies[None]:
        learning = self._learning
        if learning is None or learning.id != request.learning or not 0 <= request.item < len(learning.tested):
            raise QueryError("what was tested is not there any more", mend="run the task again")
        path = learning.paths[request.item]
        if path is None:
            path = self._cache / "tasks" / "shown" / f"{digest(repr(request))}.ply"
            pos, rgb = _tested(learning, request)
            yield None
            write_points(path, pos, rgb, np.zeros(len(pos)), np.zeros(len(pos)))
        yield CaseFile(id=request.id, path=str(path))

    def _save(self, request: SaveHead) -> Replies[None]:
        head = self.head
        yield None
        save_head(Path(request.path), head, {})
        yield Notice(id=request.id, text=f"Saved the head to {request.path}")

    def _load(self, request: LoadHead) -> Replies[None]:
        path = Path(request.path)
        saved = load_head(path)
        yield None
        self._head = saved._replace(network=saved.network.to(resolve_device(self._device)))
        kind = "segment" if saved.segments else "classify"
        yield HeadReady(id=request.id, title=path.name, kind=kind, names=saved.names, colour=saved.colour)

    def _name(self, request: NameCapture, scene: SceneState | None) -> Replies[None]:
        start, head = time.perf_counter(), self.head
        if scene is None or scene.grid is None:
            raise QueryError("there are no voxels to name", mend="open a capture with photos, and fit it")
        if not head.segments:
            raise QueryError("this head names whole objects", mend="learn from labelled scans, or load such a head")
        version = scene.version
        _, label, sure = yield from report(request, named(head, scene))
        colours = tuple(fresh_colour(k) for k in range(1, len(head.names) + 1))
        yield CaptureNamed(
            id=request.id, version=version, names=head.names, colours=colours, label=label.astype(np.int64),
            sure=sure.astype(np.float32),
        )  # fmt: skip
        yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)


def _tested(learning: Learning, request: ShowCase) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points (P, 3) and colours (P, 3) of an object or scan; of a scan those that are asked for in red."""
    n = int(learning.tested[request.item])
    if isinstance(learning.data, Labelled):
        shape = learning.data.shapes[n]
        return shape.pos.astype(np.float32), shape.rgb
    scan, said = learning.data.scans[n], learning.said.get((request.init, request.seed))
    if said is None:
        raise QueryError("nothing was said of this scan", mend="run the task again")
    asked = (scan.label == request.true) & (said[request.item] == request.said)
    rgb = np.where(asked[:, None], np.array(RED), scan.rgb * DIM).astype(np.uint8)
    return scan.pos, rgb
