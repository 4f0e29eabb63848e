"""The photos dock: all views or one large, as photo, features, the scene's features, their agreement, or heat."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from app import colormaps, icons
from app.panels.image_grid import ImageGrid
from app.panels.legend import Legend, Scale
from app.panels.photo_pane import PhotoPane
from app.panels.segmented import Segmented
from app.state import COMPARING
from app.theme import GAP, PAD, Theme
from app.view_state import ImagesView, SingleView

MODES = (
    ("photo", "Photo"), ("features", "Features"), ("scene", "Scene"), ("agreement", "Agree"), ("heat", "Heat"),
)  # fmt: skip
SORTS = {False: "Best matches first  (S)", True: "Those that agree least first  (S)"}


class ImagesPanel(QWidget):
    mode_chosen = Signal(str)
    sort_toggled = Signal()
    single_toggled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.modes = Segmented(MODES)
        self.modes.chosen.connect(self.mode_chosen)
        self.sort_button = _button("Best matches first  (S)")
        self.sort_button.clicked.connect(lambda: self.sort_toggled.emit())
        self.single_button = _button("One large photo, or all  (Space)")
        self.single_button.clicked.connect(lambda: self.single_toggled.emit())
        self.grid = ImageGrid()
        self.pane = PhotoPane()
        self.legend = Legend()
        tip = "Cosine of the photo's feature and of the scene's, marched into it; every photo spoke for the scene too"
        self.agreement = Scale(colormaps.table(colormaps.AGREEMENT), "0  cosine", "photo and scene agree  1", tip)
        self._name = QLabel()
        self._name.setObjectName("muted")
        top = QHBoxLayout()
        top.setContentsMargins(PAD, GAP, PAD, GAP)
        top.setSpacing(GAP)
        top.addWidget(self.modes, 1)
        top.addWidget(self.sort_button)
        top.addWidget(self.single_button)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.grid)
        self.stack.addWidget(self.pane)
        foot = QVBoxLayout()
        foot.setContentsMargins(PAD, GAP, PAD, GAP)
        foot.addWidget(self._name)
        foot.addWidget(self.legend)
        foot.addWidget(self.agreement)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.stack, 1)
        column.addLayout(foot)

    def show_images(self, view: ImagesView) -> None:
        self.modes.show_choice(view.mode)
        self.sort_button.setChecked(view.sort == "score")
        self.sort_button.setToolTip(SORTS[view.mode in COMPARING])
        self.grid.show_view(view)
        self.legend.show_range(view.bounds, view.threshold)
        self.legend.setVisible(view.mode == "heat" or (view.bounds is not None and view.mode != "agreement"))
        self.agreement.setVisible(view.mode == "agreement")

    def show_single(self, view: SingleView) -> None:
        single = view.cell is not None
        self.single_button.setChecked(single)
        self.pane.show_view(view)
        self.stack.setCurrentWidget(self.pane if single else self.grid)
        self._name.setVisible(view.cell is not None)
        if view.cell is not None:
            held = "  ·  held out from the fit" if view.cell.info.held_out else ""
            self._name.setText(f"{view.cell.info.index}  {view.cell.info.name}{held}{_figures(view)}")

    def set_theme(self, theme: Theme) -> None:
        self.grid.set_theme(theme)
        self.pane.set_theme(theme)
        self.legend.set_theme(theme)
        self.agreement.set_theme(theme)
        self.sort_button.setIcon(icons.icon("sort", theme))
        self.single_button.setIcon(icons.icon("single", theme))


def _figures(view: SingleView) -> str:
    """How photo and scene agree, in numbers, while that is what is shown."""
    found = None if view.cell is None or view.mode not in COMPARING else view.cell.compared
    if found is None or found.mean is None or found.low is None or found.centred is None:
        return ""
    return f"  ·  cosine {found.mean:.2f}, lowest twentieth {found.low:.2f}, centred {found.centred:.2f}"


def _button(tooltip: str) -> QToolButton:
    button = QToolButton()
    button.setCheckable(True)
    button.setToolTip(tooltip)
    return button
