"""What is to be learnt, from what, and how: the upper part of the tasks panel."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.panels.jobs import describe
from app.panels.segmented import Segmented
from app.task_state import INITS, LABELS, MOST_SEEDS, Learnt
from app.task_view import TasksView
from app.theme import GAP
from engine.api.tasks import CONDENSE, POINTNET, SCRATCH, VIEWS

ABOUT = (
    "Teach the 3D encoder classes of your own, and see how well it tells them apart.\n\n"
    "Choose a folder, or drop it here:\n"
    "•  objects: CLASS/train/* and CLASS/test/*, as OFF, PLY, OBJ, GLB, STL, PCD or NPZ\n"
    "•  scans: train/ and test/ with annotations that were exported here, or S3DIS, ScanNet, ShapeNetPart"
)
TIPS = {
    VIEWS: "The 3D encoder that comes along, and pictures drawn of each object, that the image classifier looks at; "
    "for objects, not for scans",
    CONDENSE: "The 3D encoder that comes along: what it learnt in rooms is put to work",
    SCRATCH: "The same network from random numbers: what the labels alone bring",
    POINTNET: "A small network from scratch, as a rival; it learns as a whole, so only when all of it learns",
}
NAMED = 5
"""Broken files that are named."""


class TaskSetup(QWidget):
    asked = Signal(str)  # id of an action
    dropped = Signal(str)
    init_toggled = Signal(str)
    mode_chosen = Signal(str)
    labels_chosen = Signal(str)
    seeds_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.data = QPushButton()
        self.data.setToolTip("Choose a folder of objects in class folders, or of labelled scans in train and test")
        self.data.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.data.clicked.connect(lambda: self.asked.emit("task_data"))
        self.inits = {init: self._choice(init) for init in INITS}
        inits = QHBoxLayout()
        inits.setSpacing(GAP)
        for button in self.inits.values():
            inits.addWidget(button, 16 + button.fontMetrics().horizontalAdvance(button.text()))
        self.mode = Segmented((("probe", "A head alone"), ("finetune", "All of it")))
        self.mode.button("probe").setToolTip("A linear head on features that stay as they are: seconds to minutes")
        self.mode.button("finetune").setToolTip("Fine-tune the encoder too, from that head on: minutes to hours")
        self.mode.chosen.connect(self.mode_chosen)
        self.labels = QComboBox()
        self.labels.setEditable(True)
        self.labels.addItems(LABELS)
        self.labels.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.labels.setToolTip(
            "How many training objects (of scans: points) of each class keep their label: a share such as 10%, or a "
            "number such as 5-shot"
        )
        self.labels.activated.connect(lambda: self.labels_chosen.emit(self.labels.currentText()))
        edit = self.labels.lineEdit()
        assert edit is not None
        edit.editingFinished.connect(lambda: self.labels_chosen.emit(self.labels.currentText()))
        self.seeds = QSpinBox()
        self.seeds.setRange(1, MOST_SEEDS)
        self.seeds.setToolTip("How often everything random is drawn anew: which labels are kept, views, and scratch")
        self.seeds.valueChanged.connect(self.seeds_chosen)
        share = QHBoxLayout()
        share.setSpacing(GAP)
        share.addWidget(self.labels, 1)
        share.addWidget(QLabel("seeds"))
        share.addWidget(self.seeds)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(GAP)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, part in (
            ("Data", self.data), ("Start from", inits), ("Learn", self.mode), ("Labels", share),
        ):  # fmt: skip
            label = QLabel(title)
            label.setObjectName("muted")
            if isinstance(part, QWidget):
                form.addRow(label, part)
            else:
                form.addRow(label, part)
        self.run = self._button("task_run", "Learn and measure", "Learn, and measure on what is kept for testing")
        self.run.setObjectName("primary")
        self.stop = self._button("task_stop", "Stop", "What was measured stays  (Shift+F3)")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.where, self.hint, self.read = QLabel(), QLabel(), QLabel()
        for label in (self.where, self.hint, self.read):
            label.setObjectName("muted")
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.error = QLabel()
        self.error.setObjectName("problem")
        self.error.setWordWrap(True)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.hint)
        column.addLayout(form)
        for widget in (self.run, self.stop, self.bar, self.where, self.error, self.read):
            column.addWidget(widget)

    def _choice(self, init: str) -> QPushButton:
        button = QPushButton(init.removeprefix(CONDENSE) if init == VIEWS else init)
        button.setObjectName("choice")
        button.setCheckable(True)
        button.setToolTip(TIPS[init])
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.init_toggled.emit(init))
        return button

    def _button(self, name: str, label: str, tooltip: str) -> QPushButton:
        button = QPushButton(label)
        button.setToolTip(tooltip)
        button.clicked.connect(lambda: self.asked.emit(name))
        return button

    # --- what is shown

    def show_view(self, view: TasksView) -> None:
        s, t = view.state.setup, view.state.learnt
        live = t is not None and t.live
        self.hint.setVisible(not s.data and t is None)
        self.hint.setText(ABOUT)
        self.data.setText(Path(s.data).name or s.data if s.data else "Choose data…")
        if s.data:
            self.data.setToolTip(f"{s.data}\nClick to choose another folder")
        for init, button in self.inits.items():
            button.setChecked(init in s.inits)
            button.setEnabled(not live and (init != POINTNET or s.mode == "finetune"))
        self.mode.show_choice(s.mode, () if live else ("probe", "finetune"))
        if self.labels.currentText() != s.labels and not self.labels.hasFocus():
            self.labels.setCurrentText(s.labels)
        self.seeds.blockSignals(True)
        self.seeds.setValue(s.seeds)
        self.seeds.blockSignals(False)
        for widget in (self.data, self.labels, self.seeds):
            widget.setEnabled(not live)
        self.run.setVisible(not live)
        self.run.setEnabled("task_run" in view.enabled)
        self.stop.setVisible(live)
        self._show_progress(view)
        self.error.setVisible(t is not None and t.ending == "failed")
        self.error.setText("" if t is None else t.error)
        self.read.setVisible(t is not None and t.read is not None)
        if t is not None and t.read is not None:
            self.read.setText(_read(t))
            self.read.setToolTip(_broken(t))

    def _show_progress(self, view: TasksView) -> None:
        t, job = view.state.learnt, view.job
        live = t is not None and t.live
        self.bar.setVisible(live)
        self.where.setVisible(live)
        if job is None or not live:
            return
        self.bar.setRange(0, 1000 if job.total > 0 else 0)
        if job.total > 0:
            self.bar.setUpdatesEnabled(False)  # it would repaint at once, and with it all that waits in the window
            self.bar.setValue(int(1000 * min(1.0, job.done / job.total)))
            self.bar.setUpdatesEnabled(True)
        self.where.setText(describe(job))

    # --- what is dropped

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _folder(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self.dropped.emit(_folder(event))


def _folder(event: QDropEvent) -> str:
    """The first folder that is dropped."""
    paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    return next((p for p in paths if Path(p).is_dir()), "")


def _read(t: Learnt) -> str:
    r = t.read
    assert r is not None
    broken = f" · {len(r.broken)} could not be read" if r.broken else ""
    return f"{r.format}: {len(r.names)} classes · {r.train:,} to learn from, {r.test:,} to test on{broken}"


def _broken(t: Learnt) -> str:
    r = t.read
    assert r is not None
    lines = [f"{path}: {why}" for path, why in r.broken[:NAMED]]
    if len(r.broken) > NAMED:
        lines.append(f"and {len(r.broken) - NAMED} more")
    if r.left_out:
        lines.append(f"No classes, for too few scans have them: {', '.join(r.left_out[:20])}")
    return "\n".join(lines)
