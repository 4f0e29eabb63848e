"""Views that are kept, the flight through them, and its video."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from driving import MakeWindow, wait_ready
from fakes import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QInputDialog
from pytestqt.qtbot import QtBot
from test_controller import opened

from app.bookmarks import MOST, Bookmark, Bookmarks
from app.canvas.home import Orbit, direction
from app.canvas.path import fly_through
from app.canvas.visuals.grid import basis
from app.flight import FlightPlan
from app.panels.flight_dialog import FlightDialog
from app.video import Mp4, Pictures, video_writer
from app.window import Window

UP_W = np.array([0.0, 0.0, 1.0])
CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
number = st.floats(-5, 5)
orbits = st.builds(
    Orbit, st.tuples(number, number, number), st.floats(-6, 6), st.floats(-1.55, 1.55), st.floats(0.1, 9)
)


def eye_of(o: Orbit) -> NDArray[np.float64]:
    return np.array(o.target_w) + o.distance * direction(basis(UP_W), o.yaw, o.pitch)


@given(st.lists(orbits, min_size=2, max_size=6), st.booleans())
def test_a_flight_goes_from_the_first_view_to_the_last_and_always_looks_somewhere(
    views: list[Orbit], loop: bool
) -> None:
    try:
        cameras = fly_through(views, UP_W, 120, (64, 48), loop=loop)
    except ValueError:
        keys = np.array([[*eye_of(v), *v.target_w] for v in views])
        assert np.abs(keys - keys[0]).max() < 1e-6
        return
    poses = np.array([c.c2w for c in cameras])
    assert len(poses) == 120
    assert np.isfinite(poses).all()
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1, atol=1e-6)
    np.testing.assert_allclose(cameras[0].centre_w, eye_of(views[0]), atol=1e-6)
    if not loop:
        np.testing.assert_allclose(cameras[-1].centre_w, eye_of(views[-1]), atol=1e-6)


def test_a_flight_sets_off_gently_and_is_even_between() -> None:
    there = [Orbit((float(x), 0.0, 0.0), 0.3, 0.2, 2.0) for x in range(4)]
    eyes = np.array([c.centre_w for c in fly_through(there, UP_W, 101, (64, 48))])
    np.testing.assert_allclose(eyes[-1] - eyes[0], [3, 0, 0], atol=1e-9)
    steps = np.diff(eyes[:, 0])
    assert steps[0] < 0.1 * steps[50]
    assert steps[-1] < 0.1 * steps[50]
    np.testing.assert_allclose(steps[20:80], steps[50], rtol=0.02)
    around = np.array([c.centre_w for c in fly_through(there, UP_W, 100, (64, 48), loop=True)])
    steps = np.linalg.norm(np.diff(around, axis=0), axis=1)
    assert np.linalg.norm(around[-1] - around[0]) < 1.5 * steps.max()  # one more would be the first again


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_flight_needs_two_views(count: int) -> None:
    with pytest.raises(ValueError, match="two different views"):
        fly_through([Orbit((0.0, 0.0, 0.0), 0.1, 0.2, 3.0)] * count, UP_W, 10, (64, 48))


def test_kept_renamed_removed_and_undone() -> None:
    controller, _ = opened()
    went: list[Orbit] = []
    here = Orbit((0.0, 0.0, 0.0), 0.1, 0.2, 3.0)
    kept = Bookmarks(controller.store, lambda: here, went.append)
    kept.add()
    kept.add()
    kept.rename(0, "  the   door ")
    kept.rename(1, "   ")
    assert [b.name for b in controller.state.bookmarks] == ["the door", "View 2"]
    kept.go(1)
    kept.go(7)
    assert went == [here]
    kept.remove(0)
    kept.add()
    assert [b.name for b in controller.state.bookmarks] == ["View 2", "View 1"]
    controller.history.undo()
    controller.history.undo()
    assert [b.name for b in controller.state.bookmarks] == ["the door", "View 2"]
    controller.set(bookmarks=tuple(Bookmark(f"{n}", here) for n in range(MOST)))
    kept.add()
    assert len(controller.state.bookmarks) == MOST
    assert "remove one" in controller.state.notice
    controller.close_capture()
    assert controller.state.bookmarks == ()
    kept.add()  # nothing is open
    assert controller.state.bookmarks == ()


def frames(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def test_pictures_become_a_video_or_a_folder(tmp_path: Path) -> None:
    some = [np.full((48, 64, 3), level, np.uint8) for level in (0, 80, 160, 240)]
    for path in (tmp_path / "a.mp4", tmp_path / "pictures"):
        writer = video_writer(path, (64, 48), 10)
        for rgb in some:
            writer.add(rgb)
        assert not path.exists()  # until it is whole
        writer.finish()
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.mp4", "pictures"]
    np.testing.assert_allclose([f.mean() for f in frames(tmp_path / "a.mp4")], [0, 80, 160, 240], atol=3)
    assert [np.asarray(Image.open(p)).mean() for p in sorted((tmp_path / "pictures").iterdir())] == [0, 80, 160, 240]
    with pytest.raises(FileExistsError):
        Pictures(tmp_path / "pictures")
    for writer in (Mp4(tmp_path / "b.mp4", (64, 48), 10), Pictures(tmp_path / "more")):
        writer.add(some[0])
        writer.abandon()
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.mp4", "pictures"]


@pytest.fixture
def standing(make_window: MakeWindow, qtbot: QtBot) -> Window:
    window = make_window(FakeEngine(count=4))
    wait_ready(window, qtbot)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def key(window: Window, which: Qt.Key, modifier: Qt.KeyboardModifier) -> None:
    QTest.keyClick(window.windowHandle(), which, modifier)


def test_by_keys_in_the_window(standing: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window, state = standing, standing.controller.store
    flight = CONTROL | Qt.KeyboardModifier.ShiftModifier
    key(window, Qt.Key.Key_B, flight)  # nothing is kept yet: it cannot be chosen
    assert not window.flight.running
    key(window, Qt.Key.Key_B, CONTROL)
    window.canvas.go_to("top", fly=False)
    key(window, Qt.Key.Key_B, CONTROL)
    first, second = state.state.bookmarks
    assert first.orbit != second.orbit
    key(window, Qt.Key.Key_1, ALT)
    qtbot.waitUntil(lambda: window.canvas.navigator.orbit == first.orbit, timeout=3_000)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("door", True))
    window._bookmark_menu.rename.actions()[1].trigger()
    assert [b.name for b in state.state.bookmarks] == ["View 1", "door"]

    monkeypatch.setattr(FlightDialog, "exec", lambda _: 1)
    monkeypatch.setattr(FlightDialog, "plan", lambda _: FlightPlan(0.4, 10, (161, 120)))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "flight.mp4"), ""))
    key(window, Qt.Key.Key_B, flight)
    qtbot.waitUntil(lambda: not window.flight.running, timeout=30_000)
    written = frames(tmp_path / "flight.mp4")
    assert [f.shape for f in written] == [(120, 160, 3)] * 4
    assert np.abs(written[0].astype(int) - written[-1]).mean() > 3
    assert state.state.jobs[-1].status == "finished"
    assert "flight.mp4" in state.state.notice


def test_a_flight_that_is_cancelled_or_cannot_be_written_leaves_nothing(standing: Window, tmp_path: Path) -> None:
    window, tmp_path = standing, tmp_path / "out"
    tmp_path.mkdir()
    plan = FlightPlan(2.0, 30, (64, 48))
    window.flight.start(tmp_path / "a.mp4", plan)
    assert "two different views" in window.controller.state.notice
    window.bookmarks.add()
    window.canvas.go_to("top", fly=False)
    window.bookmarks.add()
    window.flight.start(tmp_path / "a.mp4", plan)
    assert window.flight.running
    window.flight._next()
    window.controller.jobs.cancel_all()
    assert not window.flight.running
    assert window.controller.state.jobs[-1].status == "cancelled"
    assert list(tmp_path.iterdir()) == []
    window.flight.start(tmp_path / "no" / "such" / "a.mp4", plan)
    banner = window.controller.state.banner
    assert banner is not None
    assert "could not be written" in banner.text
    assert not window.flight.running
    window.flight.start(tmp_path / "b.mp4", plan)
    assert window.flight.running
    window.close()  # in the middle of it
    assert list(tmp_path.iterdir()) == []


def test_the_dialog_asks_what_is_needed(qtbot: QtBot) -> None:
    dialog = FlightDialog(3)
    qtbot.addWidget(dialog)
    assert dialog.plan() == FlightPlan()
    dialog.seconds.setValue(2)
    dialog.size_box.setCurrentIndex(2)
    dialog.loop.setChecked(True)
    assert dialog.plan() == FlightPlan(2.0, 30, None, True)
    assert dialog.plan().frames == 60


def test_pictures_from_elsewhere_leave_the_canvas_as_it_is(standing: Window, qtbot: QtBot) -> None:
    canvas = standing.canvas
    qtbot.wait(800)
    qtbot.waitUntil(lambda: canvas.renderer is not None and not canvas.renderer.unfinished, timeout=20_000)
    before = pixels_of(canvas.surface.grabFramebuffer())
    away = fly_through(
        [Orbit((0.0, 0.0, 0.0), 1.0, 0.9, 4.0), Orbit((1.0, 0.0, 0.0), 2.0, 0.9, 4.0)], UP_W, 2, (64, 48)
    )
    assert canvas.picture_from(away[0], (64, 48)).shape == (48, 64, 4)
    canvas.surface.update()
    qtbot.wait(200)
    after = pixels_of(canvas.surface.grabFramebuffer())
    assert (np.abs(before.astype(int) - after).max(axis=2) > 2).mean() < 0.001


def pixels_of(image: QImage) -> NDArray[np.uint8]:
    rgba = image.convertToFormat(QImage.Format.Format_RGBA8888)
    return np.frombuffer(rgba.constBits(), np.uint8).reshape(rgba.height(), rgba.width(), 4).copy()
