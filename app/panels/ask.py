"""The prompt bar over the scene: words in, and what they found beside each."""

from __future__ import annotations

from PySide6.QtCore import QStringListModel, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QCompleter,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from app import colormaps
from app.theme import GAP, PAD
from app.view_state import PromptRow, PromptsView

IN_ONE_COLUMN = 3
PLACEHOLDER = "Ask: what are you looking for?   chair, lamp, -armchair   (Ctrl+F)"


class Dot(QWidget):
    """A prompt's colour; a ring for what is not meant."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(12, 12)
        self._colour = -1

    def show_colour(self, colour: int) -> None:
        self._colour = colour
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._colour >= 0:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colormaps.prompt_colours()[self._colour]))
            painter.drawEllipse(1, 1, 10, 10)
        else:
            painter.setPen(self.palette().windowText().color())
            painter.drawEllipse(2, 2, 8, 8)
            painter.drawLine(3, 9, 9, 3)
        painter.end()


CHIP_HEIGHT = 30


class PromptChip(QFrame):
    """One prompt: its colour, its text, from which relevancy on it shows, how it went."""

    threshold_moved = Signal(str, float)
    softness_moved = Signal(str, float)
    removed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("chip")
        self._text = ""
        self.dot, self.label, self.message = Dot(), QLabel(), QLabel()
        self.message.setObjectName("muted")
        # the bar must not push the panels beside it aside
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(2, 98)
        self.slider.setFixedWidth(80)
        self.slider.setToolTip("Show it from this relevancy on")
        self.slider.valueChanged.connect(self._moved)
        self.softness = QSlider(Qt.Orientation.Horizontal)
        self.softness.setRange(1, 60)
        self.softness.setFixedWidth(160)
        self.softness.setToolTip("How far over that relevancy it shows fully: left is a sharp edge")
        self.softness.valueChanged.connect(self._softened)
        self.more_button = QToolButton()
        self.more_button.setText("⋯")
        self.more_button.setToolTip("How softly it begins")
        self.more_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more_button.setMenu(_with_label("Softness", self.softness, self))
        self.close_button = QToolButton()
        self.close_button.setText("×")
        self.close_button.setToolTip("Forget this prompt")
        self.close_button.clicked.connect(lambda: self.removed.emit(self._text))
        self.setFixedHeight(CHIP_HEIGHT)  # so that the canvas below keeps its size whatever a chip shows
        row = QHBoxLayout(self)
        row.setContentsMargins(PAD, 1, 2, 1)
        row.setSpacing(GAP)
        row.addWidget(self.dot)
        row.addWidget(self.label)
        row.addWidget(self.message, 1)
        row.addWidget(self.slider)
        row.addWidget(self.more_button)
        row.addWidget(self.close_button)

    def _softened(self, value: int) -> None:
        self.softness_moved.emit(self._text, value / 100)

    def _moved(self, value: int) -> None:
        self.threshold_moved.emit(self._text, value / 100)

    def show_row(self, row: PromptRow) -> None:
        p = row.prompt
        self._text = p.text
        self.dot.show_colour(p.colour)
        font = self.label.font()
        font.setItalic(p.draft)
        font.setBold(not p.draft)
        self.label.setFont(font)
        self.label.setText(f"−{p.text}" if p.negative else p.text)
        self.message.setText(row.message)
        self.message.setToolTip(row.message)
        for slider, value in ((self.slider, p.threshold), (self.softness, p.softness)):
            slider.blockSignals(True)
            slider.setValue(round(value * 100))
            slider.blockSignals(False)
        self.slider.setVisible(not p.negative and not p.draft)
        self.more_button.setVisible(not p.negative and not p.draft)
        self.close_button.setVisible(not p.draft)


def _with_label(text: str, slider: QSlider, parent: QWidget) -> QMenu:
    """A menu of one slider."""
    page = QWidget()
    row = QHBoxLayout(page)
    row.setContentsMargins(PAD, GAP, PAD, GAP)
    row.addWidget(QLabel(text))
    row.addWidget(slider)
    menu, entry = QMenu(parent), QWidgetAction(parent)
    entry.setDefaultWidget(page)
    menu.addAction(entry)
    return menu


class Field(QLineEdit):
    """Says when the cursor comes."""

    focused = Signal()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.focused.emit()


class AskBar(QWidget):
    """A field, and a chip for each prompt."""

    begun = Signal()
    typed = Signal(str)
    entered = Signal(str)
    removed = Signal(str)
    threshold_moved = Signal(str, float)
    softness_moved = Signal(str, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.field = Field()
        # it must not have the cursor when a window opens: keys are commands there, and to type is to have it named
        self.field.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.field.focused.connect(self.begun)
        self.field.setPlaceholderText(PLACEHOLDER)
        self.field.setClearButtonEnabled(True)
        self.field.setMaxLength(500)
        self.field.textEdited.connect(self.typed)
        self.field.returnPressed.connect(self._enter)
        self._known = QStringListModel()
        self._completer = completer = QCompleter(self._known, self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.activated.connect(self.typed)
        self.field.setCompleter(completer)
        self.hint = QLabel()
        self.hint.setObjectName("muted")
        self.hint.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.chips: list[PromptChip] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(PAD, GAP, PAD, GAP)
        self._column.setSpacing(GAP - 2)
        self._column.addWidget(self.field)
        self._column.addWidget(self.hint)
        self._grid = QGridLayout()
        self._grid.setSpacing(GAP - 2)
        self._column.addLayout(self._grid)

    def show_prompts(self, view: PromptsView) -> None:
        self.setVisible(view.usable)
        while len(self.chips) < len(view.rows):
            chip = PromptChip()
            chip.threshold_moved.connect(self.threshold_moved)
            chip.softness_moved.connect(self.softness_moved)
            chip.removed.connect(self.removed)
            self.chips.append(chip)
        columns = 1 if len(view.rows) <= IN_ONE_COLUMN else 2
        for n, chip in enumerate(self.chips):
            chip.setVisible(n < len(view.rows))
            if n < len(view.rows):
                self._grid.addWidget(chip, n // columns, n % columns)
                chip.show_row(view.rows[n])
        self.hint.setText(view.hint)
        self.hint.setToolTip(view.hint)
        self.hint.setVisible(bool(view.rows))
        known = [*view.history, *(n for n in view.vocabulary if n not in view.history)]
        if known != self._known.stringList():
            self._known.setStringList(known)

    def focus(self) -> None:
        """Put the cursor into the field."""
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def close_list(self) -> None:
        """Close the list of words that begin like what was typed."""
        popup = self._completer.popup()
        if popup is not None:
            popup.hide()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self.field.text():
                self.field.clear()
                self.typed.emit("")
            else:
                self.field.clearFocus()  # keys are commands again
            return
        super().keyPressEvent(event)

    def _enter(self) -> None:
        self.close_list()
        text = self.field.text()
        self.field.clear()
        self.entered.emit(text)
