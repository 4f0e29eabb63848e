"""The jobs dock: what the engine works on, how fast, how long still, and a way to stop it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app import icons
from app.state import Job
from app.theme import DARK, GAP, PAD, Theme


class JobRow(QWidget):
    """One job."""

    cancelled = Signal(int)

    def __init__(self, job_id: int) -> None:
        super().__init__()
        self._shown: Job | None = None
        self.title = QLabel()
        self.note = QLabel()
        self.note.setObjectName("muted")
        for label in (self.title, self.note):  # long texts are cut rather than widening the dock
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.stop = QToolButton()
        self.stop.setToolTip("Cancel")
        self.stop.clicked.connect(lambda: self.cancelled.emit(job_id))
        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self.title, 1)
        head.addWidget(self.stop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, GAP)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(self.bar)
        column.addWidget(self.note)

    def set_theme(self, theme: Theme) -> None:
        self.stop.setIcon(icons.icon("cancel", theme))

    def show_job(self, job: Job) -> None:
        if job == self._shown:
            return
        self._shown = job
        self.title.setText(job.title)
        self.note.setText(describe(job))
        self.note.setToolTip(describe(job))
        self.stop.setVisible(job.live)
        self.bar.setVisible(job.live)
        busy = job.total <= 0
        self.bar.setRange(0, 0 if busy and job.status == "running" else 1000)
        if not busy:
            # A progress bar repaints at once, and with it all that waits in the window.
            self.bar.setUpdatesEnabled(False)
            self.bar.setValue(int(1000 * min(1.0, job.done / job.total)))
            self.bar.setUpdatesEnabled(True)


def describe(job: Job) -> str:
    """One line under a job's bar."""
    if job.status == "waiting":
        return "waiting"
    if job.status == "finished":
        return f"done in {duration(job.seconds or 0)}"
    if job.status == "cancelled":
        return "cancelled; what was finished is kept"
    if job.status == "failed":
        return job.note or "failed"
    parts: list[str] = []
    if job.total > 0:
        parts.append(f"{job.done:,.0f} / {job.total:,.0f} {job.unit}")
    if job.rate is not None:
        parts.append(f"{job.rate:,.3g} {job.unit}/s")
    if job.eta is not None:
        parts.append(f"{duration(job.eta)} left")
    if job.note:
        parts.append(job.note)
    return "  ·  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"


class JobsPanel(QWidget):
    cancelled = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme: Theme = DARK
        self.rows: dict[int, JobRow] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(PAD, GAP, PAD, PAD)
        self._column.setSpacing(GAP)
        self._empty = QLabel("Nothing is running.")
        self._empty.setObjectName("muted")
        self._column.addWidget(self._empty)
        self._column.addStretch(1)

    def show_jobs(self, jobs: tuple[Job, ...]) -> None:
        wanted = {j.id for j in jobs}
        for job_id in [i for i in self.rows if i not in wanted]:
            row = self.rows.pop(job_id)
            self._column.removeWidget(row)
            row.deleteLater()
        for job in jobs:
            if job.id not in self.rows:
                row = JobRow(job.id)
                row.cancelled.connect(self.cancelled)
                row.set_theme(self._theme)
                self.rows[job.id] = row
                self._column.insertWidget(self._column.count() - 1, row)
            self.rows[job.id].show_job(job)
        self._empty.setVisible(not jobs)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for row in self.rows.values():
            row.set_theme(theme)
