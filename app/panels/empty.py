"""What the window shows before anything is open: what to do."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.theme import GAP, PAD

FORMATS = "nerfstudio · instant-ngp · Blender · COLMAP · LLFF · RGB-D folders · PLY · OBJ · GLB"

WIDTH = 480


class EmptyPage(QWidget):
    open_asked = Signal()
    demo_asked = Signal()
    recent_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("emptyPage")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.title = QLabel("Open a capture")
        self.title.setObjectName("title")
        self.hint = QLabel(
            "Drop a folder of posed photos, a scan or a mesh here, then click anything to see where else it is."
        )
        self.hint.setObjectName("muted")
        self.hint.setWordWrap(True)
        self.open_button = QPushButton("Open capture…")
        self.open_button.setObjectName("primary")
        self.open_button.clicked.connect(lambda: self.open_asked.emit())
        self.demo_button = QPushButton("Open demo")
        self.demo_button.clicked.connect(lambda: self.demo_asked.emit())
        formats = QLabel(FORMATS)
        formats.setObjectName("muted")
        formats.setWordWrap(True)
        buttons = QHBoxLayout()
        buttons.setSpacing(PAD)
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.demo_button)
        buttons.addStretch(1)
        self._heading = QLabel("Recent")
        self._heading.setObjectName("heading")
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        inner = QVBoxLayout()
        inner.setSpacing(PAD)
        for item in (self.title, self.hint):
            inner.addWidget(item)
        inner.addSpacing(GAP)
        inner.addLayout(buttons)
        inner.addWidget(formats)
        inner.addSpacing(2 * PAD)
        inner.addWidget(self._heading)
        inner.addLayout(self._recent)
        card = QWidget()
        card.setLayout(inner)
        card.setFixedWidth(WIDTH)
        row = QHBoxLayout()  # an alignment would not give wrapped lines their height
        row.addStretch(1)
        row.addWidget(card)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.addStretch(2)
        column.addLayout(row)
        column.addStretch(3)

    def show_recent(self, paths: tuple[str, ...]) -> None:
        while (item := self._recent.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._heading.setVisible(bool(paths))
        for path in paths:
            p = Path(path)
            button = QPushButton(f"{p.name}    {p.parent}")
            button.setObjectName("link")
            button.setToolTip(path)
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(lambda _=False, at=path: self.recent_chosen.emit(at))
            self._recent.addWidget(button)
