"""What was measured, over the scene while the ruler is on."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QInputDialog, QLabel, QPushButton, QSizePolicy, QWidget

from app.ruler import Ruler
from app.theme import GAP, PAD


class RulerBar(QFrame):
    """The lengths, and what can be done with them."""

    shortened = Signal()
    calibrated = Signal(float, str)  # true length of the last stretch, and its unit
    ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.text = QLabel()
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.back, self.true, self.copy, self.done = (QPushButton(t) for t in ("Back", "True length…", "Copy", "Done"))
        self.back.setToolTip("Take the last point back  (Backspace)")
        self.true.setToolTip("Say how long the last stretch is in truth, and all lengths are told in that unit")
        self.copy.setToolTip("Copy the lengths as text")
        self.done.setToolTip("Clicks ask again where else something is  (Esc)")
        self.back.clicked.connect(lambda: self.shortened.emit())
        self.true.clicked.connect(self._ask)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.text()))
        self.done.clicked.connect(lambda: self.ended.emit())
        row = QHBoxLayout(self)
        row.setContentsMargins(PAD, GAP, GAP, GAP)
        row.setSpacing(GAP)
        row.addWidget(self.text, 1)
        for button in (self.back, self.true, self.copy, self.done):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay the window's
            row.addWidget(button)
        self.hide()

    def show_ruler(self, ruler: Ruler) -> None:
        self.setVisible(ruler.on)
        self.text.setText(ruler.text())
        self.text.setToolTip(ruler.text())
        self.back.setEnabled(bool(ruler.points_w))
        self.true.setEnabled(bool(ruler.lengths))
        self.copy.setEnabled(bool(ruler.lengths))

    def _ask(self) -> None:
        text, agreed = QInputDialog.getText(self, "True length", "Length of the last stretch, such as 2.05 m")
        number, _, unit = text.strip().partition(" ")
        if not agreed:
            return
        try:
            self.calibrated.emit(float(number.replace(",", ".")), unit.strip()[:12] or "units")
        except ValueError:
            self.text.setText(f"“{text[:40]}” is no length; write a number and a unit, such as 2.05 m")
