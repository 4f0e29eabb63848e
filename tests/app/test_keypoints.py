"""Keypoints in the window: when they are looked for, how they look, and what they do under the pointer."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, wait_ready
from fake_prompts import named, prompted
from fakes import THINGS, FakeEngine, featured, room_scene
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QToolTip
from pytestqt.qtbot import QtBot
from test_controller import Outbox, opened

from app import colormaps
from app.canvas import under
from app.glyphs import LEAST_PX, MOST_PX, UNASKED, colours, glyphs, names, shown, voxel_rows
from app.panels.keypoint_card import BARS_PX, bars, card
from app.panels.keypoint_paint import paint_keypoints
from app.prompt_state import Prompt, PromptAnswer
from app.resolve import resolve
from app.state import Layer
from app.view_state import KeypointsView, PromptsOver
from app.window import Window
from engine.api.replies import Failed, JobCancelled, JobFinished, PhotoLoaded, SceneKeypoints
from engine.api.requests import EncodeViews, FindKeypoints, FitGrid, MatchQuery, PointSource, PromptQuery, SaveKeypoints


def found(id: int = 0, count: int = 5) -> SceneKeypoints:
    pos_w = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    score = np.linspace(0.9, 0.5, count).astype(np.float32)
    rgb = np.arange(3 * count, dtype=np.uint8).reshape(count, 3)
    return SceneKeypoints(
        id=id, encoder="default", pos_w=pos_w, score=score, rgb=rgb, features=np.eye(count, 8, dtype=np.float32),
        seen=np.ones((count, 8), np.bool_),
    )  # fmt: skip


def plain(some: SceneKeypoints, count: int, opacity: float = 1.0) -> KeypointsView:
    nothing = PromptsOver(None, (), Layer())
    return KeypointsView(some, count, "score", opacity, nothing, None, None)


def asked(outbox: Outbox) -> list[FindKeypoints]:
    return outbox.of(FindKeypoints)


def test_they_are_looked_for_when_their_layer_shows_and_there_are_features() -> None:
    controller, outbox = opened()
    controller.toggle_layer("keypoints")
    assert not asked(outbox)
    featured(controller)
    (request,) = asked(outbox)
    assert [j.title for j in controller.state.jobs] == ["Finding keypoints"]
    controller.receive(found(request.id))
    controller.receive(JobFinished(id=request.id, title=request.title, seconds=1.0))
    assert resolve(controller.state).canvas.keypoints.found is controller.state.keypoints
    controller.toggle_layer("keypoints")
    assert resolve(controller.state).canvas.keypoints.found is None
    controller.toggle_layer("keypoints")
    assert len(asked(outbox)) == 1  # they are still there


def test_a_hidden_layer_costs_nothing() -> None:
    controller, outbox = opened()
    featured(controller)
    assert not asked(outbox)


def test_newer_features_have_newer_keypoints_but_not_before_they_are_whole() -> None:
    controller, outbox = opened()
    controller.toggle_layer("keypoints")
    featured(controller)
    (first,) = asked(outbox)
    controller.receive(found(first.id))
    controller.receive(JobFinished(id=first.id, title=first.title, seconds=1.0))
    controller.fit(refit=True)
    featured(controller, version=2)
    assert len(asked(outbox)) == 1
    (fit,) = outbox.of(FitGrid)
    controller.receive(JobFinished(id=fit.id, title=fit.title, seconds=1.0))
    assert len(asked(outbox)) == 2
    late = controller.state.keypoints
    controller.receive(found(first.id))  # of the request before
    assert controller.state.keypoints is late


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_what_failed_is_not_tried_again_until_it_is_asked_for(how: str) -> None:
    controller, outbox = opened()
    controller.toggle_layer("keypoints")
    featured(controller)
    (request,) = asked(outbox)
    if how == "failed":
        controller.receive(Failed(id=request.id, what="no", text="no"))
    else:
        controller.receive(JobCancelled(id=request.id, title=request.title))
    assert not controller.state.layers["keypoints"].visible
    assert not any(j.live for j in controller.state.jobs)
    assert len(asked(outbox)) == 1
    controller.toggle_layer("keypoints")
    assert len(asked(outbox)) == 2


def test_another_capture_has_none_of_the_last_ones() -> None:
    controller, outbox = opened()
    controller.toggle_layer("keypoints")
    featured(controller)
    controller.receive(found(asked(outbox)[0].id))
    controller.close_capture()
    assert controller.state.keypoints is None
    controller.receive(found(asked(outbox)[0].id))
    assert controller.state.keypoints is None


def test_as_many_as_are_shown_are_saved() -> None:
    controller, outbox = opened()
    controller.keypoints.show_best(512)
    controller.keypoints.save("k.npz")
    (request,) = outbox.of(SaveKeypoints)
    assert (request.path, request.count) == ("k.npz", 512)


def test_glyphs_by_hand() -> None:
    view = plain(found(), 3, 0.5)
    pos_w, rgba, shape = glyphs(view)
    assert shown(view) == 3
    np.testing.assert_array_equal(pos_w, found().pos_w[:3][::-1])  # the best is drawn last
    np.testing.assert_allclose(shape[:, 0], [LEAST_PX, LEAST_PX + (MOST_PX - LEAST_PX) * 0.5**0.5, MOST_PX], rtol=1e-5)
    np.testing.assert_allclose(rgba[:, 3], 0.5)
    np.testing.assert_allclose(rgba[-1, :3] * 255, colormaps.score_table()[255], atol=0.5)
    _, coloured, _ = glyphs(replace(view, colouring="features"))
    np.testing.assert_allclose(coloured[:, :3] * 255, found().rgb[:3][::-1], atol=0.01)
    for nothing in (replace(view, found=None), replace(view, opacity=0.0), replace(view, found=found(count=0))):
        assert all(len(part) == 0 for part in glyphs(nothing))
    alike = replace(view, found=replace(found(), score=np.full(5, 0.4, np.float32)))
    assert np.isfinite(glyphs(alike)[2]).all()


def on_voxels() -> tuple[KeypointsView, FakeEngine]:
    """Keypoints of the fake room, its names, and the answer to "chair"."""
    engine = FakeEngine(count=8)
    some = engine.keypoints(count=40)
    query = PromptQuery(prompts=("chair",), thresholds=(0.5,))
    reply = prompted(engine.scene, engine.volume, query, THINGS)
    answer = PromptAnswer(reply, engine.volume, {f.prompt: f for f in reply.found})
    over = PromptsOver(answer, (Prompt("chair", colour=2),), Layer())
    view = KeypointsView(some, 40, "prompts", 1.0, over, engine.volume, named(engine.volume))
    return view, engine


def test_they_know_their_voxels_and_take_the_colour_of_the_prompt_that_found_them() -> None:
    view, engine = on_voxels()
    assert view.found is not None
    rows = voxel_rows(view.found, engine.volume)
    np.testing.assert_allclose(engine.volume.centres_w()[rows], view.found.pos_w, atol=1e-4)
    away = replace(view.found, pos_w=view.found.pos_w + 100)
    assert (voxel_rows(away, engine.volume) == -1).all()
    assert view.prompts.answer is not None
    hot = view.prompts.answer.by_text["chair"].relevancy[rows] > 127
    assert 0 < hot.sum() < 40
    painted = colours(view)
    assert (painted[~hot] == UNASKED).all()
    assert (painted[hot] != UNASKED).any(axis=1).all()
    assert (colours(replace(view, prompts=PromptsOver(None, (), Layer()))) == UNASKED).all()
    assert names(view, 3) == [("chair", 0.6), ("table", 0.2)]
    assert names(replace(view, named=None), 3) == []
    assert names(replace(view, found=away), 3) == []


def test_the_card_tells_score_names_photos_and_feature(qapp: QApplication) -> None:
    view, engine = on_voxels()
    assert view.found is not None
    controller, _ = opened()
    canvas = replace(resolve(controller.state).canvas, keypoints=view, scene=engine.scene, thumbnails={})
    text = card(canvas, 0)
    assert text.startswith("<b>Keypoint 1</b> of 40 · score 0.90 · seen in")
    assert "perhaps chair 60%, table 20%" in text
    assert text.count("<img") == 1  # no photo is loaded yet
    grey = np.full((36, 48, 3), 90, np.uint8)
    photos = {v.index: PhotoLoaded(id=0, view=v.index, rgb=grey) for v in engine.scene.views}
    assert card(replace(canvas, thumbnails=photos), 0).count("<img") == 2
    nasty = replace(view, named=replace(named(engine.volume), vocabulary=("<b>", "b", "c")))
    assert "&lt;b&gt;" in card(replace(canvas, keypoints=nasty), 0)
    picture = bars(np.array([1, -0.5, 0], np.float32), 2)
    assert picture.pixelColor(5, 5).alpha() == 255  # up
    assert picture.pixelColor(5, BARS_PX - 5).alpha() == 0
    assert picture.pixelColor(picture.width() // 2, BARS_PX - 15).alpha() == 255  # down
    assert not bars(np.zeros(0, np.float32), 1).isNull()


def test_a_photo_shows_those_that_it_sees() -> None:
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QImage, QPainter

    controller, _ = opened()
    cell = resolve(controller.state).images.cells[2]
    camera = cell.info.camera
    px = np.array([[camera.width * 0.25, camera.height * 0.5], [camera.width * 0.75, camera.height * 0.5]])
    pos_w = camera.unproject(px, np.array([2.0, 2.0])).astype(np.float32)
    seen = np.zeros((2, 8), np.bool_)
    seen[0, 2] = True
    two = replace(found(count=2), pos_w=pos_w, seen=seen, rgb=np.array([[255, 0, 0], [0, 255, 0]], np.uint8))
    image = QImage(200, 150, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.black)
    painter = QPainter(image)
    count = paint_keypoints(painter, QRectF(0, 0, 200, 150), cell, replace(plain(two, 10), colouring="features"))
    painter.end()
    assert count == 1
    assert image.pixelColor(50, 75).red() > 200
    assert image.pixelColor(150, 75).green() == 0


@pytest.fixture
def keyed(window: Window, qtbot: QtBot) -> Window:
    """The room with its keypoints shown and cameras hidden, so that nothing else is under the pointer."""
    window.controller.set_layer("frusta", visible=False)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_K)
    qtbot.waitUntil(lambda: window.controller.state.keypoints is not None, timeout=5_000)
    window.canvas.screenshot()
    return window


def pointable(window: Window) -> tuple[int, QPointF]:
    """Row and place of a keypoint that shows, well within the canvas and away from others."""
    canvas, state = window.canvas, window.controller.state
    view = resolve(state).canvas
    assert canvas.renderer is not None
    assert state.keypoints is not None
    camera, count = canvas.camera(), shown(view.keypoints)
    px, _ = camera.project(state.keypoints.pos_w[:count].astype(np.float64))
    for row, (x, y) in enumerate(px):
        if not (40 < x < camera.width - 40 and 40 < y < camera.height - 40):
            continue
        at = (float(round(x)), float(round(y)))
        if under.keypoint(view, canvas.renderer, camera, at, under.surface(view, canvas.renderer, camera, at)) == row:
            return row, QPointF(*at)
    raise AssertionError("no keypoint shows")


def test_they_change_the_picture_and_follow_slider_and_colouring(keyed: Window) -> None:
    pictures = [keyed.canvas.screenshot().copy()]
    keyed.layers.keypoints.slider.setValue(256 // 128)
    assert keyed.controller.state.keypoint_count == 256
    assert keyed.layers.keypoints.label.text() == "best 256 of 600"
    pictures.append(keyed.canvas.screenshot().copy())
    keyed.layers.keypoints.colouring.button("features").click()
    pictures.append(keyed.canvas.screenshot().copy())
    keyed.layers.rows["keypoints"].eye.click()
    assert not keyed.layers.keypoints.isVisible()
    pictures.append(keyed.canvas.screenshot().copy())
    for a, b in itertools.pairwise(pictures):
        assert (np.abs(a.astype(int) - b).max(axis=2) > 20).sum() > 50


def test_walls_hide_those_behind_them(keyed: Window) -> None:
    """With the same keypoints, more is drawn where the volume is not."""
    keyed.controller.set(cutaway=False)
    keyed.controller.keypoints.colour_by("score")
    hot = [tuple(int(c) for c in colour) for colour in colormaps.score_table()]

    def drawn() -> int:
        flat = keyed.canvas.screenshot()[..., :3].reshape(-1, 3)
        return sum(tuple(int(c) for c in p) in set(hot) for p in np.unique(flat, axis=0))

    hidden = drawn()
    keyed.controller.set_layer("volume", visible=False)
    assert drawn() > hidden


def test_the_pointer_on_one_says_what_it_is_and_a_click_asks_for_it(
    keyed: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    row, at = pointable(keyed)
    QTest.mouseMove(keyed.canvas.surface, QPoint(int(at.x()), int(at.y())))
    qtbot.waitUntil(lambda: QToolTip.text().startswith(f"<b>Keypoint {row + 1}</b> of"), timeout=3_000)
    QTest.mouseClick(keyed.canvas.surface, Qt.MouseButton.LeftButton, pos=QPoint(int(at.x()), int(at.y())))
    qtbot.waitUntil(lambda: bool(engine.sent(MatchQuery)), timeout=3_000)
    source = engine.sent(MatchQuery)[-1].source
    assert isinstance(source, PointSource)
    assert keyed.controller.state.keypoints is not None
    np.testing.assert_allclose(source.pos_w, keyed.controller.state.keypoints.pos_w[row])


def test_the_dialog_saves_where_it_was_told(
    keyed: Window, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = str(tmp_path / "k.ply")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (target, ""))
    keyed.actions_by_id["save_keypoints"].trigger()
    assert engine.sent(SaveKeypoints)[-1].path == target
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: ("", ""))
    keyed.actions_by_id["save_keypoints"].trigger()
    assert len(engine.sent(SaveKeypoints)) == 1


def test_a_large_photo_shows_dots(keyed: Window, qtbot: QtBot) -> None:
    keyed.controller.select(1)
    keyed.controller.set_single(True)
    before = keyed.images.pane.grab().toImage()
    keyed.controller.toggle_layer("keypoints")
    assert keyed.images.pane.grab().toImage() != before


def test_opened_again_they_come_with_the_features(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8)
    window = make_window(engine)
    wait_ready(window, qtbot)
    window.controller.toggle_layer("keypoints")
    assert len(engine.sent(FindKeypoints)) == 1
    engine.scene = room_scene(8, path="other")
    window.controller.open("other")
    qtbot.waitUntil(lambda: len(engine.sent(FindKeypoints)) == 2, timeout=10_000)
    assert engine.requests.index(engine.sent(FindKeypoints)[1]) > engine.requests.index(engine.sent(EncodeViews)[-1])
