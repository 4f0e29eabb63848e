"""The painted parts of the tasks panel by real events: where cells are, what they say, and that they are seen."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from app.panels.confusion import MOST_NAMED, Confusion
from app.panels.task_bars import ClassBars, Scores
from app.task_state import Score
from app.theme import DARK, LIGHT, Theme

pytestmark = pytest.mark.qt_log_level_fail("WARNING")
NAMES = ("bed", "chair", "sofa")
COUNTS = np.array([[3, 0, 1], [0, 40, 0], [0, 12, 28]])
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def matrix(qtbot: QtBot) -> Confusion:
    matrix = Confusion()
    qtbot.addWidget(matrix)
    matrix.show_counts(NAMES, COUNTS, "objects", None)
    matrix.setFixedWidth(300)
    with qtbot.waitExposed(matrix):
        matrix.show()
    return matrix


def test_cells_lie_where_they_are_clicked(matrix: Confusion) -> None:
    chosen: list[tuple[int, int]] = []
    matrix.chosen.connect(chosen.append)
    for true in range(3):
        for said in range(3):
            QTest.mouseClick(matrix, LEFT, pos=matrix.rect_of((true, said)).center().toPoint())
    assert chosen == [(t, s) for t in range(3) for s in range(3)]
    assert matrix.cell_at(QPointF(2, 2)) is None
    QTest.mouseClick(matrix, LEFT, pos=QPoint(2, 2))
    assert len(chosen) == 9


def test_arrow_keys_go_from_cell_to_cell(matrix: Confusion) -> None:
    chosen: list[tuple[int, int]] = []
    matrix.chosen.connect(chosen.append)
    matrix.chosen.connect(lambda cell: matrix.show_counts(NAMES, COUNTS, "objects", cell))
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_Up):
        QTest.keyClick(matrix, key)
    assert chosen == [(0, 1), (1, 1), (1, 0), (0, 0), (2, 0)]


def test_a_cell_says_what_it_counts(matrix: Confusion) -> None:
    assert matrix.told((2, 1)) == "12 of 40 objects of sofa said to be chair (30%)"
    assert matrix.told((1, 1)) == "40 of 40 objects of chair said rightly (100%)"
    at = matrix.rect_of((2, 1)).center().toPoint()
    QApplication.sendEvent(matrix, QHelpEvent(QHelpEvent.Type.ToolTip, at, matrix.mapToGlobal(at)))
    assert QToolTip.text() == matrix.told((2, 1))


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_hits_and_mistakes_are_seen_apart_in_both_themes(matrix: Confusion, theme: Theme) -> None:
    matrix.set_theme(theme)
    image = matrix.grab().toImage()
    ratio = image.devicePixelRatio()

    def ink(cell: tuple[int, int]) -> QColor:
        at = matrix.rect_of(cell).topLeft() + QPointF(5, 5)
        return image.pixelColor(round(at.x() * ratio), round(at.y() * ratio))

    hit, mistake, nothing = ink((1, 1)), ink((2, 1)), ink((0, 1))
    assert hit.blue() > hit.red()
    assert mistake.red() > mistake.blue()
    assert abs(nothing.lightness() - QColor(theme.field).lightness()) < 9  # screens of 16 bits round


def test_many_classes_and_none_are_painted(matrix: Confusion) -> None:
    many = tuple(f"class {n}" for n in range(MOST_NAMED + 20))
    matrix.show_counts(many, np.eye(len(many), dtype=np.int64) * 2_000_000, "points", (39, 39))
    assert not matrix.grab().isNull()
    assert matrix.cell_at(matrix.rect_of((39, 39)).center()) == (39, 39)
    matrix.show_counts((), np.zeros((0, 0), np.int64), "points", None)
    assert not matrix.grab().isNull()


def test_bars_say_their_means_and_deviations(qtbot: QtBot) -> None:
    found = (
        Score("condense-s", 3, 0.849, 0.004, 0.7, 0.01, (0.9, 0.2, 0.5)),
        Score("/weights/mine.safetensors", 1, 0.5, None, 0.4, None, (0.1, 0.9, 0.4)),
    )
    scores, classes = Scores(), ClassBars()
    for widget in (scores, classes):
        qtbot.addWidget(widget)
        widget.set_theme(LIGHT)
    scores.show_scores(found)
    classes.show_scores(NAMES, found)
    assert scores.told(found[0]) == "condense-s, mean of 3 seeds: accuracy 84.9 ± 0.4 %, mIoU 70.0 ± 1.0 %"
    assert scores.told(found[1]) == "mine.safetensors, mean of 1 seed: accuracy 50.0 %, mIoU 40.0 %"
    assert classes.told(0).splitlines() == ["chair", "condense-s: IoU 20.0 %", "mine.safetensors: IoU 90.0 %"]  # worst
    for widget in (scores, classes):
        assert not widget.grab().isNull()
