"""Which replies cross to the window: those about the capture before do not, those about the repository do."""

from __future__ import annotations

from fakes import FakeEngine
from pytestqt.qtbot import QtBot

from app.bridge import Bridge
from engine.api.replies import Notice, Reply
from engine.api.repository import FindByWords
from engine.api.requests import FitGrid, OpenCapture


def test_replies_to_what_outlives_a_capture_come_through(qtbot: QtBot) -> None:
    engine = FakeEngine(count=2)
    engine.held = True
    bridge = Bridge(engine)
    got: list[Reply] = []
    bridge.received.connect(got.append)
    bridge.start()
    fit, words, opening = FitGrid(), FindByWords(text="sofa"), OpenCapture(path="room")
    for request in (fit, words, opening):
        bridge.send(request)
    for request in (fit, words, opening):
        engine.reply(Notice(id=request.id, text="there"))
    qtbot.waitUntil(lambda: any(r.id == opening.id for r in got))
    assert [r.id for r in got if r.id] == [words.id, opening.id]
    bridge.close()
