"""Faces of the clip box."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QSlider, QToolButton, QVBoxLayout, QWidget

from app.clip import Clip
from app.theme import GAP

STEPS = 200


class ClipControls(QWidget):
    """A tick, and while it is set two sliders for each axis."""

    toggled = Signal()
    moved = Signal(int, bool, float)  # axis, upper face, share of the scene
    reset = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.tick = QCheckBox("Clip box")
        self.tick.setToolTip("Hide what lies outside a box  (Shift+X)")
        self.tick.clicked.connect(lambda: self.toggled.emit())
        self.reset_button = QToolButton()
        self.reset_button.setText("Reset")
        self.reset_button.setToolTip("All faces to the ends of the scene")
        self.reset_button.clicked.connect(lambda: self.reset.emit())
        head = QHBoxLayout()
        head.addWidget(self.tick, 1)
        head.addWidget(self.reset_button)
        self.faces = QWidget()
        grid = QGridLayout(self.faces)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        self.sliders: dict[tuple[int, bool], QSlider] = {}
        for axis, name in enumerate("xyz"):
            grid.addWidget(QLabel(name), axis, 0)
            for upper in (False, True):
                slider = QSlider(Qt.Orientation.Horizontal)
                slider.setRange(0, STEPS)
                slider.setToolTip(f"{'Upper' if upper else 'Lower'} face across {name}")
                slider.valueChanged.connect(self._emit)
                grid.addWidget(slider, axis, 1 + upper)
                self.sliders[axis, upper] = slider
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addWidget(self.faces)

    def show_clip(self, clip: Clip) -> None:
        self.tick.setChecked(clip.on)
        self.faces.setVisible(clip.on)
        self.reset_button.setVisible(clip.on)
        for (axis, upper), slider in self.sliders.items():
            slider.blockSignals(True)
            slider.setValue(round((clip.hi if upper else clip.lo)[axis] * STEPS))
            slider.blockSignals(False)

    def _emit(self, value: int) -> None:
        axis, upper = next(key for key, slider in self.sliders.items() if slider is self.sender())
        self.moved.emit(axis, upper, value / STEPS)
