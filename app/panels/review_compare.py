"""Another annotator: how much is labelled alike, class by class, with a legend of what is coloured how."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.panels.annotate_rows import dot
from app.panels.review_places import PlacesList
from app.panels.review_tables import FiguresTable
from app.review_state import COMPARISON
from app.review_view import ReviewView
from app.theme import GAP, Theme
from engine.api.reviewing import AnnotationsCompared

EMPTY = (
    "Open the file of another annotator of this capture (JSON, NPZ, PLY, COCO): both are shown over each other, in the "
    "scene and in every photo, with a table of classes, and what theirs has can be taken over."
)
HEADERS = (
    ("Class", ""), ("Here", "Voxels labelled here"), ("Theirs", "Voxels labelled by the other annotator"),
    ("IoU", "What both label so, of what either does"), ("Things", "Mean IoU of things, each with the likest one"),
)  # fmt: skip
MOST_CLASSES = 6


class ComparePage(QWidget):
    asked = Signal(str)
    by_position_asked = Signal()
    stopped = Signal()
    isolated = Signal(int)
    class_taken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setObjectName("muted")
        self.text.setWordWrap(True)
        self.choose = QPushButton("Compare with a file…")
        self.choose.setObjectName("primary")
        self.choose.clicked.connect(lambda: self.asked.emit("review_compare"))
        self.by_position = QPushButton("Compare by position")
        self.by_position.setToolTip("Voxels at the same places are compared; what lies nowhere here is told")
        self.by_position.clicked.connect(lambda: self.by_position_asked.emit())
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.told = QLabel()
        self.told.setObjectName("muted")
        self.told.setWordWrap(True)
        self.legend = QWidget()
        legend = QHBoxLayout(self.legend)
        legend.setContentsMargins(0, 0, 0, 0)
        legend.setSpacing(3)
        for kind in COMPARISON:
            spot, name = QLabel(), QLabel(kind.name)
            spot.setPixmap(dot(kind.rgb, 11))
            name.setObjectName("muted")
            legend.addWidget(spot)
            legend.addWidget(name)
            legend.addSpacing(GAP)
        legend.addStretch(1)
        self.table = FiguresTable(HEADERS)
        self.table.row_clicked.connect(self._isolate)
        self.take, self.stop = QPushButton(), QPushButton("Close comparison")
        self.take.clicked.connect(lambda: self.class_taken.emit())
        self.stop.clicked.connect(lambda: self.stopped.emit())
        buttons = QHBoxLayout()
        buttons.addWidget(self.take)
        buttons.addStretch(1)
        buttons.addWidget(self.stop)
        self.places = PlacesList("Here", "Theirs", "Keep mine", "Take theirs")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        for widget in (
            self.text, self.choose, self.by_position, self.summary, self.told, self.legend, self.table,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.places, 1)
        column.addStretch()
        for button in (self.choose, self.by_position, self.take, self.stop):
            button.setFocusPolicy(self.table.focusPolicy())
        self._compared: AnnotationsCompared | None = None

    def take_actions(self, actions: Mapping[str, QAction]) -> None:
        """Tooltips of the window's own actions."""
        self.choose.setToolTip(actions["review_compare"].toolTip())

    def show_view(self, view: ReviewView) -> None:
        s = view.state
        found, elsewhere = s.compared, s.elsewhere
        there = found is not None
        self.text.setText(f"{elsewhere.what}." if elsewhere is not None else "Reading…" if s.comparing else EMPTY)
        self.text.setVisible(not there)
        self.choose.setVisible(not there and not s.comparing)
        self.by_position.setVisible(elsewhere is not None)
        for widget in (self.summary, self.legend, self.table, self.stop, self.places):
            widget.setVisible(there)
        self.told.setVisible(found is not None and bool(found.told or found.left_out))
        self.take.setVisible(there and bool(s.only))
        if found is None:
            return
        if found is not self._compared:
            self._compared = found
            kappa = "" if found.kappa is None else f"  ·  Cohen's κ {found.kappa:.2f}"
            self.summary.setText(
                f"{found.name}: {found.agreed:.1%} labelled alike{kappa}  ·  {found.differ:,} voxels differ"
            )
            self.summary.setToolTip(
                "Of all voxels that either labelled, how many both label alike; κ of those that both labelled"
            )
            more = f"{found.left_out} smaller places are not listed." if found.left_out else ""
            self.told.setText(" ".join([*found.told, more]).strip())
            self.table.show_rows([
                ((c.name, f"{c.mine:,}", f"{c.theirs:,}", f"{c.iou:.2f}",
                  "–" if c.instance_iou is None else f"{c.instance_iou:.2f}"),
                 (c.rgb,), f"{c.name}: {c.both:,} voxels alike\nClick: show it alone; again: all")
                for c in found.classes
            ])  # fmt: skip
            self.table.fit_height(MOST_CLASSES)
        self.table.show_chosen(s.only - 1 if s.only else None)
        if s.only:
            name = found.classes[s.only - 1].name
            self.take.setText(f"Take theirs for {name}")
            self.take.setToolTip(f"{name} becomes as the other annotator has it: one step that can be undone")
            self.take.setEnabled(view.writable)
        self.places.show_view(view)

    def _isolate(self, row: int) -> None:
        self.isolated.emit(row + 1)

    def set_theme(self, theme: Theme) -> None:
        self.table.set_theme(theme)
        self.places.set_theme(theme)
