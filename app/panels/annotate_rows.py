"""The classes of the palette, a row each."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QMouseEvent, QPainter, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QMenu, QSizePolicy, QToolButton, QWidget

from app import icons
from app.theme import DARK, GAP, Theme
from engine.api.annotations import LabelClass


def dot(rgb: tuple[int, int, int], side: int, ratio: float = 2.0) -> QPixmap:
    """A round spot of a class's colour."""
    pixmap = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(*rgb))
    painter.drawEllipse(1, 1, side - 2, side - 2)
    painter.end()
    return pixmap


def _short(count: int) -> str:
    """In four letters or so."""
    return f"{count}" if count < 1000 else f"{count / 1e3:.1f}k" if count < 1e5 else f"{count / 1e6:.2f}M"


class ClassRow(QFrame):
    """Colour, key, name, how much there is, an eye and a lock. A click takes the class in hand; a double-click renames
    it; the right button shows what else can be done."""

    chosen = Signal(int)
    renamed = Signal(int, str)
    colour_asked = Signal(int)
    key_chosen = Signal(int, int)  # -1: none
    removed = Signal(int)
    eye_toggled = Signal(int)
    lock_toggled = Signal(int)

    def __init__(self, label: LabelClass, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("classRow")
        self.id = label.id
        self._label = label
        self._shown: tuple[LabelClass, tuple[int, int], bool] | None = None  # as show_class was told
        self._theme: Theme = DARK
        self.colour = QToolButton()
        self.colour.setToolTip("Another colour…")
        self.colour.clicked.connect(lambda: self.colour_asked.emit(self.id))
        self.key = QLabel()
        self.key.setObjectName("key")
        self.name = QLabel()
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.field = QLineEdit()
        self.field.hide()
        self.field.editingFinished.connect(self._finish)
        self.count = QLabel()
        self.count.setObjectName("muted")
        self.eye, self.lock = QToolButton(), QToolButton()
        self.eye.clicked.connect(lambda: self.eye_toggled.emit(self.id))
        self.lock.clicked.connect(lambda: self.lock_toggled.emit(self.id))
        row = QHBoxLayout(self)
        row.setContentsMargins(GAP, 1, GAP, 1)
        row.setSpacing(GAP)
        for widget in (self.colour, self.key):
            row.addWidget(widget)
        row.addWidget(self.name, 1)
        row.addWidget(self.field, 1)
        for widget in (self.count, self.eye, self.lock):
            row.addWidget(widget)
        for button in (self.colour, self.eye, self.lock):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def show_class(self, label: LabelClass, count: tuple[int, int], *, in_hand: bool) -> None:
        """``count``: voxels and instances."""
        if (label, count, in_hand) == self._shown:
            return
        chosen = self._shown is None or self._shown[2] != in_hand
        self._label, self._shown = label, (label, count, in_hand)
        self.colour.setIcon(dot(label.rgb, 14))
        self.key.setText("" if label.digit is None else str(label.digit))
        self.key.setVisible(label.digit is not None)
        self.name.setText(label.name)
        self.name.setToolTip(f"{label.name}: click to take it in hand, double-click to rename")
        voxels, things = count
        self.count.setText(f"{things} · {_short(voxels)}" if voxels else "–")
        self.count.setToolTip(f"{things} things, {voxels:,} voxels")
        if chosen:
            self.setProperty("chosen", in_hand)
            self.style().unpolish(self)
            self.style().polish(self)
        self._show_icons()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._show_icons()

    def _show_icons(self) -> None:
        label = self._label
        self.eye.setIcon(icons.icon("eye" if label.visible else "eye_off", self._theme))
        self.eye.setToolTip("Hide this class" if label.visible else "Show this class")
        self.lock.setIcon(icons.icon("lock" if label.locked else "lock_open", self._theme))
        self.lock.setToolTip("Unlock this class" if label.locked else "Lock it: no tool changes its labels then")

    def rename(self) -> None:
        """Edit the name in its place."""
        self.name.hide()
        self.field.setText(self._label.name)
        self.field.show()
        self.field.setFocus()
        self.field.selectAll()

    def _finish(self) -> None:
        if self.field.isHidden():
            return
        self.field.hide()
        self.name.show()
        text = self.field.text().strip()
        if text and text != self._label.name:
            self.renamed.emit(self.id, text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(self.id)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.rename()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.popup(event.globalPos())

    def popup(self, at: QPoint) -> None:
        """What can be done with the class."""
        menu = QMenu(self)
        menu.addAction("Rename…", self.rename)
        menu.addAction("Colour…", lambda: self.colour_asked.emit(self.id))
        keys = menu.addMenu("Key")
        for key in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0, -1):
            action = keys.addAction("None" if key < 0 else str(key))
            action.setCheckable(True)
            action.setChecked(self._label.digit == (None if key < 0 else key))
            action.triggered.connect(lambda _=False, k=key: self.key_chosen.emit(self.id, k))
        menu.addSeparator()
        menu.addAction("Delete with its labels", lambda: self.removed.emit(self.id))
        menu.popup(at)
