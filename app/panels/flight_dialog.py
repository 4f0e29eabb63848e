"""Asks how the flight through the bookmarks is to be written."""

from __future__ import annotations

from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QWidget,
)

from app.flight import FlightPlan

SIZES: tuple[tuple[str, tuple[int, int] | None], ...] = (
    ("1280 × 720", (1280, 720)), ("1920 × 1080", (1920, 1080)), ("As the canvas", None),
)  # fmt: skip
RATES = (24, 25, 30, 60)


class FlightDialog(QDialog):
    """How long, how many frames a second, how large."""

    def __init__(self, views: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Fly through the bookmarks")
        plan = FlightPlan()
        self.seconds = QDoubleSpinBox()
        self.seconds.setRange(0.5, 300)
        self.seconds.setValue(plan.seconds)
        self.seconds.setSuffix(" s")
        self.fps, self.size_box, self.loop = QComboBox(), QComboBox(), QCheckBox("Back to the first one")
        for rate in RATES:
            self.fps.addItem(f"{rate} frames a second", rate)
        self.fps.setCurrentIndex(RATES.index(plan.fps))
        for text, size in SIZES:
            self.size_box.addItem(text, size)
        note = QLabel(f"Through {views} views, with the layers that are on. Choose the file next: .mp4, or a folder.")
        note.setObjectName("muted")
        note.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.button(QDialogButtonBox.StandardButton.Ok).setText("Choose file…")
        for button in buttons.buttons():
            button.setIcon(QIcon())
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(note)
        form.addRow("Length", self.seconds)
        form.addRow("Rate", self.fps)
        form.addRow("Size", self.size_box)
        form.addRow("", self.loop)
        form.addRow(buttons)

    def plan(self) -> FlightPlan:
        """As it is set."""
        size = SIZES[self.size_box.currentIndex()][1]
        return FlightPlan(self.seconds.value(), RATES[self.fps.currentIndex()], size, self.loop.isChecked())
