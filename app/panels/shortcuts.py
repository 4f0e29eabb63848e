"""The sheet of all shortcuts, over the window."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeySequence, QMouseEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.actions import ACTIONS, MOUSE
from app.theme import GAP, PAD

COLUMNS = (("File", "View"), ("Layers", "Photos"), ("Engine", "Help"))


class ShortcutSheet(QFrame):
    """Lists the table of actions; any click closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self.setObjectName("sheet")
        self.setAttribute(Qt.WidgetAttribute.WA_NativeWindow)  # to lie over the canvas, which is native too
        self.setAttribute(Qt.WidgetAttribute.WA_DontCreateNativeAncestors)
        row = QHBoxLayout(self)
        row.setContentsMargins(3 * PAD, 2 * PAD, 3 * PAD, 2 * PAD)
        row.setSpacing(4 * PAD)
        for menus in COLUMNS:
            column = QVBoxLayout()
            column.setSpacing(PAD)
            for menu in menus:
                keys = [
                    (QKeySequence(a.shortcut).toString(QKeySequence.SequenceFormat.NativeText), a.label)
                    for a in ACTIONS
                    if a.menu == menu and a.shortcut
                ]
                column.addLayout(_block(menu, keys))
            if "Engine" in menus:
                column.addLayout(_block("Mouse", list(MOUSE)))
                column.addLayout(_block("Fly", [("W A S D", "Move"), ("Q E", "Down, up")]))
            column.addStretch(1)
            row.addLayout(column)
        parent.installEventFilter(self)
        self.hide()

    def toggle(self) -> None:
        self.setVisible(not self.isVisible())
        if self.isVisible():
            self._centre()
            self.raise_()

    def _centre(self) -> None:
        parent = self._window
        self.adjustSize()
        self.move((parent.width() - self.width()) // 2, (parent.height() - self.height()) // 2)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._centre()
        return False


def _block(title: str, rows: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(2 * GAP)
    grid.setVerticalSpacing(3)
    heading = QLabel(title)
    heading.setObjectName("heading")
    grid.addWidget(heading, 0, 0, 1, 2)
    for i, (key, label) in enumerate(rows, start=1):
        chip = QLabel(key)
        chip.setObjectName("key")
        grid.addWidget(chip, i, 0, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(QLabel(label), i, 1)
    grid.setColumnStretch(1, 1)
    return grid
