"""Keys that a mode takes before they are shortcuts."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QMainWindow

Act = Callable[[], object]


def taken(window: QMainWindow, event: QEvent, act_of: Callable[[QKeyEvent], Act | None]) -> bool:
    """For an event filter of the window: do what a key means to the mode, if anything, and whether it was taken.

    Args:
        window: while a field of it is written in, keys are the field's.
        event: of any kind.
        act_of: what a key does now; None: nothing.
    """
    if not isinstance(event, QKeyEvent) or isinstance(window.focusWidget(), QLineEdit):
        return False
    act = act_of(event)
    if act is None:
        return False
    if event.type() == QEvent.Type.ShortcutOverride:
        event.accept()  # it is the mode's before it is a shortcut
        return True
    if event.type() == QEvent.Type.KeyPress:
        act()
        return True
    return False
