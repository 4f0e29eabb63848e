"""The training panel by real events: what it asks of the engine, what it shows, what it never does."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from driving import MakeWindow
from fakes import FakeEngine, pseudo_features, room_scene, room_volume
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.panels.curves import nice_ticks, smoothed
from app.settings import Settings
from app.state import AppState
from app.training_state import KEPT_POINTS, MEASURES, Training, updated
from app.window import Window
from engine.api.replies import (
    Failed,
    JobFinished,
    Reply,
    TrainedWeights,
    TrainingPreview,
    TrainingUpdate,
    VoxelFeatures,
)
from engine.api.requests import CancelJob, EncodeViews, OpenCapture, PauseJob, PreviewView, SaveWeights, TrainEncoders

pytestmark = pytest.mark.qt_log_level_fail("WARNING")
ERROR = "no two photos share enough to learn from\n  at:       /data/room\n  expected: views that overlap"


@pytest.fixture(scope="module")
def shared(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Window, FakeEngine]]:
    """One window for most tests, for a window costs a second."""
    engine = FakeEngine(count=8)
    engine.volume = room_volume(0.2)  # coarse: the scene is not what is looked at here
    window = Window(engine, Settings(tmp_path_factory.mktemp("window") / "settings.ini"))
    window.resize(1180, 760)
    window.show()
    yield window, engine
    window.close()
    window.deleteLater()


@pytest.fixture
def engine(shared: tuple[Window, FakeEngine]) -> FakeEngine:
    engine = shared[1]
    engine.held, engine.failure = False, None
    engine.requests.clear()
    return engine


@pytest.fixture
def window(shared: tuple[Window, FakeEngine], engine: FakeEngine, qtbot: QtBot) -> Window:
    """The room is open anew, fitted and encoded; the canvas may still be drawing."""
    window = shared[0]
    qtbot.waitUntil(lambda: engine.started)
    blank = AppState()
    for name in ("encoder", "colouring", "colouring_chosen", "train_steps", "train_afresh", "banner"):
        window.controller.set(**{name: getattr(blank, name)})
    before = window.controller.state.scene
    engine.scene = room_scene(8)
    window.controller.open("room")
    qtbot.waitUntil(lambda: window.controller.state.scene not in (None, before))
    qtbot.waitUntil(lambda: window.controller.state.voxel_features is not None)
    qtbot.waitUntil(lambda: not any(j.live for j in window.controller.state.jobs))
    window.docks["training"].show()
    window.docks["jobs"].raise_()
    return window


def press(window: Window, name: str) -> None:
    button = window.training.buttons[name]
    window.training.ensureWidgetVisible(button)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def start(window: Window, engine: FakeEngine) -> TrainEncoders:
    """Bring the panel to the front and start; the request that it sent."""
    window.actions_by_id["training"].trigger()
    press(window, "train")
    return engine.sent(TrainEncoders)[-1]


def tell(window: Window, engine: FakeEngine, qtbot: QtBot, *replies: Reply) -> None:
    """Send replies and wait until the window has them all."""
    seen: list[Reply] = []
    window.bridge.received.connect(seen.append)
    for reply in replies:
        engine.reply(reply)
    qtbot.waitUntil(lambda: replies[-1] in seen)
    window.bridge.received.disconnect(seen.append)


def update(request: TrainEncoders, step: int, *, measured: bool = True) -> TrainingUpdate:
    value = 1 - math.exp(-step / 50)
    measures = dict.fromkeys(MEASURES, 0.2 + 0.6 * value) if measured else None
    return TrainingUpdate(
        id=request.id, step=step, steps=request.steps, losses={"total": 5 - 3 * value, "margin": 1.0}, measures=measures
    )


def pixels(widget: QWidget) -> np.ndarray:
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def test_an_empty_window_says_what_is_missing(make_window: MakeWindow) -> None:
    window = make_window(FakeEngine(count=8), path=None)
    window.actions_by_id["training"].trigger()
    panel = window.training
    assert panel.hint.isVisible()
    assert "Open a capture first." in panel.hint.text()
    assert "ConDense" in panel.hint.text()
    for name, button in panel.buttons.items():
        assert not button.isEnabled(), name
    assert panel.buttons["train"].toolTip() == "Open a capture first."
    assert not any(w.isVisible() for w in (panel.loss, panel.consistency, panel.preview, panel.bar))


def test_nothing_can_be_trained_before_the_scene_is_fitted(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8, held=True)
    window = make_window(engine, path=None)
    window.controller.auto = False
    window.open_demo()
    engine.answer(engine.sent(OpenCapture)[0])
    qtbot.waitUntil(lambda: window.controller.state.scene is not None)
    window.actions_by_id["training"].trigger()
    assert "Fit the scene first." in window.training.hint.text()
    assert not window.actions_by_id["train"].isEnabled()
    press(window, "train")
    window.controller.training.start()
    assert not engine.sent(TrainEncoders)


def test_start_asks_for_the_steps_of_the_spin_box(window: Window, engine: FakeEngine) -> None:
    window.controller.select(3)
    panel = window.training
    window.actions_by_id["training"].trigger()
    assert panel.steps.value() == 300
    panel.steps.setFocus()
    panel.steps.selectAll()
    QTest.keyClicks(panel.steps, "120")
    QTest.mouseClick(panel.afresh, Qt.MouseButton.LeftButton, pos=QPoint(10, panel.afresh.height() // 2))
    press(window, "train")
    (request,) = engine.sent(TrainEncoders)
    assert (request.steps, request.view, request.afresh) == (120, 3, False)
    assert panel.buttons["train_pause"].isVisible()
    assert panel.buttons["train_stop"].isVisible()
    assert not panel.buttons["train"].isVisible()
    assert panel.where.text().startswith("Preparing")
    assert [j.title for j in window.controller.state.jobs if j.id == request.id] == [request.title]


def test_updates_draw_curves_and_pictures(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    request = start(window, engine)
    panel = window.training
    tell(window, engine, qtbot, update(request, 1), update(request, 2))
    assert panel.where.text() == "Step 2 of 300"
    QApplication.processEvents()  # what was shown just now is laid out by an event
    before = [pixels(c) for c in (panel.loss, panel.consistency)]
    tell(window, engine, qtbot, *(update(request, s) for s in range(3, 200)))
    for curves, old in zip((panel.loss, panel.consistency), before, strict=True):
        assert (np.abs(pixels(curves) - old).max(axis=2) > 40).sum() > 100
    assert panel.bar.value() == int(1000 * 199 / 300)
    photo = np.full((30, 40, 3), (200, 40, 40), np.uint8)
    marched = np.full((30, 40, 3), (40, 40, 200), np.uint8)
    tell(window, engine, qtbot, TrainingPreview(id=request.id, step=199, view=2, photo=photo, marched=marched))
    seen = pixels(panel.preview)
    assert np.abs(seen[10, 10] - photo[0, 0]).max() < 6
    assert np.abs(seen[10, seen.shape[1] * 3 // 4] - marched[0, 0]).max() < 6
    assert panel.preview_of.text() == "frame_002.jpg at step 199"
    assert "not held out" in panel.caveat.text()


def test_the_pointer_reads_values_off_a_curve(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    request = start(window, engine)
    tell(window, engine, qtbot, *(update(request, s) for s in range(1, 301)))
    curves = window.training.loss
    assert curves.values_at(None)["total"][0] == 300
    plain = pixels(curves)
    plot = curves._plot()
    middle = QPoint(round(plot.center().x()), round(plot.center().y()))
    QTest.mouseMove(curves, middle + QPoint(-5, 0))
    QTest.mouseMove(curves, middle)
    qtbot.waitUntil(lambda: curves._hover is not None)
    assert curves._hover == pytest.approx(150, abs=2)
    assert (np.abs(pixels(curves) - plain).max(axis=2) > 20).sum() > 40
    assert curves.values_at(150)["total"] == (150, pytest.approx(5 - 3 * (1 - math.exp(-3))))


def test_pause_resume_and_stop(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    request = start(window, engine)
    panel = window.training
    pause = panel.buttons["train_pause"]
    tell(window, engine, qtbot, update(request, 5))
    press(window, "train_pause")
    assert [(r.job_id, r.paused) for r in engine.sent(PauseJob)] == [(request.id, True)]
    qtbot.waitUntil(lambda: pause.text() == "Resume")
    assert "paused" in panel.where.text()
    assert window.actions_by_id["train_pause"].isChecked()
    window.actions_by_id["train_pause"].trigger()
    assert engine.sent(PauseJob)[-1].paused is False
    qtbot.waitUntil(lambda: pause.text() == "Pause")
    press(window, "train_stop")
    assert engine.sent(CancelJob)[-1].job_id == request.id
    qtbot.waitUntil(panel.buttons["train"].isVisible)
    assert panel.where.text().startswith("Stopped after 5 of 300 steps")
    tell(window, engine, qtbot, update(request, 6))  # too late
    assert window.controller.state.training.step == 5


def test_stop_shows_that_it_was_heard(window: Window, engine: FakeEngine) -> None:
    start(window, engine)
    engine.held = True
    press(window, "train_stop")
    assert window.training.buttons["train_stop"].text() == "Stopping…"
    assert not window.training.buttons["train_stop"].isEnabled()


def test_a_failure_is_shown_whole(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    request = start(window, engine)
    tell(window, engine, qtbot, Failed(id=request.id, what=ERROR.splitlines()[0], text=ERROR))
    panel = window.training
    assert panel.error.isVisible()
    assert panel.error.text() == ERROR
    assert window.jobs.rows[request.id].note.text() == ERROR.splitlines()[0]
    assert panel.buttons["train"].isEnabled()
    press(window, "train")
    assert not panel.error.isVisible()


def test_trained_weights_can_be_used_saved_loaded_and_left(
    window: Window, engine: FakeEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = start(window, engine)
    panel = window.training
    tell(
        window, engine, qtbot, update(request, 300), TrainedWeights(id=request.id, folder="/cache/trained", step=300),
        JobFinished(id=request.id, title=request.title, seconds=120.0, metrics={}),
    )  # fmt: skip
    assert panel.where.text() == "Trained 300 of 300 steps  ·  2 min"
    press(window, "use_weights")
    assert engine.sent(EncodeViews)[-1].encoder == "condense:/cache/trained"
    qtbot.waitUntil(lambda: not panel.buttons["use_weights"].isVisible())
    assert "weights trained here" in panel.encoder.text()
    assert "weights trained here" in window.status._labels["encoder"].text()
    monkeypatch.setattr("app.dialogs.QFileDialog.getExistingDirectory", lambda *_: "/data/mine")
    press(window, "save_weights")
    assert engine.sent(SaveWeights)[-1].folder == "/data/mine"
    press(window, "load_weights")
    assert engine.sent(EncodeViews)[-1].encoder == "condense:/data/mine"
    assert "data/mine" in panel.encoder.text()
    press(window, "built_in_weights")
    assert engine.sent(EncodeViews)[-1].encoder == "default"
    qtbot.waitUntil(lambda: not panel.buttons["built_in_weights"].isVisible())
    assert panel.buttons["use_weights"].isVisible()


def test_weights_that_cannot_be_read_leave_the_encoder_as_it_was(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    engine.held = True
    window.controller.training.load_weights("/nowhere")
    request = engine.sent(EncodeViews)[-1]
    tell(window, engine, qtbot, Failed(id=request.id, what="no weights", text="no weights"))
    assert window.controller.state.encoder == "default"


def test_the_preview_follows_the_photo(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.controller.select(1)
    assert not engine.sent(PreviewView)
    start(window, engine)
    window.controller.click_pixel(4, 100.0, 100.0)
    window.controller.look_through(2)
    window.controller.select(2)
    assert [r.view for r in engine.sent(PreviewView)] == [4, 2]
    press(window, "train_stop")
    qtbot.waitUntil(lambda: not window.controller.state.training.live)
    window.controller.select(5)
    assert len(engine.sent(PreviewView)) == 2


def test_the_scene_turns_to_features_once_and_never_against_the_user(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    start(window, engine)
    assert window.controller.state.colouring == "features"
    window.actions_by_id["colour"].trigger()
    press(window, "train_stop")
    qtbot.waitUntil(window.training.buttons["train"].isVisible)
    press(window, "train")
    assert len(engine.sent(TrainEncoders)) == 2
    assert window.controller.state.colouring == "colour"


def test_features_of_a_training_that_is_over_are_ignored(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    request = start(window, engine)
    n = len(engine.volume.index)
    rgb = pseudo_features(engine.volume.centres_w())

    def features() -> VoxelFeatures:
        return VoxelFeatures(
            id=request.id, encoder="training", version=1, rgb=rgb, spread=np.zeros(n, np.float32)
        )  # fmt: skip

    live = features()
    tell(window, engine, qtbot, live)
    assert window.controller.state.voxel_features is live
    press(window, "train_stop")
    qtbot.waitUntil(lambda: not window.controller.state.training.live)
    assert window.training.buttons["built_in_weights"].isVisible()  # the scene still shows what was trained
    tell(window, engine, qtbot, features())
    assert window.controller.state.voxel_features is live


def test_another_capture_clears_the_training(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    request = start(window, engine)
    tell(window, engine, qtbot, *(update(request, s) for s in range(1, 30)))
    old = window.controller.state.scene
    engine.scene = type(old)(**{**vars(old), "name": "other"})
    window.controller.open("other")
    qtbot.waitUntil(lambda: (window.controller.state.scene or old).name == "other")
    assert window.controller.state.training is None
    assert window.training.hint.isVisible()
    assert not window.training.loss.isVisible()
    engine.reply(update(request, 31))
    qtbot.wait(30)
    assert window.controller.state.training is None
    qtbot.waitUntil(lambda: window.training.buttons["train"].isEnabled())
    assert start(window, engine).id > request.id


def test_a_capture_that_cannot_be_opened_ends_the_training(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    start(window, engine)
    engine.failure = "no poses"
    window.controller.open("broken")
    qtbot.waitUntil(lambda: not window.controller.state.training.live)
    assert window.controller.state.scene is not None
    assert window.training.buttons["train"].isEnabled()


def test_the_panel_is_remembered_and_comes_to_the_front(make_window: MakeWindow, qtbot: QtBot) -> None:
    window = make_window(FakeEngine(count=8), path=None)
    assert window.training.visibleRegion().isEmpty()  # behind Jobs
    show = window.actions_by_id["training"]
    assert show.shortcut().toString() == "F8"
    show.trigger()
    qtbot.waitUntil(lambda: not window.training.visibleRegion().isEmpty())
    show.trigger()
    assert window.docks["training"].isHidden()
    window.close()
    again = make_window(FakeEngine(count=8), path=None)
    assert again.docks["training"].isHidden()
    again.actions_by_id["training"].trigger()
    assert again.docks["training"].isVisible()


def test_everything_has_a_tooltip_and_the_keyboard_reaches_it(window: Window) -> None:
    panel = window.training
    for widget in (*panel.buttons.values(), panel.steps, panel.afresh, panel.preview, panel.caveat):
        assert widget.toolTip()
    for widget in (*panel.buttons.values(), panel.steps, panel.afresh):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_long_histories_are_thinned_and_keep_their_ends() -> None:
    t = Training(1, 5000)
    for step in range(1, 5001):
        t = updated(t, TrainingUpdate(id=1, step=step, steps=5000, losses={"total": 1.0 / step}))
    assert len(t.losses) <= KEPT_POINTS + 1
    assert (t.losses[0].step, t.losses[-1].step) == (1, 5000)
    steps = [p.step for p in t.losses]
    assert steps == sorted(set(steps))
    assert updated(t, TrainingUpdate(id=1, step=3, steps=5000, losses={})) is t


def test_smoothing_follows_steps_not_points() -> None:
    dense = smoothed(tuple((s, 1.0 if s > 50 else 0.0) for s in range(101)))
    sparse = smoothed(tuple((s, 1.0 if s > 50 else 0.0) for s in range(0, 101, 5)))
    assert dense[-1][1] == pytest.approx(sparse[-1][1], abs=0.03)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.93, 7.2), (-0.3, 1.0), (1e-6, 3e-6), (1200.0, 99000.0)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert nice_ticks(1.0, 1.0) == ()
