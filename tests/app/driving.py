"""Waiting for a window and clicking in it, as the window tests do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.window import Window

MakeWindow = Callable[..., Window]


def wait_ready(window: Window, qtbot: QtBot) -> None:
    """Wait until the room's volume, features and thumbnails are there and the canvas has drawn them."""

    def ready() -> bool:
        s, r = window.controller.state, window.canvas.renderer
        return (
            s.voxel_features is not None
            and s.scene is not None
            and len(s.thumbnails) == len(s.scene.views)
            and r is not None
            and r.volume.ready
            and not r.busy
        )

    qtbot.waitUntil(ready, timeout=20_000)


def click(widget: QWidget, at: QPointF) -> tuple[float, float]:
    """Press and release at a place; returns the whole-pixel place that the widget was told."""
    point = QPoint(round(at.x()), round(at.y()))
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=point)
    return point.x(), point.y()


def inside(rect: QRectF, x: float, y: float) -> QPointF:
    """A place by fractions of a rectangle."""
    return QPointF(rect.left() + x * rect.width(), rect.top() + y * rect.height())
