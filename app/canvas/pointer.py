"""Mouse and keys over the canvas, told apart: a click is a press and release in one place; a drag is not a click.

The mouse is the surface's, the keys are those of the widget around it, which has the focus. All positions are logical
pixels from the top left.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QWheelEvent, QWindow
from PySide6.QtWidgets import QWidget

DRAG_PX = 4.0
FLY_KEYS = {
    Qt.Key.Key_W: "w", Qt.Key.Key_A: "a", Qt.Key.Key_S: "s", Qt.Key.Key_D: "d", Qt.Key.Key_Q: "q", Qt.Key.Key_E: "e",
}  # fmt: skip


class Pointer(QObject):
    """Watches a widget and the native surface in it, and reports gestures."""

    clicked = Signal(float, float)
    double_clicked = Signal(float, float)
    rotated = Signal(float, float)
    panned = Signal(float, float)
    zoomed = Signal(float, float, float)  # steps, x, y
    hovered = Signal(float, float, bool)  # x, y, shift held
    left = Signal()
    key_held = Signal(str, bool)
    drawn = Signal(float, float)  # while ``draws``: the left button is held, and the pointer here
    draw_ended = Signal()

    def __init__(self, widget: QWidget, surface: QWindow) -> None:
        super().__init__(widget)
        self.fly_keys = False
        self.draws = False  # the left button draws, and the middle one turns
        self.modifiers = Qt.KeyboardModifier.NoModifier  # of the last press or turn of the wheel
        self._pressed: QPointF | None = None
        self._last = QPointF()
        self._dragging = False
        self._double = self._drawing = False
        widget.setMouseTracking(True)
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)
        surface.installEventFilter(self)

    def stop_drawing(self) -> None:
        """What the button is held for is no stroke any more, and no click."""
        self._drawing, self._pressed = False, None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        match event.type():
            case QEvent.Type.MouseButtonPress if isinstance(event, QMouseEvent):
                self._press(event)
            case QEvent.Type.MouseButtonDblClick if isinstance(event, QMouseEvent):
                self._double = True
                if event.button() == Qt.MouseButton.LeftButton:
                    self.double_clicked.emit(event.position().x(), event.position().y())
            case QEvent.Type.MouseMove if isinstance(event, QMouseEvent):
                self._move(event)
            case QEvent.Type.MouseButtonRelease if isinstance(event, QMouseEvent):
                self._release(event)
            case QEvent.Type.Wheel if isinstance(event, QWheelEvent):
                steps = event.angleDelta().y() / 120
                self.modifiers = event.modifiers()
                self.zoomed.emit(steps, event.position().x(), event.position().y())
            case QEvent.Type.Leave:
                self.left.emit()
                return False
            case QEvent.Type.FocusOut:
                self.key_held.emit("", False)
                return False
            case QEvent.Type.ShortcutOverride if isinstance(event, QKeyEvent):
                if self._fly_key(event) is None:
                    return False
                event.accept()  # flying takes these keys before shortcuts do
            case QEvent.Type.KeyPress | QEvent.Type.KeyRelease if isinstance(event, QKeyEvent):
                key = self._fly_key(event)
                if key is None:
                    return False
                if not event.isAutoRepeat():
                    self.key_held.emit(key, event.type() == QEvent.Type.KeyPress)
            case _:
                return False
        return True

    def _fly_key(self, event: QKeyEvent) -> str | None:
        if not self.fly_keys or event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return None
        return FLY_KEYS.get(Qt.Key(event.key()))

    def _press(self, event: QMouseEvent) -> None:
        widget = self.parent()
        if isinstance(widget, QWidget):
            if not widget.isActiveWindow():
                widget.activateWindow()  # the surface takes no focus, so a click on it does not
            widget.setFocus(Qt.FocusReason.MouseFocusReason)
        self._pressed = self._last = event.position()
        self._dragging = self._double = False
        self.modifiers = event.modifiers()
        self._drawing = self.draws and event.button() == Qt.MouseButton.LeftButton
        if self._drawing:
            self.drawn.emit(event.position().x(), event.position().y())

    def _move(self, event: QMouseEvent) -> None:
        at = event.position()
        if self._pressed is None or event.buttons() == Qt.MouseButton.NoButton:
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.hovered.emit(at.x(), at.y(), shift)
            return
        if self._drawing:
            self.drawn.emit(at.x(), at.y())
            return
        off = at - self._pressed
        if not self._dragging and max(abs(off.x()), abs(off.y())) <= DRAG_PX:
            return
        self._dragging = True
        step = at - self._last
        self._last = at
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        turning = Qt.MouseButton.MiddleButton if self.draws else Qt.MouseButton.LeftButton
        if event.buttons() & turning and not shift:
            self.rotated.emit(step.x(), step.y())
        else:
            self.panned.emit(step.x(), step.y())

    def _release(self, event: QMouseEvent) -> None:
        was_click = self._pressed is not None and not self._dragging and not self._double
        self._pressed = None
        self._dragging = False
        if self._drawing:
            self._drawing = False
            self.draw_ended.emit()
            return
        if was_click and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(event.position().x(), event.position().y())
