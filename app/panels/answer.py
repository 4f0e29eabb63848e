"""The repository's answer to a photo, to words, or to a scene: what was asked, and each scene with the reason."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.panels.evidence import EvidencePicture
from app.panels.pictures import image_of, rounded_pixmap
from app.repository_state import BELIEVED, Asking, RepositoryState, reason, rejection, summary
from app.resolve_repository import RepositoryView
from app.theme import DARK, GAP, PAD, Theme
from engine.api.repository import FoundScene, ScenesFound

THUMB = (76, 57)
ASKED = (92, 69)
OTHERS = 4
"""Scenes that are not believed, shown for comparison."""
OTHER: dict[Asking, str] = {"photo": "Further down", "alike": "Other places, most like it"}
OPENS = {
    "photo": "Click: open it and stand where the photo was taken",
    "words": "Click: open it and go to the place",
    "alike": "Click: see both in one space",
}


class ResultCard(QFrame):
    """One scene; a click goes there."""

    clicked = Signal(str)
    opened = Signal(str)

    def __init__(self, kind: Asking, found: FoundScene, image: QImage | None, theme: Theme, *, sure: bool) -> None:
        super().__init__()
        self.setObjectName("card")
        self.key = found.card.key
        self.sure = sure
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(f"{OPENS[kind] if sure else 'Click: open it'}\n{found.card.path}")
        self._thumb = QLabel()
        self._thumb.setPixmap(rounded_pixmap(image, *THUMB, QColor(theme.field), self.devicePixelRatioF()))
        self.name = _cut(found.card.name)
        self.name.setObjectName("strong")
        self.why = QLabel(reason(kind, found))
        self.why.setObjectName("muted")
        self.why.setTextFormat(Qt.TextFormat.PlainText)
        self.why.setWordWrap(True)
        chance = found.score if kind == "words" else found.confidence or 0.0
        self.figure = QLabel(f"{chance:.0%}" if sure else f"score {found.score:.2f}")
        self.figure.setObjectName("figure" if sure else "muted")
        self.figure.setToolTip(_explained(kind, found))
        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self.name, 1)
        head.addWidget(self.figure, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addLayout(head)
        words.addWidget(self.why)
        if sure:
            words.addWidget(_bar(chance))
        words.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(PAD)
        row.addWidget(self._thumb, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        self.picture = EvidencePicture()
        self.picture.set_theme(theme)
        self.picture.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD, PAD, PAD, PAD)
        column.setSpacing(PAD)
        column.addLayout(row)
        column.addWidget(self.picture)
        if kind == "alike" and sure:
            button = QPushButton("Open it")
            button.clicked.connect(lambda: self.opened.emit(self.key))
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignRight)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            (self.clicked if self.sure else self.opened).emit(self.key)


class AnswerPage(QWidget):
    back_asked = Signal()
    went = Signal(str)  # key: go there, as the answer says
    opened = Signal(str)  # key: open the capture alone

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._shown: tuple[object, ...] = ()
        self._view: RepositoryView | None = None
        self.cards: list[ResultCard] = []
        self.back = back_button()
        self.back.clicked.connect(lambda: self.back_asked.emit())
        self._picture = QLabel()
        self.asked = _cut("")
        self.asked.setObjectName("strong")
        self.summary = QLabel()
        self.summary.setObjectName("muted")
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addStretch(1)
        words.addWidget(self.asked)
        words.addWidget(self.summary)
        words.addStretch(1)
        head = QHBoxLayout()
        head.setContentsMargins(PAD, 0, PAD, PAD)
        head.setSpacing(PAD)
        head.addWidget(self._picture)
        head.addLayout(words, 1)
        self._list = QVBoxLayout()
        self._list.setContentsMargins(PAD, 0, PAD, PAD)
        self._list.setSpacing(PAD)
        self._list.addStretch(1)
        inside = QWidget()
        inside.setObjectName("panel")
        inside.setLayout(self._list)
        self.area = QScrollArea()
        self.area.setWidget(inside)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(indented(self.back))
        column.addLayout(head)
        column.addWidget(self.area, 1)

    def set_theme(self, theme: Theme) -> None:
        self._theme, self._shown = theme, ()
        if self._view is not None:
            self.show_view(self._view)

    def show_view(self, view: RepositoryView) -> None:
        self._view, s = view, view.state
        if s.asked is None:
            return
        self.asked.setText(f"“{s.asked.text}”" if s.asked.kind == "words" else s.asked.text)
        self.asked.setToolTip(s.asked.text)
        self.summary.setText(f"Scenes like this one · {summary(s)}" if s.asked.kind == "alike" else summary(s))
        shown = (s.asked, s.found, s.refusal)
        if shown != self._shown:
            self._shown = shown
            self._head(s)
            self._fill(s)
        self._show_evidence(s)

    def _head(self, s: RepositoryState) -> None:
        image = None
        if s.found is not None and s.found.photo is not None:
            image = image_of(s.found.photo)
        elif s.asked is not None and s.asked.kind == "alike":
            image = _thumbnail(s, s.asked.scene)
        self._picture.setVisible(image is not None)
        if image is not None:
            ratio = self.devicePixelRatioF()
            self._picture.setPixmap(rounded_pixmap(image, *ASKED, QColor(self._theme.field), ratio))

    def _fill(self, s: RepositoryState) -> None:
        self.cards = []
        while self._list.count() > 1:
            item = self._list.takeAt(0)
            if item is not None and (widget := item.widget()) is not None:
                widget.hide()  # it is deleted later, and must not show until then
                widget.deleteLater()
        heading, _, text = ((s.refusal and _refused(s.refusal)) or rejection(s)).partition("\n")
        if heading:
            self._add(_message(heading, text))
        if s.found is None or s.asked is None:
            return
        believed = () if s.found.rejected else s.believed()
        for found in believed:
            self._add_card(s, s.asked.kind, found, sure=True)
        others = _others(s.asked.kind, s.found)
        if others:
            label = QLabel(OTHER[s.asked.kind])
            label.setObjectName("heading")
            self._add(label)
        for found in others:
            self._add_card(s, s.asked.kind, found, sure=False)
        self.area.verticalScrollBar().setValue(0)

    def _add(self, widget: QWidget) -> None:
        self._list.insertWidget(self._list.count() - 1, widget)

    def _add_card(self, s: RepositoryState, kind: Asking, found: FoundScene, *, sure: bool) -> None:
        card = ResultCard(kind, found, _thumbnail(s, found.card.key), self._theme, sure=sure)
        card.clicked.connect(self.went)
        card.opened.connect(self.opened)
        self.cards.append(card)
        self._add(card)

    def _show_evidence(self, s: RepositoryState) -> None:
        if s.found is None or s.found.photo is None:
            return
        for card in self.cards:
            found = s.evidence.get(card.key)
            if found is not None and card.sure:
                card.picture.show_evidence(s.found.photo, found)
                card.picture.show()
                card.picture.setToolTip(found.view)


def back_button() -> QPushButton:
    """Back to all scenes."""
    button = QPushButton("‹  All scenes")
    button.setObjectName("link")
    button.setToolTip("Back to all scenes  (Esc)")
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    return button


def indented(button: QPushButton) -> QHBoxLayout:
    """A link above a page, in line with what is below."""
    row = QHBoxLayout()
    row.setContentsMargins(PAD - 4, 0, PAD, 0)
    row.addWidget(button)
    row.addStretch(1)
    return row


def _others(kind: Asking, found: ScenesFound) -> tuple[FoundScene, ...]:
    """Scenes that are not believed: to a photo only beside one that is, so that no guess looks like an answer."""
    if kind == "words" or (kind == "photo" and found.rejected):
        return ()
    return tuple(r for r in found.results if (r.confidence or 0.0) < BELIEVED)[:OTHERS]


def _thumbnail(s: RepositoryState, key: str | None) -> QImage | None:
    picture = None if key is None else s.thumbnails.get(key)
    return None if picture is None else image_of(picture.rgb)


def _explained(kind: Asking, found: FoundScene) -> str:
    if kind == "words":
        return "How likely the likeliest of these things is there"
    return f"How sure it is that this is the place; ranked by a score of {found.score:.3f}"


def _refused(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first[:1].upper()}{first[1:]}\n{rest}"


def _message(heading: str, text: str) -> QFrame:
    frame = QFrame()
    frame.setObjectName("card")
    title, body = QLabel(heading), QLabel(text.strip())
    title.setObjectName("strong")
    body.setObjectName("muted")
    column = QVBoxLayout(frame)
    column.setContentsMargins(PAD + 4, PAD + 4, PAD + 4, PAD + 4)
    column.setSpacing(GAP)
    for label in (title, body):
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(label)
    body.setVisible(bool(text.strip()))
    return frame


def _cut(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)  # names are others' words
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def _bar(share: float) -> QProgressBar:
    bar = QProgressBar()
    bar.setRange(0, 1000)
    bar.setValue(round(1000 * min(max(share, 0.0), 1.0)))
    bar.setTextVisible(False)
    bar.setObjectName("thin")
    return bar
