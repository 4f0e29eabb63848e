"""Volumes that come faster than they load are still seen."""

from __future__ import annotations

from dataclasses import replace

from pytestqt.qtbot import QtBot

from app.window import Window


def test_a_stream_of_volumes_does_not_starve_the_picture(window: Window, qtbot: QtBot) -> None:
    renderer, volume = window.canvas.renderer, window.controller.state.volume
    assert renderer is not None
    assert volume is not None
    window.canvas.surface.set_current()
    visual = renderer.volume
    before = visual.revision
    for n in range(200):  # a newer one after every step of work
        visual.set_volume(replace(volume, version=volume.version + 1 + n), [])
        visual.advance(wait=True)
    assert visual.revision > before
    for _ in range(10_000):
        if not visual.advance(wait=True):
            break
    assert not visual.busy
    assert visual._volume is not None
    assert visual._volume.version == volume.version + 200  # the newest is what remains
