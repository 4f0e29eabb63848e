"""How far the annotation is: class by class, what has no label yet, and what was done."""

from __future__ import annotations

import time
from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.annotate_state import Marks
from app.panels.review_tables import FiguresTable
from app.panels.scrolled import scrolled
from app.review_state import photos_left
from app.review_view import ReviewView
from app.theme import GAP, Theme
from engine.api.annotated import PhotoVoxels, ReviewFound

MOST_CLASSES, MOST_PARTS, MOST_PHOTOS, MOST_STEPS = 10, 8, 6, 8
HEADERS = (
    ("Class", ""), ("Voxels", ""), ("Share", "Of all voxels of the scene"),
    ("Things", "Instances that voxels belong to"), ("Volume", "Of the surface's voxels, in world units cubed"),
)  # fmt: skip


class ProgressPage(QWidget):
    region_chosen = Signal(object)
    photo_chosen = Signal(int)
    class_chosen = Signal(int)
    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.share = QLabel()
        self.bar = QProgressBar()
        self.bar.setObjectName("thin")
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.table = FiguresTable(HEADERS)
        self.table.row_clicked.connect(self._choose)
        self.next_part, self.next_photo = QPushButton("Next place"), QPushButton("Next photo")
        self.parts, self.photos, self.history = (_list() for _ in range(3))
        self.parts.itemClicked.connect(self._go)
        self.photos.itemClicked.connect(self._open)
        inside = QWidget()
        inside.setObjectName("panel")
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        for widget in (self.share, self.bar, self.table):
            column.addWidget(widget)
        for title, button, some in (
            ("Not labelled yet", self.next_part, self.parts),
            ("Photos with most to label", self.next_photo, self.photos),
            ("What was done", None, self.history),
        ):  # fmt: skip
            column.addLayout(_head(title, button))
            column.addWidget(some)
        column.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scrolled(inside))
        for button, name in ((self.next_part, "review_unlabelled"), (self.next_photo, "review_photo")):
            button.setObjectName("link")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, n=name: self.asked.emit(n))
        self._review: ReviewFound | None = None
        self._classes: list[int] = []  # of the table's rows
        self._left: tuple[Marks | None, Mapping[int, PhotoVoxels]] = (None, {})

    def take_actions(self, actions: Mapping[str, QAction]) -> None:
        """Tooltips of the window's own actions."""
        self.next_part.setToolTip(actions["review_unlabelled"].toolTip())
        self.next_photo.setToolTip(actions["review_photo"].toolTip())

    def show_view(self, view: ReviewView) -> None:
        marks = view.marks
        if marks is not None:
            share = marks.labelled / max(1, len(marks.labels))
            self.bar.setValue(round(1000 * share))
            things = sum(count for _, count in marks.counts.values())
            classes = len(marks.things.palette)
            self.share.setText(f"{share:.1%} of the voxels labelled  ·  {_count(classes, 'class')}  ·  "
                               f"{_count(things, 'thing')}")  # fmt: skip
        if view.review is not None and view.review is not self._review:
            self._review = view.review
            self._show(view, view.review)
        if marks is not None and (marks, view.photos) != self._left:
            self._left = (marks, view.photos)
            self._show_photos(view, marks)

    def _show(self, view: ReviewView, found: ReviewFound) -> None:
        colours = {c.id: c.rgb for c in view.marks.things.palette} if view.marks is not None else {}
        self.table.show_rows([
            ((c.name, f"{c.voxels:,}", f"{c.share:.1%}", str(c.instances), f"{c.volume_w:.3g}"), (colours.get(c.id),),
             f"{c.name}: {_count(c.boxes, 'box')}, {_count(c.lines, 'polyline')}, {_count(c.landmarks, 'landmark')}\n"
             "Click: take it in hand")
            for c in found.classes
        ], [not c.voxels for c in found.classes])  # fmt: skip
        self._classes = [c.id for c in found.classes]
        self.table.fit_height(MOST_CLASSES)
        self.table.setVisible(bool(found.classes))
        self.parts.clear()
        for n, region in enumerate(found.unlabelled, start=1):
            item = QListWidgetItem(f"Place {n}    {region.size:.1%} of the rest")
            item.setData(Qt.ItemDataRole.UserRole, region)
            item.setToolTip("Click: go there")
            self.parts.addItem(item)
        if not found.unlabelled:
            self.parts.addItem(_muted("Nothing that looks like a whole thing is without a label."))
        _fit(self.parts, MOST_PARTS)
        self.history.clear()
        for step in reversed(found.history):
            undone = "undone: " if step.undone else ""
            count = f", {step.voxels:,} voxels" if step.voxels else ""
            self.history.addItem(
                _muted(f"{time.strftime('%H:%M', time.localtime(step.at))}  {undone}{step.title}{count}")
            )
        _fit(self.history, MOST_STEPS)

    def _show_photos(self, view: ReviewView, marks: Marks) -> None:
        self.photos.clear()
        for index, share in photos_left(marks, view.photos)[:MOST_PHOTOS]:
            item = QListWidgetItem(f"{view.photo(index)}    {share:.0%} to label")
            item.setData(Qt.ItemDataRole.UserRole, index)
            item.setToolTip("Click: see it in large")
            self.photos.addItem(item)
        if not self.photos.count():
            self.photos.addItem(_muted("It is not known yet what photos show."))
        _fit(self.photos, MOST_PHOTOS)

    def _go(self, item: QListWidgetItem) -> None:
        self.region_chosen.emit(item.data(Qt.ItemDataRole.UserRole))

    def _open(self, item: QListWidgetItem) -> None:
        self.photo_chosen.emit(item.data(Qt.ItemDataRole.UserRole))

    def _choose(self, row: int) -> None:
        self.class_chosen.emit(self._classes[row])
        self.table.show_chosen(None)

    def set_theme(self, theme: Theme) -> None:
        self.table.set_theme(theme)


def _count(number: int, what: str) -> str:
    many = what + ("es" if what.endswith(("s", "x")) else "s")
    return f"{number} {what if number == 1 else many}"


def _head(title: str, button: QPushButton | None) -> QHBoxLayout:
    label = QLabel(title)
    label.setObjectName("heading")
    row = QHBoxLayout()
    row.setContentsMargins(0, GAP, 0, 0)
    row.addWidget(label)
    row.addStretch(1)
    if button is not None:
        row.addWidget(button)
    return row


def _list() -> QListWidget:
    made = QListWidget()
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return made


def _muted(text: str) -> QListWidgetItem:
    item = QListWidgetItem(text)
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    item.setToolTip(text)
    return item


def _fit(some: QListWidget, most: int) -> None:
    some.setFixedHeight(some.sizeHintForRow(0) * max(1, min(some.count(), most)) + 4 if some.count() else 0)
