"""Photos against the scene in the photos panel: asked when it is to be seen, shown as it comes, worst first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEngine, featured
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from test_controller import Outbox, opened

from app import colormaps
from app.panels.photo_paint import to_rect
from app.resolve import resolve
from app.window import Window
from engine.api.replies import Failed, JobFinished
from engine.api.requests import CompareViews, MatchQuery, SaveAgreement


def asked(outbox: Outbox) -> list[CompareViews]:
    return outbox.of(CompareViews)


def test_it_is_asked_for_once_and_again_when_the_features_change() -> None:
    controller, outbox = opened()
    featured(controller)
    assert not asked(outbox)
    controller.set_mode("agreement")
    (request,) = asked(outbox)
    engine = FakeEngine(count=8)
    controller.receive(engine.compared(3, request.id))
    assert controller.state.compared[3].view == 3
    controller.receive(JobFinished(id=request.id, title=request.title, seconds=1.0))
    controller.set_mode("scene")
    controller.set_mode("photo")
    controller.set_mode("agreement")
    assert len(asked(outbox)) == 1
    featured(controller, version=2)
    assert len(asked(outbox)) == 2
    stale = controller.state.compared[3]
    controller.receive(engine.compared(3, request.id))  # of the request before
    assert controller.state.compared[3] is stale


def test_table_and_pictures_are_saved_as_a_job() -> None:
    controller, outbox = opened()
    featured(controller)
    controller.comparison.save("/out")
    (request,) = outbox.of(SaveAgreement)
    assert request.folder == "/out"
    assert [j.title for j in controller.state.jobs] == ["Saving the comparison"]


def test_two_encoders_are_swiped_in_a_large_photo(window: Window, qtbot: QtBot) -> None:
    c, pane = window.controller, window.images.pane
    c.set_mode("features")
    c.comparison.keep()
    kept = c.state.kept_features
    assert kept is not None
    assert resolve(c.state).single.other is None  # no photo is large
    c.select(2)
    c.set_single(True)
    other = {i: replace(f, rgb=255 - f.rgb) for i, f in c.state.view_features.items()}
    c.set(view_features=other, encoder="dinov2:/models/small")
    shown = resolve(c.state).single.other
    assert shown is not None
    assert shown[0].features is kept.features[2]
    assert shown[1] != shown[2]
    qtbot.waitUntil(pane.isVisible, timeout=3_000)
    rect = pane.photo_rect()
    middle = rect.center().toPoint()

    def colour(dx: int) -> int:
        return pane.grab().toImage().pixelColor(middle + QPoint(dx, 30)).red()

    apart = (-60, -40, 40, 60)
    before = [colour(dx) for dx in apart]
    QTest.mousePress(pane, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(pane, middle + QPoint(90, 0))
    QTest.mouseRelease(pane, Qt.MouseButton.LeftButton, pos=middle + QPoint(90, 0))
    after = [colour(dx) for dx in apart]
    assert before[:2] == after[:2]  # these stay left of the line
    assert all(abs(a - (255 - b)) <= 2 for a, b in zip(after[2:], before[2:], strict=True))
    assert c.state.query is None  # a drag of the line asks nothing
    c.set_mode("photo")
    assert resolve(c.state).single.other is None
    c.comparison.keep()
    assert c.state.kept_features is None


def test_a_failure_goes_back_to_the_photos() -> None:
    controller, outbox = opened()
    featured(controller)
    controller.set_mode("scene")
    (request,) = asked(outbox)
    controller.receive(Failed(id=request.id, what="no", text="no"))
    assert controller.state.panel_mode == "photo"
    assert len(asked(outbox)) == 1
    controller.set_mode("scene")
    assert len(asked(outbox)) == 2


def test_keypoints_and_comparison_wait_for_each_other() -> None:
    controller, outbox = opened()
    featured(controller)
    controller.set_mode("agreement")
    controller.toggle_layer("keypoints")
    (request,) = asked(outbox)
    assert [j.title for j in controller.state.jobs] == [request.title]
    controller.receive(JobFinished(id=request.id, title=request.title, seconds=1.0))
    assert [j.title for j in controller.state.jobs] == [request.title, "Finding keypoints"]


def test_sorting_puts_those_that_agree_least_first() -> None:
    controller, outbox = opened()
    featured(controller)
    controller.set_mode("agreement")
    engine = FakeEngine(count=8)
    for view in range(7):  # one is not there yet
        controller.receive(engine.compared(view, asked(outbox)[0].id))
    controller.set(sort="score")
    order = [c.info.index for c in resolve(controller.state).images.cells]
    means = [engine.compared(v).mean for v in order[:-1]]
    assert means == sorted(means)
    assert order[-1] == 7
    controller.set_mode("photo")
    assert [c.info.index for c in resolve(controller.state).images.cells] == list(range(8))


def test_colours_by_hand() -> None:
    rgb = colormaps.agreement_colours(np.array([[np.nan, -0.5, 0.0, 1.0, 2.0]], np.float32))[0]
    table = colormaps.table(colormaps.AGREEMENT)
    assert rgb[0].tolist() == [0, 0, 0]
    assert rgb[1].tolist() == rgb[2].tolist() == table[0].tolist()
    assert rgb[3].tolist() == rgb[4].tolist() == table[255].tolist()


@pytest.fixture
def compared(window: Window, qtbot: QtBot) -> Window:
    """The room, with the agreement of its photos shown."""
    window.images.modes.button("agreement").click()
    qtbot.waitUntil(lambda: len(window.controller.state.compared) == 8, timeout=5_000)
    return window


def test_the_panel_shows_agreement_with_a_legend_and_numbers(compared: Window, engine: FakeEngine) -> None:
    panel = compared.images
    assert panel.agreement.isVisible()
    assert not panel.legend.isVisible()
    assert "least first" in panel.sort_button.toolTip()
    compared.controller.select(1)
    compared.controller.set_single(True)
    rect, cell = panel.pane.photo_rect(), resolve(compared.controller.state).single.cell
    assert cell is not None
    assert cell.compared is not None
    picture = panel.pane.grab().toImage()
    ratio = picture.width() / panel.pane.width()

    def near(x: float, y: float) -> np.ndarray:
        at = to_rect(QRectF(rect), cell, x, y)
        colour = picture.pixelColor(round(at.x() * ratio), round(at.y() * ratio))
        return np.array([colour.red(), colour.green(), colour.blue()])

    table, camera = colormaps.table(colormaps.AGREEMENT).astype(int), cell.info.camera
    for share in (0.1, 0.5):
        expected = table[int(255 * 0.85 * (1 - share))]
        assert np.abs(near(camera.width * share, camera.height * 0.7) - expected).max() < 25
    assert "cosine 0.42, lowest twentieth 0.02, centred 0.28" in panel._name.text()
    compared.controller.set_mode("photo")
    assert "cosine" not in panel._name.text()
    assert not panel.agreement.isVisible()


def test_the_scenes_features_differ_from_the_agreement(compared: Window) -> None:
    before = compared.images.grid.grab().toImage()
    compared.actions_by_id["mode_scene"].trigger()
    assert compared.images.grid.grab().toImage() != before


def test_a_click_still_asks_where_else(compared: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    rect = compared.images.grid.cell_rect(0)
    assert rect is not None
    qtbot.mouseClick(compared.images.grid.viewport(), Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    qtbot.waitUntil(lambda: bool(engine.sent(MatchQuery)), timeout=3_000)
