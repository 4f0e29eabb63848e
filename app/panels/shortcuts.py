"""The sheet of all shortcuts, over the window."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.actions import ACTIONS, MOUSE, SELECTING
from app.theme import GAP, PAD

COLUMNS = (("File", "View"), ("Layers", "Photos", "Repository"), ("Annotate",), ("Engine", "Tasks", "Edit", "Help"))


class ShortcutSheet(QFrame):
    """Lists the table of actions; any click closes it."""

    def __init__(self, parent: QWidget) -> None:
        # a window of its own without focus: within the main window the canvas, which is native, would lie over it
        super().__init__(parent, Qt.WindowType.ToolTip)
        self._window = parent
        self.setObjectName("sheet")
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * PAD, 2 * PAD, 2 * PAD, 2 * PAD)
        row.setSpacing(2 * PAD)
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
            if "Annotate" in menus:
                column.addLayout(_block("With a tool in hand", list(SELECTING)))
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
        self.move(
            parent.mapToGlobal(QPoint((parent.width() - self.width()) // 2, (parent.height() - self.height()) // 2))
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move) and self.isVisible():
            self._centre()
        elif event.type() in (QEvent.Type.Hide, QEvent.Type.WindowDeactivate):
            self.hide()
        elif isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape and self.isVisible():
            self.hide()
            event.accept()  # the override of a shortcut: this Escape closes the sheet, and clears no match
            return True
        return False


def _block(title: str, rows: list[tuple[str, str]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(GAP)
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
