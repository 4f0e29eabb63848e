"""A photo that was found in the scene lies over it: what it is, and how much of it shows."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QWidget

from app.resolve_repository import PlacedView
from app.theme import GAP, PAD


class PlacedBar(QFrame):
    opacity_moved = Signal(float)
    ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setFixedWidth(180)
        self.slider.setToolTip("From the scene to the photo")
        self.slider.valueChanged.connect(self._moved)
        self.done = QPushButton("Done")
        self.done.setToolTip("Take the photo away and stay where you are  (Esc)")
        self.done.clicked.connect(lambda: self.ended.emit())
        left, right = QLabel("Scene"), QLabel("Photo")
        row = QHBoxLayout(self)
        row.setContentsMargins(PAD, GAP, GAP, GAP)
        row.setSpacing(GAP)
        row.addWidget(self.text, 1)
        for label in (left, right):
            label.setObjectName("muted")
        for widget in (left, self.slider, right, self.done):
            row.addWidget(widget)
        for widget in (self.slider, self.done):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay the window's
        self.hide()

    def show_placed(self, view: PlacedView) -> None:
        p = view.placed
        self.setVisible(p is not None)
        if p is None:
            return
        text = f"{p.name} in {p.scene}  ·  {p.confidence:.0%} sure  ·  {p.inliers} keypoints agree"
        self.text.setText(text)
        self.text.setToolTip(text)
        self.slider.blockSignals(True)
        self.slider.setValue(round(100 * view.opacity))
        self.slider.blockSignals(False)

    def _moved(self, value: int) -> None:
        self.opacity_moved.emit(value / 100)
