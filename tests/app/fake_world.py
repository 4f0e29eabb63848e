"""A controller and a repository that answers at once, without Qt."""

from __future__ import annotations

from fake_repository import FakeRepository
from fakes import room_scene
from test_controller import Outbox, opened

from app.controller import Controller
from app.repository import RepositoryDesk
from app.state import AppState
from engine.api.replies import CaptureOpened, EngineReady
from engine.api.repository import RepositoryRequest
from engine.api.requests import OpenCapture, Request

Pos = tuple[float, float, float]


class World:
    """The room is open, or nothing; and the repository."""

    def __init__(self, *, open_room: bool = True) -> None:
        self.controller, self.outbox = opened() if open_room else bare()
        self.fake = FakeRepository()
        self.placed: list[tuple[Pos, Pos | None]] = []
        self.remembered: list[str] = []
        self.desk = RepositoryDesk(
            self.controller,
            self.send,
            on_opened=self.remembered.append,
            on_place=lambda pos, eye: self.placed.append((pos, eye)),
        )
        self.desk.open("/repo")

    def send(self, request: Request) -> None:
        self.outbox.send(request)
        if isinstance(request, RepositoryRequest):
            self.fake.answer(request, self.controller.receive)

    @property
    def state(self) -> AppState:
        return self.controller.state

    def names(self) -> list[str]:
        return [s.name for s in self.desk.state.scenes or ()]

    def arrive(self, path: str) -> None:
        """The capture that was asked for last is open."""
        request = self.outbox.of(OpenCapture)[-1]
        self.controller.receive(CaptureOpened(id=request.id, scene=room_scene(8, path)))


def bare() -> tuple[Controller, Outbox]:
    outbox = Outbox()
    controller = Controller(outbox, AppState(), auto=False)
    controller.receive(EngineReady(id=0, device="cpu", encoders=("default",)))
    return controller, outbox
