"""A row of buttons of which one is down."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget


class Segmented(QWidget):
    """``choices``: (key, label) pairs. Emits ``chosen`` with the key when the user picks another."""

    chosen = Signal(str)

    def __init__(self, choices: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        for key, label in choices:
            button = QPushButton(label)
            button.setObjectName("segment")
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, k=key: self.chosen.emit(k))
            self._group.addButton(button)
            self._buttons[key] = button
            row.addWidget(button, 1)

    def button(self, key: str) -> QPushButton:
        return self._buttons[key]

    def show_choice(self, key: str, enabled: Collection[str] | None = None) -> None:
        self._buttons[key].setChecked(True)
        if enabled is not None:
            for k, button in self._buttons.items():
                button.setEnabled(k in enabled)
