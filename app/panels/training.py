"""The training dock: start one, watch it learn, keep what it learned."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app import icons
from app.panels.curves import Curves, Points, Style
from app.panels.jobs import duration
from app.panels.preview import PreviewPair
from app.theme import GAP, PAD, Theme
from app.training_state import LEAST_STEPS, MEASURES, MOST_STEPS, Track, Training
from app.view_state import TrainingView

ABOUT = (
    "Trains the 2D and the 3D encoder together on this capture, until a photo's features and the scene's features "
    "agree where they show the same place (ConDense's joint training)."
)
LOSS = {
    "total": Style(
        "total loss",
        lambda t: t.accent,
        "What the training lowers: thin as it is, thick as a moving average",
        smooth=True,
    )
}
CONSISTENCY = {
    "recall_2d": Style(
        "recall 2D", lambda t: t.accent,
        "Share of points whose most similar 2D feature in another photo lies at the true place",
    ),
    "recall_3d": Style(
        "recall 3D", lambda t: t.warm, "The same for 3D features marched into the photos",
    ),
    "agreement": Style(
        "agreement", lambda t: t.good,
        "Cosine of the 2D and the 3D feature of one pixel, each less its mean: 1 when both say the same",
    ),
    "variance_2d": Style(
        "variance 2D", lambda t: t.accent,
        "How much 2D features differ from each other: near 0 they have collapsed into one and say nothing", dashed=True,
    ),
    "variance_3d": Style(
        "variance 3D", lambda t: t.warm,
        "How much 3D features differ from each other: near 0 they have collapsed into one and say nothing", dashed=True,
    ),
}  # fmt: skip
BUTTONS: dict[str, tuple[str, str]] = {
    "train": ("Train on this capture", "Train the 2D and the 3D encoder together on the open capture  (F5)"),
    "train_pause": ("Pause", "Let the training rest, or go on  (F6)"),
    "train_stop": ("Stop", "End the training; what it has reached is kept  (Shift+F5)"),
    "use_weights": ("Use these weights", "Encode all photos with what was trained here"),
    "save_weights": ("Save weights…", "Copy what was trained here into a folder"),
    "load_weights": ("Load weights…", "Encode all photos with weights from a folder"),
    "built_in_weights": ("Back to the built-in weights", "Encode all photos with the weights that come along"),
}


class TrainingPanel(QScrollArea):
    """Shows ``TrainingView``. ``asked`` names the action of a button that was pressed."""

    asked = Signal(str)
    steps_chosen = Signal(int)
    afresh_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # always there, though unseen: curves and pictures must not change their width when it comes and goes
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().rangeChanged.connect(self._show_bar)
        self._show_bar(0, 0)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._pause_icons = (QIcon(), QIcon())
        page = QWidget()
        page.setObjectName("panel")
        page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.buttons = {name: self._button(name) for name in BUTTONS}
        self.buttons["train"].setObjectName("primary")
        self.buttons["use_weights"].setObjectName("primary")
        column = QVBoxLayout(page)
        column.setContentsMargins(PAD, GAP, PAD, PAD)
        column.setSpacing(GAP)
        column.addLayout(self._controls())
        self.hint = _muted("", wrap=True)
        column.addWidget(self.hint)
        column.addLayout(self._progress())
        self.error = QLabel()
        self.error.setObjectName("bad")
        self.error.setWordWrap(True)
        self.error.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        column.addWidget(self.error)
        self.weights = self._weights()
        column.addWidget(self.weights)
        self.preview = PreviewPair()
        self.preview_of = _muted("")
        self.preview_of.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.loss = Curves(LOSS)
        self.consistency = Curves(CONSISTENCY, (0.0, 1.0))
        self.caveat = _muted("Measured on this capture, not held out", wrap=True)
        self.caveat.setToolTip(
            "At true correspondences of pairs of this capture's own photos, so it may also have been learnt by heart"
        )
        for widget in (self.preview_of, self.preview, self.loss, self.caveat, self.consistency):
            column.addWidget(widget)
        column.addStretch(1)
        self.setWidget(page)

    def _show_bar(self, least: int, most: int) -> None:
        self.verticalScrollBar().setEnabled(most > least)

    # --- parts

    def _button(self, name: str) -> QPushButton:
        label, tooltip = BUTTONS[name]
        button = QPushButton(label)
        button.setToolTip(tooltip)
        button.clicked.connect(lambda: self.asked.emit(name))
        return button

    def _controls(self) -> QVBoxLayout:
        self.steps = QSpinBox()
        self.steps.setRange(LEAST_STEPS, MOST_STEPS)
        self.steps.setSingleStep(50)
        self.steps.setSuffix(" steps")
        self.steps.setToolTip("How many steps to train; a few hundred show what there is to see")
        self.steps.valueChanged.connect(self.steps_chosen)
        self.afresh = QCheckBox("Start afresh")
        self.afresh.setToolTip(
            "Start from the built-in weights; otherwise go on from where the last training of this capture ended"
        )
        self.afresh.clicked.connect(self.afresh_chosen)
        first = QHBoxLayout()
        first.setSpacing(GAP)
        for name in ("train", "train_pause", "train_stop"):
            first.addWidget(self.buttons[name], 1)
        second = QHBoxLayout()
        second.addWidget(self.steps)
        second.addWidget(self.afresh)
        second.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(GAP)
        column.addLayout(first)
        column.addLayout(second)
        return column

    def _progress(self) -> QVBoxLayout:
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.where = QLabel()
        self.pace = _muted("", wrap=True)
        column = QVBoxLayout()
        column.setSpacing(2)
        for widget in (self.where, self.bar, self.pace):
            column.addWidget(widget)
        return column

    def _weights(self) -> QWidget:
        self.encoder = _muted("", wrap=True)
        self.encoder.setToolTip("Whose features the photos, the scene and the matches show")
        pair = QHBoxLayout()
        pair.setSpacing(GAP)
        pair.addWidget(self.buttons["save_weights"], 1)
        pair.addWidget(self.buttons["load_weights"], 1)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, GAP)
        column.setSpacing(GAP)
        column.addWidget(self.buttons["use_weights"])
        column.addLayout(pair)
        column.addWidget(self.buttons["built_in_weights"])
        column.addWidget(self.encoder)
        return box

    # --- what is shown

    def show_training(self, view: TrainingView) -> None:
        t = view.training
        live = t is not None and t.live
        self._show_controls(view, live)
        self._show_progress(view)
        self.error.setVisible(t is not None and t.ending == "failed")
        self.error.setText(t.error if t is not None else "")
        self.preview.setVisible(t is not None and t.preview is not None)
        self.preview.show_preview(None if t is None else t.preview)
        self.preview_of.setVisible(bool(view.photo))
        self.preview_of.setText("" if t is None or t.preview is None else f"{view.photo} at step {t.preview.step}")
        some = t is not None and bool(t.losses)
        for widget in (self.loss, self.caveat, self.consistency):
            widget.setVisible(some)
        steps = 1 if t is None else t.steps
        self.loss.show_points({"total": _points(() if t is None else t.losses, "total")}, steps)
        track = () if t is None else t.measures
        self.consistency.show_points({name: _points(track, name) for name in MEASURES}, steps)
        self.weights.setVisible(not live)
        still = "\nThe scene still shows what the training made of it." if view.leftover else ""
        self.encoder.setText(f"Encoder in use: {view.encoder}{still}")

    def _show_controls(self, view: TrainingView, live: bool) -> None:
        t = view.training
        for name, button in self.buttons.items():
            button.setEnabled(name in view.enabled)
        start, pause, stop = (self.buttons[n] for n in ("train", "train_pause", "train_stop"))
        start.setVisible(not live)
        start.setToolTip(view.obstacle or BUTTONS["train"][1])
        for widget in (pause, stop):
            widget.setVisible(live)
        if t is not None:
            waiting = {"pause": "Pausing…", "resume": "Resuming…"}.get(t.wish)
            pause.setIcon(self._pause_icons[1 if t.paused else 0])
            pause.setText(waiting or ("Resume" if t.paused else "Pause"))
            stop.setText("Stopping…" if t.wish == "stop" else "Stop")
            pause.setEnabled(live and t.wish == "")
            stop.setEnabled(live and t.wish != "stop")
        for widget, shown in ((self.steps, view.steps), (self.afresh, view.afresh)):
            widget.blockSignals(True)
            if isinstance(widget, QSpinBox):
                widget.setValue(shown)
            else:
                widget.setChecked(bool(shown))
            widget.blockSignals(False)
            widget.setVisible(not live)
        self.hint.setVisible(t is None or (not live and bool(view.obstacle)))
        about = [] if t is not None else [ABOUT]
        self.hint.setText("\n\n".join([*([view.obstacle] if view.obstacle else []), *about]))
        self.buttons["use_weights"].setVisible("use_weights" in view.enabled)
        self.buttons["save_weights"].setVisible("save_weights" in view.enabled)
        self.buttons["built_in_weights"].setVisible((view.foreign or view.leftover) and not live)

    def _show_progress(self, view: TrainingView) -> None:
        t = view.training
        for widget in (self.where, self.pace, self.bar):
            widget.setVisible(t is not None)
        if t is None:
            return
        self.bar.setVisible(t.live)
        self.pace.setVisible(t.live)
        self.bar.setRange(0, 0 if t.step == 0 and not t.paused else 1000)
        if t.step:
            self.bar.setUpdatesEnabled(False)  # it would repaint at once, and with it all that waits in the window
            self.bar.setValue(int(1000 * min(1.0, t.step / max(1, t.steps))))
            self.bar.setUpdatesEnabled(True)
        self.where.setText(_where(view, t))
        self.pace.setText(_pace(view, t))

    def set_theme(self, theme: Theme) -> None:
        for widget in (self.preview, self.loss, self.consistency):
            widget.set_theme(theme)
        self.buttons["train_stop"].setIcon(icons.icon("cancel", theme))
        self._pause_icons = (icons.icon("pause", theme), icons.icon("play", theme))
        self.buttons["train_pause"].setIcon(self._pause_icons[0])


def _where(view: TrainingView, t: Training) -> str:
    if t.ending:
        end = {"finished": "Trained", "stopped": "Stopped after", "failed": "Failed after"}[t.ending]
        spent = f"  ·  {duration(t.elapsed)}" if t.elapsed else ""
        return f"{end} {t.step} of {t.steps} steps{spent}"
    if t.step == 0:
        note = "" if view.job is None else view.job.note
        return "Paused before the first step" if t.paused else f"Preparing… {note}".strip()
    return f"Step {t.step} of {t.steps}" + ("  ·  paused" if t.paused else "")


def _pace(view: TrainingView, t: Training) -> str:
    """Rate, time left, time spent; what the engine does not tell is worked out from the time spent."""
    job = view.job
    rate = job.rate if job is not None and job.unit == "steps" else None
    if rate is None and t.elapsed > 0 and t.step:
        rate = t.step / t.elapsed
    parts: list[str] = []
    if rate and t.step and not t.paused:
        left = job.eta if job is not None and job.unit == "steps" and job.eta is not None else (t.steps - t.step) / rate
        parts = [f"{rate:,.2g} steps/s" if rate >= 1 else f"{1 / rate:,.1f} s a step", f"{duration(left)} left"]
    return "  ·  ".join([*parts, f"{duration(t.elapsed)} so far"])


def _points(track: Track, name: str) -> Points:
    return tuple((p.step, p.values[name]) for p in track if name in p.values)


def _muted(text: str, *, wrap: bool = False) -> QLabel:
    label = QLabel(text)
    label.setObjectName("muted")
    label.setWordWrap(wrap)
    return label
