"""The layers dock: what the scene shows, and how strongly."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QSlider, QToolButton, QVBoxLayout, QWidget

from app import colormaps, icons
from app.panels.clip_controls import ClipControls
from app.panels.legend import Legend, Scale
from app.panels.segmented import Segmented
from app.state import Layer
from app.theme import GAP, PAD, Theme
from app.view_state import KeypointsView, LayersView

ROWS: tuple[tuple[str, str], ...] = (
    ("volume", "Radiance volume"),
    ("heat", "Heat"),
    ("prompts", "Prompts"),
    ("labels", "Labels"),
    ("keypoints", "Keypoints"),
    ("matches", "Matches"),
    ("frusta", "Cameras"),
    ("points", "Points"),
    ("photo", "Photo overlay"),
    ("grid", "Floor grid"),
)
WITHOUT_OPACITY = frozenset({"matches", "grid"})
COUNTS, COUNT_STEP = (256, 4096), 128


class LayerRow(QWidget):
    """An eye, a name, and an opacity slider."""

    visible_toggled = Signal()
    opacity_moved = Signal(float)

    def __init__(self, name: str, label: str) -> None:
        super().__init__()
        self._icon = name
        self.eye = QToolButton()
        self.eye.setCheckable(True)
        self.eye.setToolTip(f"Show or hide: {label.lower()}")
        self.eye.clicked.connect(lambda: self.visible_toggled.emit())
        self.label = QLabel(label)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setToolTip("Opacity")
        self.slider.setFixedWidth(92)
        self.slider.valueChanged.connect(self._moved)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(self.eye)
        row.addWidget(self.label, 1)
        row.addWidget(self.slider)
        if name in WITHOUT_OPACITY:
            self.slider.hide()

    def show_layer(self, layer: Layer, usable: bool) -> None:
        self.eye.setChecked(layer.visible)
        self.slider.blockSignals(True)
        self.slider.setValue(round(layer.opacity * 100))
        self.slider.blockSignals(False)
        self.label.setEnabled(usable)
        self.slider.setEnabled(usable and layer.visible)

    def _moved(self, value: int) -> None:
        self.opacity_moved.emit(value / 100)

    def set_theme(self, theme: Theme) -> None:
        self.eye.setIcon(icons.icon(self._icon, theme))


class KeypointControls(QWidget):
    """How many keypoints are shown, and by what they are coloured; below the layer's row while it shows."""

    count_moved = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * PAD, 0, 0, GAP)
        column.setSpacing(GAP)
        row = QHBoxLayout()
        self.label = QLabel()
        self.label.setObjectName("muted")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(COUNTS[0] // COUNT_STEP, COUNTS[1] // COUNT_STEP)
        self.slider.setToolTip("How many of the best are shown")
        self.slider.setFixedWidth(92)
        self.slider.valueChanged.connect(self._moved)
        row.addWidget(self.label, 1)
        row.addWidget(self.slider)
        column.addLayout(row)
        self.colouring = Segmented((("score", "Score"), ("features", "Feature"), ("prompts", "Prompt")))
        column.addWidget(self.colouring)
        tip = "How sure photos are that they would find it again, averaged over those that see it"
        self.scale = Scale(colormaps.score_table(), "", "", tip)
        column.addWidget(self.scale)

    def _moved(self, value: int) -> None:
        self.count_moved.emit(value * COUNT_STEP)

    def show_keypoints(self, view: KeypointsView) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(view.count // COUNT_STEP)
        self.slider.blockSignals(False)
        if view.found is None:
            self.label.setText("looking for them…")
        else:
            self.label.setText(f"best {min(view.count, len(view.found.score)):,} of {len(view.found.score):,}")
            score = view.found.score[: view.count]
            low, high = (float(score.min()), float(score.max())) if len(score) else (0.0, 1.0)
            self.scale.show_ends(f"{low:.2f}  score", f"{high:.2f}")
        self.colouring.show_choice(view.colouring)
        self.scale.setVisible(view.colouring == "score")


class LayersPanel(QWidget):
    visible_toggled = Signal(str)
    opacity_moved = Signal(str, float)
    colouring_chosen = Signal(str)
    threshold_moved = Signal(float)
    cutaway_toggled = Signal()
    keypoint_count_moved = Signal(int)
    keypoint_colouring_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD, GAP, PAD, PAD)
        column.setSpacing(GAP)
        self.colouring = Segmented((("colour", "Colour"), ("features", "Features"), ("spread", "Spread")))
        self.colouring.chosen.connect(self.colouring_chosen)
        column.addWidget(self.colouring)
        tip = "1 minus the length of the mean of the views' unit features"
        self.spread_scale = Scale(colormaps.table(colormaps.SPREAD), "0  photos agree", "they do not  1", tip)
        self.features_hint = QLabel("Alike in colour, alike in features: one set of colours for photos and scene.")
        self.features_hint.setObjectName("muted")
        self.features_hint.setWordWrap(True)
        column.addWidget(self.spread_scale)
        column.addWidget(self.features_hint)
        self.rows: dict[str, LayerRow] = {}
        for name, label in ROWS:
            row = LayerRow(name, label)
            row.visible_toggled.connect(lambda n=name: self.visible_toggled.emit(n))
            row.opacity_moved.connect(_bound(self.opacity_moved.emit, name))
            self.rows[name] = row
            column.addWidget(row)
            if name == "keypoints":
                self.keypoints = KeypointControls()
                self.keypoints.count_moved.connect(self.keypoint_count_moved)
                self.keypoints.colouring.chosen.connect(self.keypoint_colouring_chosen)
                column.addWidget(self.keypoints)
        rule = QFrame()
        rule.setObjectName("rule")
        column.addWidget(rule)
        head = QHBoxLayout()
        title = QLabel("Heat from")
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 100)
        self.threshold.setToolTip("Show heat above this part of the range")
        self.threshold.valueChanged.connect(self._threshold_changed)
        head.addWidget(title)
        head.addWidget(self.threshold, 1)
        column.addLayout(head)
        self.legend = Legend()
        column.addWidget(self.legend)
        self.cutaway = QCheckBox("Cut away walls towards the eye")
        self.cutaway.setToolTip("Hide surfaces from the side that no photo saw  (X)")
        self.cutaway.clicked.connect(lambda: self.cutaway_toggled.emit())
        column.addWidget(self.cutaway)
        self.clip = ClipControls()
        column.addWidget(self.clip)
        column.addStretch(1)

    def show_layers(self, view: LayersView) -> None:
        for name, row in self.rows.items():
            row.show_layer(view.layers[name], name in view.usable)
        self.colouring.show_choice(view.colouring, view.colourings)
        self.spread_scale.setVisible(view.colouring == "spread")
        self.features_hint.setVisible(view.colouring == "features")
        self.threshold.blockSignals(True)
        self.threshold.setValue(round(view.threshold * 100))
        self.threshold.blockSignals(False)
        self.legend.show_range(view.bounds, view.threshold)
        self.cutaway.setChecked(view.cutaway)
        self.clip.show_clip(view.clip)
        self.keypoints.setVisible(view.layers["keypoints"].visible and "keypoints" in view.usable)
        self.keypoints.show_keypoints(view.keypoints)

    def _threshold_changed(self, value: int) -> None:
        self.threshold_moved.emit(value / 100)

    def set_theme(self, theme: Theme) -> None:
        self.legend.set_theme(theme)
        self.spread_scale.set_theme(theme)
        self.keypoints.scale.set_theme(theme)
        for row in self.rows.values():
            row.set_theme(theme)


def _bound(emit: Callable[[str, float], None], name: str) -> Callable[[float], None]:
    return lambda value: emit(name, value)
