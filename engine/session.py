"""What is open, and the answers to requests about it. Runs on one thread: the worker's, or the caller's.

``Session.handle`` takes a request of ``engine.api.requests`` and yields replies (or None, to give way). Heavy imports
happen inside, so that a stored scene is shown before torch is loaded.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.annotating import AnnotationRequest
from engine.api.errors import CondenseError, QueryError
from engine.api.replies import CaptureOpened, EngineReady, PhotoLoaded, Reply
from engine.api.repository import RepositoryRequest
from engine.api.requests import (
    CompareViews,
    EncodeViews,
    FindKeypoints,
    FitGrid,
    LoadPhoto,
    MatchQuery,
    NameScene,
    OpenCapture,
    PhotographGeometry,
    PreviewView,
    PromptQuery,
    RenderView,
    Request,
    SaveAgreement,
    SaveKeypoints,
    SaveWeights,
    TrainEncoders,
)
from engine.api.tasks import TaskRequest
from engine.results import ResultStore
from engine.storage import default_cache_dir

if TYPE_CHECKING:
    from engine.annotations.service import AnnotationService
    from engine.repository.service import RepositoryService
    from engine.scene_state import SceneState
    from engine.tasks.service import TaskService

log = logging.getLogger(__name__)

REPORT_EVERY = 0.1  # seconds between progress replies


class Session:
    """Owns the open scene and the models.

    Args:
        device: as ``engine.runtime.resolve_device`` takes it.
        cache: folder of results; None: the user's cache folder.
        threads: processor threads; None: all.
        seed: of everything random.
    """

    def __init__(
        self, *, device: str = "auto", cache: Path | None = None, threads: int | None = None, seed: int = 0
    ) -> None:
        self._device_name = device
        self._cache = cache or default_cache_dir()
        self._threads = threads
        self.seed = seed
        self._scene: SceneState | None = None
        self._repository: RepositoryService | None = None
        self._tasks: TaskService | None = None
        self._annotations: AnnotationService | None = None

    def start(self) -> Iterator[Reply | None]:
        """Load the libraries, giving way between them, and say what is there."""
        import numba  # noqa: F401

        yield None
        import torch

        yield None
        from engine.encoders import encoder_names
        from engine.runtime import resolve_device, seed_all, set_threads

        # Measured about 2x on CPU convolutions at an error of 5e-7.
        torch.set_float32_matmul_precision("medium")
        set_threads(self._threads)
        seed_all(self.seed)
        gc.freeze()  # what the libraries are made of stays: walking it took a tenth of the window's processor time
        yield EngineReady(id=0, device=str(resolve_device(self._device_name)), encoders=encoder_names())

    def prepare(self) -> Iterator[Reply | None]:
        """Load the kernels, piece by piece."""
        from engine.warmup import STEPS

        yield None
        for _, step in STEPS:
            for _ in step():
                yield None

    def handle(self, request: Request) -> Iterator[Reply | None]:
        """Serve ``request``; see ``engine.api.requests`` for what answers what.

        Raises:
            CondenseError: the request cannot be done, and why.
        """
        match request:
            case OpenCapture():
                return self._open(request)
            case FitGrid():
                return self.scene.fit(request)
            case EncodeViews():
                return self.scene.encode(request)
            case FindKeypoints():
                return self.scene.find_keypoints(request)
            case CompareViews():
                from engine.comparing import compare

                return compare(self.scene, request)
            case SaveAgreement():
                from engine.comparing import save_agreement

                return save_agreement(self.scene, request)
            case NameScene():
                return self._name(request)
            case PromptQuery():
                return self._prompt(request)
            case SaveKeypoints():
                return self.scene.save_keypoints(request)
            case PhotographGeometry():
                from engine.bare.photograph import photograph

                return photograph(self.scene, request)
            case TrainEncoders():
                return self._train(request)
            case SaveWeights():
                from engine.tuning import save_weights

                return save_weights(self.scene, request)
            case PreviewView():
                self.scene.preview_view = self.scene.check_view(request.view)
                return iter(())
            case LoadPhoto():
                return self._photo(request)
            case MatchQuery():
                return self.scene.match(request)
            case RenderView():
                return self.scene.render(request)
            case RepositoryRequest():
                return self._serve_repository(request)
            case TaskRequest():
                return self._serve_task(request)
            case AnnotationRequest():
                return self._annotate(request)
            case _:
                raise QueryError(f"the engine does not know the request {type(request).__name__}")

    @property
    def scene(self) -> SceneState:
        """The open scene.

        Raises:
            QueryError: nothing is open.
        """
        if self._scene is None:
            raise QueryError("no capture is open", mend="open one first")
        return self._scene

    def close(self) -> None:
        self._close_annotations()
        self._scene = self._repository = self._tasks = None

    def _open(self, request: OpenCapture) -> Iterator[Reply | None]:
        from engine.captures import open_capture
        from engine.scene_state import SceneState

        capture = open_capture(request.path)
        self._close_annotations()
        self._scene = None  # the last scene's arrays are freed before the next one's are made
        store = ResultStore.of(capture.fingerprint, capture.path, self._cache)
        self._scene = SceneState(capture, store, device=self._device_name, seed=self.seed)
        stored = self._scene.restore(request.id)
        first = next(stored, None)  # so that the window has the capture and its voxels for one and the same picture
        yield CaptureOpened(id=request.id, scene=capture.scene_info())
        yield first
        yield from stored

    def _train(self, request: TrainEncoders) -> Iterator[Reply | None]:
        from engine.tuning import train

        yield None  # its imports took a while
        yield from train(self.scene, request)

    def _name(self, request: NameScene) -> Iterator[Reply | None]:
        from engine.prompting import name

        yield None
        yield from name(self.scene, request)

    def _prompt(self, request: PromptQuery) -> Iterator[Reply | None]:
        from engine.prompting import prompt

        yield prompt(self.scene, request)

    def _photo(self, request: LoadPhoto) -> Iterator[Reply | None]:
        photo = self.scene.capture.read(self.scene.check_view(request.view), max_side=request.max_side)
        yield PhotoLoaded(id=request.id, view=request.view, rgb=photo.rgb)

    def _serve_repository(self, request: RepositoryRequest) -> Iterator[Reply | None]:
        from engine.repository.service import RepositoryService

        yield None
        if self._repository is None:
            self._repository = RepositoryService(device=self._device_name, cache=self._cache, seed=self.seed)
        yield from self._repository.handle(request)

    def _serve_task(self, request: TaskRequest) -> Iterator[Reply | None]:
        from engine.tasks.service import TaskService

        yield None
        if self._tasks is None:
            self._tasks = TaskService(device=self._device_name, cache=self._cache, seed=self.seed)
        yield from self._tasks.handle(request, self._scene)

    def _annotate(self, request: AnnotationRequest) -> Iterator[Reply | None]:
        from engine.annotations.service import AnnotationService

        yield None
        if self._annotations is None:
            self._annotations = AnnotationService(self.scene)
        yield from self._annotations.handle(request)

    def _close_annotations(self) -> None:
        """Let others in. A failure is no obstacle to what comes next: every edit is in the journal already."""
        annotations, self._annotations = self._annotations, None
        try:
            if annotations is not None:
                annotations.close()
        except CondenseError as e:
            log.warning("%s", e)
