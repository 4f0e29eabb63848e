"""The flight through the bookmarks as a video: drawn off screen, a frame between two turns of the event loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from app.canvas.path import fly_through
from app.canvas.scene_canvas import SceneCanvas
from app.controller import Controller
from app.video import VideoWriter, video_writer
from engine.api.camera import Camera
from engine.api.requests import new_id

TITLE = "Writing the flight"
MOST_FRAMES = 20_000


@dataclass(frozen=True)
class FlightPlan:
    """What is wanted.

    Attributes:
        seconds: how long it takes.
        fps: frames a second.
        size: width and height, pixels, even; None: as the canvas.
        loop: back to the first bookmark.
    """

    seconds: float = 8.0
    fps: int = 30
    size: tuple[int, int] | None = (1280, 720)
    loop: bool = False

    @property
    def frames(self) -> int:
        return max(2, min(round(self.seconds * self.fps), MOST_FRAMES))


class Flight(QObject):
    """Writes one flight at a time, as a job among the others.

    Args:
        controller: tells of it.
        canvas: draws it.
        parent: lives as long.
    """

    def __init__(self, controller: Controller, canvas: SceneCanvas, parent: QObject) -> None:
        super().__init__(parent)
        self._controller, self._canvas = controller, canvas
        self._cameras: list[Camera] = []
        self._writer: VideoWriter | None = None
        self._path, self._size, self._job, self._begun = Path(), (2, 2), 0, 0.0
        self._done = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._next)

    @property
    def running(self) -> bool:
        """Whether one is being written."""
        return self._writer is not None

    def start(self, path: Path, plan: FlightPlan) -> None:
        """Write a flight through the bookmarks of the open capture to ``path``, ending in .mp4 or a folder."""
        s = self._controller.state
        if s.scene is None or self.running:
            return
        width, height = plan.size or (self._canvas.widget.width(), self._canvas.widget.height())
        self._size = (width - width % 2, height - height % 2)  # as video formats have it
        try:
            views = [b.orbit for b in s.bookmarks]
            self._cameras = fly_through(views, s.scene.up_w, plan.frames, self._size, loop=plan.loop)
        except ValueError:
            self._controller.set(notice="Keep two different views first: Ctrl+B keeps the present one.")
            return
        self._path, self._job = path, 0
        try:
            self._writer = video_writer(path, self._size, plan.fps)
        except Exception as e:  # of the encoder's own kinds, too
            self._fail(e)
            return
        self._job, self._begun, self._done = new_id(), time.perf_counter(), 0
        self._controller.jobs.begin(self._job, TITLE, self.cancel)
        self._timer.start(0)

    def cancel(self) -> None:
        """Stop, and leave nothing behind."""
        if self._writer is not None:
            self._stop()
            self._controller.jobs.change(self._job, status="cancelled", eta=None)

    def _next(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.add(self._canvas.picture_from(self._cameras[self._done], self._size)[..., :3])
            self._done += 1
            if self._done == len(self._cameras):
                writer, self._writer = self._writer, None
                writer.finish()
        except Exception as e:  # of the encoder's own kinds, too
            self._stop()
            self._fail(e)
            return
        seconds = time.perf_counter() - self._begun
        if self._writer is None:
            self._controller.jobs.change(self._job, status="finished", seconds=seconds, eta=None)
            self._controller.set(notice=f"Saved {self._path}")
            return
        rate = self._done / seconds
        left = (len(self._cameras) - self._done) / rate
        self._controller.jobs.change(
            self._job, status="running", done=float(self._done), total=float(len(self._cameras)), unit="frames",
            rate=rate, eta=left, note=self._path.name,
        )  # fmt: skip
        self._timer.start(0)

    def _stop(self) -> None:
        writer, self._writer = self._writer, None
        self._timer.stop()
        if writer is not None:
            writer.abandon()

    def _fail(self, e: Exception) -> None:
        if self._job:
            self._controller.jobs.change(self._job, status="failed", eta=None)
        text = f"{self._path}: {e}\nChoose another place, or make room on the disk."
        self._controller.fail("The flight could not be written", text)
