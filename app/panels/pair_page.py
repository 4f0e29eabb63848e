"""Two scenes of one place, over the middle of the window: how they lie in each other, and what is to become of them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout, QWidget

from app.panels.pair_view import PairView
from app.panels.pairs import DecisionButtons, agreement
from app.panels.pictures import image_of, rounded_pixmap
from app.panels.segmented import Segmented
from app.repository_state import RepositoryState
from app.theme import DARK, GAP, PAD, Theme
from engine.api.repository import ScenePair

THUMB = (64, 48)


class PairPage(QWidget):
    closed = Signal()
    decided = Signal(object, str)  # pair, decision

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme: Theme = DARK
        self._state: RepositoryState | None = None
        self._pair: ScenePair | None = None
        self._pictures = (QLabel(), QLabel())
        self.title = QLabel()
        self.title.setObjectName("strong")
        self.details = QLabel()
        self.details.setObjectName("muted")
        for label in (self.title, self.details):  # long texts are cut rather than widening the window
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.details)
        self.buttons = DecisionButtons()
        self.buttons.decided.connect(self._decide)
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Back to the scene  (Esc)")
        self.close_button.clicked.connect(lambda: self.closed.emit())
        head = QHBoxLayout()
        head.setContentsMargins(PAD, PAD, PAD, PAD)
        head.setSpacing(PAD)
        for picture in self._pictures:
            head.addWidget(picture)
        head.addLayout(words, 1)
        head.addWidget(self.buttons)
        head.addWidget(self.close_button)
        self.view = PairView()
        self.modes = Segmented((("swipe", "Swipe"), ("blend", "Blend")))
        self.modes.show_choice("swipe")
        self.modes.chosen.connect(self._restyle)
        self.colours = QCheckBox("Two colours")
        self.colours.setToolTip("Each in a colour of its own: blended, what agrees is grey, and a shift is seen")
        self.colours.toggled.connect(self._restyle)
        self.changes = QCheckBox("Changes")
        self.changes.setChecked(True)
        self.changes.setToolTip("Pink: where one scan has something, and the other saw free space")
        self.changes.toggled.connect(self._restyle)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 1000)
        self.slider.setValue(500)
        self.slider.setToolTip("From the first scene to the second")
        self.slider.valueChanged.connect(self._slid)
        self.view.split_moved.connect(self._follow_line)
        hint = QLabel("Drag: turn   Wheel: nearer")
        hint.setObjectName("muted")
        foot = QHBoxLayout()
        foot.setContentsMargins(PAD, GAP, PAD, GAP)
        foot.setSpacing(PAD)
        foot.addWidget(self.modes)
        foot.addWidget(self.slider, 1)
        foot.addWidget(self.changes)
        foot.addWidget(self.colours)
        foot.addWidget(hint)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.view, 1)
        column.addLayout(foot)
        boxes = (self.changes, self.colours)
        for widget in (self.close_button, self.slider, *boxes, self.buttons.keep, self.buttons.mark):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay the window's

    def show_state(self, s: RepositoryState) -> None:
        self._state = s
        if s.pair is None:
            self._pair = None
            self.view.show_pair(None, ("", ""))
            return
        self._pair = pair = s.pair
        scenes = (s.scene(pair.a), s.scene(pair.b))
        names = tuple("" if scene is None else scene.name for scene in scenes)
        self.title.setText(f"{names[0]}  and  {names[1]}")
        agree = f"{pair.confidence:.0%} sure · {agreement(pair)}"
        self.details.setText("Aligning…" if s.aligned is None else agree)
        self.details.setToolTip(agree)
        for key, picture in zip((pair.a, pair.b), self._pictures, strict=True):
            known = s.thumbnails.get(key)
            image = None if known is None else image_of(known.rgb)
            picture.setPixmap(rounded_pixmap(image, *THUMB, QColor(self._theme.field), self.devicePixelRatioF()))
        self.buttons.show_decision(s.decision(pair.a, pair.b), writable=s.writable)
        self.view.show_pair(s.aligned, (names[0], names[1]))
        bare = s.aligned is not None and (s.aligned.a.rgb is None or s.aligned.b.rgb is None)
        self.colours.setEnabled(not bare)
        self.changes.setEnabled(s.aligned is not None and bool(s.aligned.a.changed.any() or s.aligned.b.changed.any()))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.view.set_theme(theme)
        if self._state is not None:
            self.show_state(self._state)

    def _restyle(self, *_: object) -> None:
        blend = self.modes.button("blend").isChecked()
        colours, changes = self.colours.isChecked(), self.changes.isChecked()
        self.view.set_style(blend=blend, two_colours=colours, changes=changes)

    def _follow_line(self, split: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(1000 * split))
        self.slider.blockSignals(False)

    def _decide(self, decision: str) -> None:
        self.decided.emit(self._pair, decision)

    def _slid(self, value: int) -> None:
        self.view.set_split(value / 1000)
