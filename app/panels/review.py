"""The review dock: progress, photos that contradict, and another annotator."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QProgressBar, QStackedWidget, QVBoxLayout, QWidget

from app.panels.review_compare import ComparePage
from app.panels.review_places import PlacesList
from app.panels.review_progress import ProgressPage
from app.panels.segmented import Segmented
from app.review_view import ReviewView
from app.theme import GAP, PAD, Theme

PAGES = (("progress", "Progress"), ("conflicts", "Conflicts"), ("compare", "Compare"))
NONE = (
    "No two photos contradict each other. A conflict is where a stroke or an imported mask says another class than one "
    "in another photo said before; labels given in the scene afterwards, and erasing, decide it."
)


class ReviewPanel(QWidget):
    page_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.pages = Segmented(PAGES)
        self.pages.chosen.connect(self.page_chosen)
        self.text = QLabel()
        self.text.setObjectName("muted")
        self.text.setWordWrap(True)
        self.busy = QProgressBar()
        self.busy.setObjectName("thin")
        self.busy.setTextVisible(False)
        self.busy.setRange(0, 0)
        self.progress, self.conflicts, self.compare = (
            ProgressPage(),
            PlacesList("Said first", "Labelled now"),
            ComparePage(),
        )
        self.stack = QStackedWidget()
        for page in (self.progress, self.conflicts, self.compare):
            self.stack.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD, GAP, PAD, PAD)
        column.setSpacing(GAP)
        column.addWidget(self.pages)
        column.addWidget(self.text)
        column.addWidget(self.busy)
        column.addWidget(self.stack, 1)
        column.addStretch()

    def sizeHint(self) -> QSize:
        return QSize(400, 240)

    def take_actions(self, actions: Mapping[str, QAction]) -> None:
        """Tooltips of the window's own actions."""
        self.progress.take_actions(actions)
        self.compare.take_actions(actions)

    def show_view(self, view: ReviewView) -> None:
        s = view.state
        self.pages.show_choice(s.page)
        text = view.obstacle or (_of_conflicts(view) if s.page == "conflicts" else "")
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.busy.setVisible(bool(s.looking if s.page == "conflicts" else s.comparing if s.page == "compare" else 0))
        self.stack.setVisible(not view.obstacle)
        pages = {"progress": self.progress, "conflicts": self.conflicts, "compare": self.compare}
        page = pages[s.page]
        self.stack.setCurrentWidget(page)
        if s.open:
            page.show_view(view)

    def set_theme(self, theme: Theme) -> None:
        for page in (self.progress, self.conflicts, self.compare):
            page.set_theme(theme)


def _of_conflicts(view: ReviewView) -> str:
    found = view.state.found
    if found is None:
        return "" if view.state.looking else "Another window has these annotations open." if not view.writable else ""
    if not found.conflicts:
        return NONE
    more = f"; {found.left_out} smaller ones are not listed" if found.left_out else ""
    count = len(found.conflicts)
    return f"{count} {'place' if count == 1 else 'places'} of {found.voxels:,} voxels, the largest first{more}."
