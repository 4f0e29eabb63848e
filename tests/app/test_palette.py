"""The command palette: what is found by a few letters, and that keys and clicks do it."""

from __future__ import annotations

import pytest
from driving import MakeWindow
from fakes import FakeEngine
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.actions import ACTIONS
from app.panels.palette import CommandPalette, ranked
from app.window import Window
from engine.api.requests import FitGrid


def labels(palette: CommandPalette) -> list[str]:
    items = (palette.list.topLevelItem(i) for i in range(palette.list.topLevelItemCount()))
    return [item.text(0) for item in items if item is not None]


@pytest.fixture
def palette(window: Window) -> CommandPalette:
    window.actions_by_id["commands"].trigger()
    assert window.commands.isVisible()
    return window.commands


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("fit", "Fit radiance grid"),
        ("scratch fit", "Fit again from scratch"),
        ("KEYP", "Keypoints"),
        ("photo next", "Next photo"),
        ("colmap", "Save keypoints…"),  # by its tooltip
        ("dark", "Light or dark"),
    ],
)
def test_words_find_labels_first(text: str, first: str) -> None:
    assert ranked(text)[0].label == first


def test_nothing_typed_lists_all_in_order_and_nonsense_none() -> None:
    assert ranked("") == list(ACTIONS)
    assert ranked("   ") == list(ACTIONS)
    assert ranked("qqq") == []
    assert ranked("🪑 كرسي") == []


def test_typing_and_enter_do_it(palette: CommandPalette, window: Window) -> None:
    QTest.keyClicks(palette.field, "cut away")
    assert labels(palette)[0] == "Cut away walls"
    before = window.controller.state.cutaway
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert window.controller.state.cutaway is not before
    assert not palette.isVisible()


def test_arrows_choose_and_pass_over_what_cannot_be_done(palette: CommandPalette, window: Window) -> None:
    QTest.keyClicks(palette.field, "training")
    enabled = [a.label for a in ranked("training") if window.actions_by_id[a.id].isEnabled()]
    assert len(enabled) < len(labels(palette))
    seen: list[str] = []
    for _ in enabled:
        item = palette.list.currentItem()
        assert item is not None
        seen.append(item.text(0))
        QTest.keyClick(palette.field, Qt.Key.Key_Down)
    assert seen == enabled
    for _ in enabled:
        QTest.keyClick(palette.field, Qt.Key.Key_Up)
    item = palette.list.currentItem()
    assert item is not None
    assert item.text(0) == enabled[0]


def test_a_click_does_it_but_not_on_what_is_grey(palette: CommandPalette, window: Window, engine: FakeEngine) -> None:
    QTest.keyClicks(palette.field, "pause")
    grey = palette.list.topLevelItem(0)
    assert grey is not None
    assert grey.isDisabled()
    place = palette.list.visualItemRect(grey).center()
    QTest.mouseClick(palette.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()
    palette.field.setText("from scratch")
    item = palette.list.topLevelItem(0)
    assert item is not None
    place = palette.list.visualItemRect(item).center()
    QTest.mouseClick(palette.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert engine.sent(FitGrid)[-1].refit
    assert not palette.isVisible()


def test_nothing_found_is_said_and_escape_closes(palette: CommandPalette, window: Window, qtbot: QtBot) -> None:
    QTest.keyClicks(palette.field, "zzz")
    assert labels(palette) == []
    assert palette.none.isVisible()
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()
    QTest.keyClick(palette, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not palette.isVisible())
    window.actions_by_id["commands"].trigger()
    assert palette.field.text() == ""
    assert len(labels(palette)) == len(ACTIONS)


def test_the_empty_window_has_it_too(make_window: MakeWindow) -> None:
    window = make_window(FakeEngine(), path=None)
    window.actions_by_id["commands"].trigger()
    palette = window.commands
    item = palette.list.currentItem()
    assert item is not None
    assert item.text(0) == "Open capture…"
