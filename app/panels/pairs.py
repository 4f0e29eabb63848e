"""Scenes of one place, as pairs, each with what is to become of it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.panels.answer import back_button, indented
from app.panels.jobs import describe
from app.panels.pictures import image_of, rounded_pixmap
from app.repository_state import RepositoryState
from app.resolve_repository import RepositoryView
from app.theme import DARK, GAP, PAD, Theme
from engine.api.repository import Decision, ScenePair

THUMB = (104, 78)
SAID = {"duplicate": "marked as duplicate", "different": "both are kept", None: ""}


def agreement(pair: ScenePair) -> str:
    """On what two scenes agree, and whether things seem to have been moved between the two scans."""
    agree = f"{pair.inliers} keypoints agree · {pair.overlap:.0%} overlaps"
    return f"things were moved or replaced · {agree}" if pair.changed else agree


class DecisionButtons(QWidget):
    """Keep both, or mark as duplicate; that which is decided is down, and clicked again it is taken back."""

    decided = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.keep, self.mark = QPushButton("Keep both"), QPushButton("Mark duplicate")
        self.keep.setToolTip("They are two places, or both scans are wanted; remembered in the repository")
        self.mark.setToolTip("One is a duplicate of the other; remembered in the repository, no capture is touched")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        for button, decision in ((self.keep, "different"), (self.mark, "duplicate")):
            button.setCheckable(True)
            button.setObjectName("choice")
            button.clicked.connect(lambda _=False, d=decision: self.decided.emit(d))
            row.addWidget(button)

    def show_decision(self, decision: Decision | None, *, writable: bool) -> None:
        self.keep.setChecked(decision == "different")
        self.mark.setChecked(decision == "duplicate")
        self.keep.setEnabled(writable)
        self.mark.setEnabled(writable)


class PairCard(QFrame):
    """One pair; a click looks at both in one space."""

    clicked = Signal(object)
    decided = Signal(object, str)

    def __init__(self, pair: ScenePair) -> None:
        super().__init__()
        self.setObjectName("card")
        self.pair = pair
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Click: see both in one space")
        self._pictures = (QLabel(), QLabel())
        self._names = (QLabel(), QLabel())
        row = QHBoxLayout()
        row.setSpacing(PAD)
        for picture, name in zip(self._pictures, self._names, strict=True):
            name.setTextFormat(Qt.TextFormat.PlainText)
            name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            cell = QVBoxLayout()
            cell.setSpacing(3)
            cell.addWidget(picture)
            cell.addWidget(name)
            row.addLayout(cell)
        row.addStretch(1)
        self.figure = QLabel(f"{pair.confidence:.0%}")
        self.figure.setObjectName("figure")
        self.figure.setToolTip("How sure it is that both are of one place")
        row.addWidget(self.figure, 0, Qt.AlignmentFlag.AlignTop)
        self.why = QLabel()
        self.why.setObjectName("muted")
        self.buttons = DecisionButtons()
        self.buttons.decided.connect(self._decide)
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD, PAD, PAD, PAD)
        column.setSpacing(GAP)
        column.addLayout(row)
        column.addWidget(self.why)
        column.addWidget(self.buttons, 0, Qt.AlignmentFlag.AlignLeft)

    def show_pair(self, s: RepositoryState, theme: Theme) -> None:
        for key, picture, name in zip((self.pair.a, self.pair.b), self._pictures, self._names, strict=True):
            known, scene = s.thumbnails.get(key), s.scene(key)
            image = None if known is None else image_of(known.rgb)
            picture.setPixmap(rounded_pixmap(image, *THUMB, QColor(theme.field), self.devicePixelRatioF()))
            name.setText("" if scene is None else scene.name)
        decision = s.decision(self.pair.a, self.pair.b)
        said = SAID[decision]
        agree = agreement(self.pair)
        self.why.setText(f"{agree} · {said}" if said else agree)
        self.buttons.show_decision(decision, writable=s.writable)

    def _decide(self, decision: str) -> None:
        self.decided.emit(self.pair, decision)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit(self.pair)


class PairsPage(QWidget):
    back_asked = Signal()
    opened = Signal(object)
    decided = Signal(object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._view: RepositoryView | None = None
        self.cards: list[PairCard] = []
        self._shown: object = None
        self.back = back_button()
        self.back.clicked.connect(lambda: self.back_asked.emit())
        self.title = QLabel("Duplicates")
        self.title.setObjectName("strong")
        self.summary = QLabel()
        self.summary.setObjectName("muted")
        self.summary.setWordWrap(True)
        head = QVBoxLayout()
        head.setContentsMargins(PAD, 0, PAD, PAD)
        head.setSpacing(2)
        head.addWidget(self.title)
        head.addWidget(self.summary)
        self._list = QVBoxLayout()
        self._list.setContentsMargins(PAD, 0, PAD, PAD)
        self._list.setSpacing(PAD)
        self._list.addStretch(1)
        inside = QWidget()
        inside.setObjectName("panel")
        inside.setLayout(self._list)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(indented(self.back))
        column.addLayout(head)
        column.addWidget(scroll, 1)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        if self._view is not None:
            self.show_view(self._view)

    def show_view(self, view: RepositoryView) -> None:
        self._view, s = view, view.state
        if s.page != "pairs":
            return
        if view.looking is not None:
            self.summary.setText(f"Comparing scenes…  {describe(view.looking)}")
        elif s.pairs is not None:
            count = len(s.pairs.pairs)
            said = f"{count} pair{'s' if count != 1 else ''}, the surest first"
            self.summary.setText(said if count else "No two scenes here are of one place.")
        pairs = () if s.pairs is None else s.pairs.pairs
        if pairs != self._shown:
            self._shown = pairs
            self._fill(pairs)
        for card in self.cards:
            card.show_pair(s, self._theme)

    def _fill(self, pairs: tuple[ScenePair, ...]) -> None:
        while self._list.count() > 1:
            item = self._list.takeAt(0)
            if item is not None and (widget := item.widget()) is not None:
                widget.hide()  # it is deleted later, and must not show until then
                widget.deleteLater()
        self.cards = [PairCard(pair) for pair in pairs]
        for card in self.cards:
            card.clicked.connect(self.opened)
            card.decided.connect(self.decided)
            self._list.insertWidget(self._list.count() - 1, card)
