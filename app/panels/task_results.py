"""How a task went: losses, scores, what is mistaken for what, and the objects or scans behind it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.panels.confusion import Confusion
from app.panels.curves import Curves, Points, Style
from app.panels.task_bars import ClassBars, Scores, init_name
from app.task_state import INITS, Case, Cell, Learnt, cases, scores
from app.task_view import TasksView
from app.theme import GAP, Theme
from engine.api.tasks import CONDENSE, POINTNET, SCRATCH, VIEWS, TaskMeasured

ROWS = 8
"""Cases in sight at once."""
LOSS = {
    CONDENSE: Style(
        f"loss, {CONDENSE}", lambda t: t.accent, "On the batch that is learnt from, of its newest seed", smooth=True,
    ),
    VIEWS: Style(VIEWS, lambda t: t.muted, "The same with pictures drawn of each object beside", smooth=True),
    SCRATCH: Style(SCRATCH, lambda t: t.warm, "The same from scratch", smooth=True),
    POINTNET: Style(
        POINTNET, lambda t: t.good, "The same of a PointNet, which takes five times the steps", smooth=True,
    ),
}  # fmt: skip


class TaskResults(QWidget):
    run_chosen = Signal(str, int)
    cell_chosen = Signal(object)
    case_opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._known: tuple[object, ...] = ()
        self._cases: tuple[Case, ...] = ()
        self.loss = Curves(LOSS)
        self.scores, self.classes, self.matrix = Scores(), ClassBars(), Confusion()
        self.matrix.chosen.connect(self.cell_chosen)
        self.which = QComboBox()
        self.which.setToolTip("Whose mistakes: a network, and a seed")
        self.which.activated.connect(self._choose_run)
        self.title = _heading("What is mistaken for what")
        self.list_title = QLabel()
        self.list_title.setObjectName("muted")
        self.list_title.setWordWrap(True)
        self.all = QToolButton()
        self.all.setText("all mistakes")
        self.all.setToolTip("List the mistakes of all classes again")
        self.all.clicked.connect(lambda: self.cell_chosen.emit(None))
        self.table = _table()
        self.table.cellClicked.connect(self._open)
        self.table.cellActivated.connect(self._open)
        self.classes_title = _heading("IoU of each class, the worst first")
        head, foot = QHBoxLayout(), QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.which)
        foot.addWidget(self.list_title, 1)
        foot.addWidget(self.all)
        self.measured = QWidget()
        inner = QVBoxLayout(self.measured)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(GAP)
        inner.addWidget(self.scores)
        inner.addLayout(head)
        inner.addWidget(self.matrix)
        inner.addLayout(foot)
        for widget in (self.table, self.classes_title, self.classes):
            inner.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.loss)
        column.addWidget(self.measured)

    def show_view(self, view: TasksView) -> None:
        """Only what changed is worked out anew: a run has as many cases as there are objects."""
        s, t = view.state, view.state.learnt
        known = (t, s.chosen, s.cell)
        if known == self._known:
            return
        self._known = known
        self._show_losses(t)
        run = None if t is None else t.run(s.chosen)
        self.measured.setVisible(run is not None)
        if t is None or t.read is None or run is None:
            return
        names, found = t.read.names, scores(t)
        unit = "objects" if t.read.kind == "classify" else "points"
        self.scores.show_scores(found)
        self.classes.show_scores(names, found)
        self.matrix.show_counts(names, run.confusion, unit, s.cell)
        self._show_runs(t, run)
        self._show_cases(t, run, s.cell, names)

    def _open(self, row: int, _column: int) -> None:
        self.case_opened.emit(self._cases[row])

    def _show_losses(self, t: Learnt | None) -> None:
        points: dict[str, Points] = {}
        for (init, _), track in () if t is None else t.losses.items():
            if init in INITS:
                points[init] = tuple((p.step, p.values["loss"]) for p in track)  # the newest seed's
        self.loss.setVisible(bool(points))
        self.loss.show_points(points, 1 if t is None else t.steps)

    def _show_runs(self, t: Learnt, run: TaskMeasured) -> None:
        told = [f"{init_name(r.init)}, seed {r.seed}" for r in t.runs]
        if [self.which.itemText(n) for n in range(self.which.count())] != told:
            self.which.clear()
            for r, text in zip(t.runs, told, strict=True):
                self.which.addItem(text, (r.init, r.seed))
        self.which.setCurrentIndex(t.runs.index(run))
        self.which.setVisible(len(t.runs) > 1)

    def _choose_run(self, place: int) -> None:
        init, seed = self.which.itemData(place)
        self.run_chosen.emit(init, seed)

    def _show_cases(self, t: Learnt, run: TaskMeasured, cell: Cell | None, names: tuple[str, ...]) -> None:
        assert t.read is not None
        objects = t.read.kind == "classify"
        self._cases, count = cases(t, run, cell)
        self.all.setVisible(cell is not None)
        more = f", {len(self._cases)} of them listed" if count > len(self._cases) else ""
        if cell is not None:
            told = f"{self.matrix.told(cell)}{more}. "
        elif count:
            told = f"{count:,} {'mistakes' if objects else 'kinds of mistakes in scans'}{more}. "
        else:
            told = "No mistakes at all. "
        order = "the surest first" if objects else "the largest first"
        self.list_title.setText(told + (f"Click one to see it; {order}." if self._cases else ""))
        self.table.setVisible(bool(self._cases))
        self.table.setHorizontalHeaderLabels(
            ["object" if objects else "scan", "true → said", "sure" if objects else "points · sure"]
        )
        self.table.setRowCount(len(self._cases))
        for row, case in enumerate(self._cases):
            sure = f"{case.sure:.0%}" if objects else f"{case.count:,} · {case.sure:.0%}"
            tip = f"{case.name}: {names[case.true]}, said to be {names[case.said]} with a chance of {case.sure:.0%}"
            for column, text in enumerate((case.name, f"{names[case.true]} → {names[case.said]}", sure)):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                if column == 2:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        tall = self.table.rowHeight(0) if self._cases else 0
        shown = min(ROWS, len(self._cases))
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + tall * shown + 4)

    def set_theme(self, theme: Theme) -> None:
        for widget in (self.loss, self.scores, self.classes, self.matrix):
            widget.set_theme(theme)


def _table() -> QTableWidget:
    table = QTableWidget(0, 3)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(24)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setCursor(Qt.CursorShape.PointingHandCursor)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    for column in (0, 1):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
    header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
    return table


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("heading")
    return label
