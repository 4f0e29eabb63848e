"""A message across the top of the canvas: an error or a notice, with its details to copy."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from app import icons
from app.state import Banner
from app.theme import DARK, GAP, PAD, Theme


class BannerBar(QFrame):
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self._theme: Theme = DARK
        self._banner: Banner | None = None
        self._sign = QLabel()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details = QLabel()
        self.details.setObjectName("muted")
        self.details.setWordWrap(True)
        self.details.setTextFormat(Qt.TextFormat.PlainText)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.more = QPushButton("Details")
        self.more.setCheckable(True)
        self.more.toggled.connect(self.details.setVisible)
        self.copy = QPushButton("Copy")
        self.copy.setToolTip("Copy the whole message")
        self.copy.clicked.connect(self._copy)
        self.dismiss = QToolButton()
        self.dismiss.setToolTip("Dismiss  (Esc)")
        self.dismiss.clicked.connect(lambda: self.dismissed.emit())
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.text)
        words.addWidget(self.details)
        row = QHBoxLayout(self)
        row.setContentsMargins(PAD, GAP, GAP, GAP)
        row.setSpacing(PAD)
        row.addWidget(self._sign)
        row.addLayout(words, 1)
        for button in (self.more, self.copy, self.dismiss):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def show_banner(self, banner: Banner | None) -> None:
        self._banner = banner
        self.setVisible(banner is not None)
        if banner is None:
            return
        first, _, others = banner.details.strip().partition("\n")
        rest = others if banner.text.strip() in first else banner.details.strip()
        # the first line of the details also names the file
        self.text.setText(first if others and banner.text.strip() in first else banner.text)
        self.details.setText(rest)
        has_more = bool(rest) and rest != banner.text.strip()
        self.more.setVisible(has_more)
        self.more.setChecked(has_more and banner.error)
        self.details.setVisible(has_more and banner.error)
        self.setProperty("error", banner.error)
        self.style().unpolish(self)
        self.style().polish(self)
        self._set_sign()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.dismiss.setIcon(icons.icon("cancel", theme))
        self._set_sign()

    def _set_sign(self) -> None:
        error = self._banner is not None and self._banner.error
        self._sign.setPixmap(icons.icon("warning" if error else "info", self._theme).pixmap(20, 20))

    def _copy(self) -> None:
        if self._banner is not None:
            QGuiApplication.clipboard().setText(self._banner.details or self._banner.text)
