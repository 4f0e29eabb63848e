"""Places of which two say something else: a list, the present one in two photos, and what can be done about it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.panels.crop_pane import CropPane
from app.panels.review_tables import FiguresTable
from app.review_state import Rgb
from app.review_view import ReviewView
from app.theme import GAP, Theme
from engine.api.reviewing import Disagreement, Side

LEFT_ELIDED = Qt.TextElideMode.ElideMiddle


class PlacesList(QWidget):
    """Args:
    first, second: headers, who the two are.
    keep: what accepting the first side is called, and ``take`` the second; "": by the class.
    """

    looked = Signal(int)
    accepted = Signal(bool)  # the first side, or the second
    skipped = Signal()
    photo_opened = Signal(int)

    def __init__(self, first: str, second: str, keep: str = "", take: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keep, self._take = keep, take
        headers = ((first, ""), (second, ""), ("Voxels", "How many voxels of the scene it is about"))
        self.table = FiguresTable(headers, words=2)
        self.table.row_clicked.connect(self.looked)
        self.crops = (CropPane(), CropPane())
        self.heads = (QLabel(), QLabel())
        self.buttons = (QPushButton(), QPushButton())
        self.skip = QPushButton("Skip")
        self.skip.setToolTip("Leave it as it is, and go to the next one  (Backspace)")
        self.skip.clicked.connect(lambda: self.skipped.emit())
        pair, acts = QHBoxLayout(), QHBoxLayout()
        pair.setSpacing(GAP)
        acts.setSpacing(GAP)
        for n, (crop, head, button) in enumerate(zip(self.crops, self.heads, self.buttons, strict=True)):
            head.setObjectName("muted")
            head.setTextFormat(Qt.TextFormat.PlainText)
            crop.opened.connect(self.photo_opened)
            button.clicked.connect(lambda _=False, first=n == 0: self.accepted.emit(first))
            column = QVBoxLayout()
            column.setSpacing(3)
            column.addStretch()
            column.addWidget(head)
            column.addWidget(crop, 1)
            pair.addLayout(column, 1)
        for button, room in ((self.buttons[0], 1), (self.skip, 0), (self.buttons[1], 1)):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            acts.addWidget(button, room)
        self.detail = QWidget()
        below = QVBoxLayout(self.detail)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(GAP)
        below.addLayout(pair, 1)
        below.addLayout(acts)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.table, 2)
        column.addWidget(self.detail, 3)
        self._listed: tuple[Disagreement, ...] = ()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for crop in self.crops:  # more height would but show what is above and below the photo
            crop.setMaximumHeight(max(120, round(0.42 * self.width())))

    def show_view(self, view: ReviewView) -> None:
        s = view.state
        if s.listed is not self._listed:
            self._listed = s.listed
            self.table.show_rows([self._row(view, d) for d in s.listed])
        self.table.setVisible(bool(s.listed))
        looked = s.looked
        at = None if looked is None else next((n for n, d in enumerate(s.listed) if d is looked.of), None)
        self.table.show_chosen(at)
        self.detail.setVisible(looked is not None)
        if looked is None:
            return
        of = looked.of
        for n, side in enumerate((of.a, of.b)):
            photo, other = looked.views[n], side.view is None
            self.crops[n].show_crop(
                photo, view.pictures[n], None if photo is None else view.photos.get(photo), looked.lit, side.rgb
            )
            seen = "" if photo is None else f"{looked.pixels[n]:,} px"
            who = view.photo(photo) if photo is not None else ""
            text = " · ".join(part for part in (who, seen) if part)
            self.heads[n].setToolTip(f"{text}{'' if not other else ', which shows it'}")
            room = self.crops[n].width()
            self.heads[n].setText(QFontMetrics(self.heads[n].font()).elidedText(text, LEFT_ELIDED, max(60, room)))
            key, name = ("A", self._keep or side.name) if n == 0 else ("B", self._take or side.name)
            self.buttons[n].setText(f"{name}  ({key})")
            self.buttons[n].setEnabled(view.writable and (bool(side.class_id) or bool(self._keep)))
            self.buttons[n].setToolTip(self._tip(n, side))

    def _tip(self, n: int, side: Side) -> str:
        if self._keep:
            return "Leave what is annotated here" if n == 0 else "Label it as the other annotator did"
        return f"It is {side.name}: one step that can be undone"

    def _row(self, view: ReviewView, d: Disagreement) -> tuple[tuple[str, str, str], tuple[Rgb, Rgb], str]:
        a, b = (f"{side.name}{self._of(view, side)}" for side in (d.a, d.b))
        tip = f"{a} or {b}: {len(d.rows):,} voxels{' in small places' if d.scattered else ''}"
        return (a, b, f"{len(d.rows):,}"), (d.a.rgb, d.b.rgb), tip

    def _of(self, view: ReviewView, side: Side) -> str:
        if self._keep:
            return ""
        who = "scene" if side.view is None else f"photo {side.view}"
        return f" · {who}{' (mask)' if side.mask else ''}"

    def set_theme(self, theme: Theme) -> None:
        self.table.set_theme(theme)
        for crop in self.crops:
            crop.set_theme(theme)
