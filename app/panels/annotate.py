"""The annotate dock: tools, classes and progress; what to do while there is nothing."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.annotate_state import AnnotateState
from app.panels.annotate_rows import ClassRow
from app.panels.scrolled import scrolled
from app.resolve_annotate import TOOLS
from app.theme import DARK, GAP, PAD, Theme
from app.view_state import AnnotateView
from engine.api.annotated import Things
from engine.api.annotations import Kind, Triple

WHAT = (
    "Name what you are looking for: type a class below and press Enter. Then press A and click a thing, in the scene "
    "or in any photo: the whole thing is selected. Enter labels it."
)
IN_ROW = 5
"""Tools side by side: the dock is narrow."""
MOST_ROWS = 6
"""Of the list of things that are seen at once."""
NAMED = ("polyline", "landmark")
MENU = (
    "annotate_words", "annotate_alike", "review_carry", "", "annotate_review", "review_conflicts", "review_compare", "",
    "classes_import", "classes_export", "", "annotations_import", "annotations_export",
)  # fmt: skip


class AnnotatePanel(QWidget):
    class_named = Signal(str)
    brought = Signal()  # annotations of another grid
    place_chosen = Signal(tuple)  # pos_w
    thing_removed = Signal(str, int)  # kind, id
    thing_renamed = Signal(str, int)
    row_made = Signal(object)  # a ClassRow, to be connected

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme: Theme = DARK
        self.rows: dict[int, ClassRow] = {}
        self._tools = QGridLayout()
        self._tools.setSpacing(2)
        self.more = QToolButton()
        self.more.setText("⋯")
        self.more.setObjectName("menu")
        self.more.setToolTip("Suggestions, review, import and export")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.text = QLabel()
        self.text.setObjectName("muted")
        self.text.setWordWrap(True)
        self.problem = QLabel()
        self.problem.setObjectName("problem")
        self.problem.setWordWrap(True)
        self.bring = QPushButton("Bring over the labels of the other fit")
        self.bring.setObjectName("primary")
        self.bring.clicked.connect(lambda: self.brought.emit())
        self.classes = QVBoxLayout()
        self.classes.setContentsMargins(0, 0, 0, 0)
        self.classes.setSpacing(1)
        self.field = QLineEdit()
        self.field.setPlaceholderText("New class, such as chair")
        self.field.setClearButtonEnabled(True)
        self.field.returnPressed.connect(self._named)
        self.progress = QProgressBar()
        self.progress.setObjectName("thin")
        self.progress.setTextVisible(False)
        self.progress.setRange(0, 1000)
        self.share = QLabel()
        self.share.setObjectName("muted")
        self.things = QListWidget()
        self.things.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.things.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.things.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.things.itemClicked.connect(self._go_to_thing)
        self.things.customContextMenuRequested.connect(self._thing_menu)
        self._things: Things | None = None
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(PAD, GAP, PAD, PAD)
        column.setSpacing(GAP)
        column.addLayout(self._tools)
        rule = QFrame()
        rule.setObjectName("rule")
        column.addWidget(rule)
        for label in (self.problem, self.text, self.bring):
            column.addWidget(label)
        column.addLayout(self.classes)
        column.addWidget(self.field)
        column.addWidget(self.progress)
        column.addWidget(self.share)
        column.addWidget(self.things)
        column.addStretch()
        inside.setObjectName("panel")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scrolled(inside))

    def take_actions(self, actions: Mapping[str, QAction]) -> None:
        """Tools and menu, of the window's own actions."""
        for n, name in enumerate(TOOLS):
            button = QToolButton()
            button.setDefaultAction(actions[name])
            button.setIconSize(QSize(19, 19))
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self._tools.addWidget(button, n // IN_ROW, n % IN_ROW)
        self._tools.setColumnStretch(IN_ROW, 1)
        self._tools.addWidget(self.more, 0, IN_ROW + 1)
        self.menu = QMenu(self)
        for name in MENU:
            if name:
                self.menu.addAction(actions[name])
            else:
                self.menu.addSeparator()
        self.more.setMenu(self.menu)

    def show_view(self, view: AnnotateView) -> None:
        s = view.state
        marks = s.marks
        palette = () if marks is None else marks.things.palette
        self.text.setText(view.obstacle or WHAT)
        self.text.setVisible(bool(view.obstacle) or not palette)
        self.problem.setText(f"Read only: {s.problem}." if s.problem else "")
        self.problem.setVisible(bool(s.problem))
        self.bring.setVisible(bool(s.elsewhere) and view.ready)
        self.field.setEnabled(view.ready and not s.problem)
        self._show_classes(s)
        self.progress.setVisible(bool(palette))
        self.share.setVisible(bool(palette) or bool(view.preparing))
        share = 0.0 if marks is None or not len(marks.labels) else marks.labelled / len(marks.labels)
        self.progress.setValue(round(1000 * share))
        parts = (f"{share:.1%} of the voxels labelled" if palette else "", view.preparing)
        self.share.setText("  ·  ".join(p for p in parts if p))
        self._show_things(Things() if marks is None else marks.things)

    def _show_classes(self, s: AnnotateState) -> None:
        palette = () if s.marks is None else s.marks.things.palette
        ids = [c.id for c in palette]
        for gone in [id for id in self.rows if id not in ids]:
            row = self.rows.pop(gone)
            self.classes.removeWidget(row)
            row.hide()
            row.deleteLater()
        for n, label in enumerate(palette):
            row = self.rows.get(label.id)
            if row is None:
                row = self.rows[label.id] = ClassRow(label)
                row.set_theme(self._theme)
                self.row_made.emit(row)
            if self.classes.indexOf(row) != n:
                self.classes.insertWidget(n, row)
            counts = (0, 0) if s.marks is None else s.marks.counts[label.id]
            row.show_class(label, counts, in_hand=label.id == s.class_id)

    def _show_things(self, things: Things) -> None:
        """Boxes, lines, landmarks and notes, to go to, rename or remove."""
        if things is self._things:
            return
        self._things = things
        names = {c.id: c.name for c in things.palette}
        rows: list[tuple[Kind, int, str, Triple | None]] = []
        for b in things.boxes:
            rows.append(("box", b.id, f"Box   {names.get(b.class_id, 'no class')}", b.centre_w))
        for p in things.polylines:
            rows.append(
                ("polyline", p.id, f"Line   {p.name or names.get(p.class_id, 'no class')}", _middle(p.points_w))
            )
        for m in things.landmarks:
            rows.append(("landmark", m.id, f"Landmark   {m.name}", m.pos_w))
        for n in things.notes:
            rows.append(("note", n.id, f"Note   {n.text}", n.pos_w))
        self.things.clear()
        for kind, id, text, pos_w in rows:
            item = QListWidgetItem(text)
            item.setToolTip(f"{text}\nClick: go there. Right button: remove it")
            item.setData(Qt.ItemDataRole.UserRole, (kind, id, pos_w))
            self.things.addItem(item)
        self.things.setVisible(bool(rows))
        height = self.things.sizeHintForRow(0) if rows else 0
        self.things.setFixedHeight(height * min(len(rows), MOST_ROWS) + 4)

    def _go_to_thing(self, item: QListWidgetItem) -> None:
        _, _, pos_w = item.data(Qt.ItemDataRole.UserRole)
        if pos_w is not None:
            self.place_chosen.emit(tuple(pos_w))

    def _thing_menu(self, at: QPoint) -> None:
        item = self.things.itemAt(at)
        if item is not None:
            kind, id, _ = item.data(Qt.ItemDataRole.UserRole)
            menu = QMenu(self)
            menu.addAction("Go there", lambda: self._go_to_thing(item))
            if kind in NAMED:
                menu.addAction("Rename…", lambda: self.thing_renamed.emit(kind, id))
            menu.addAction("Remove", lambda: self.thing_removed.emit(kind, id))
            menu.popup(self.things.viewport().mapToGlobal(at))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for row in self.rows.values():
            row.set_theme(theme)

    def _named(self) -> None:
        text = self.field.text().strip()
        if text:
            self.field.clear()
            self.class_named.emit(text)


def _middle(points_w: tuple[Triple, ...]) -> Triple:
    """The point halfway along."""
    return points_w[len(points_w) // 2]
