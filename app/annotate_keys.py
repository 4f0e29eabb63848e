"""Keys of annotating: a tool in hand, a selection, a stroke or a line takes them before they are shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent

from app.keys import taken

if TYPE_CHECKING:
    from app.annotate import AnnotateDesk
    from app.panels.scene_pad import ScenePad
    from app.panels.stroke_pad import StrokePad
    from app.window import Window

CTRL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier
ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
Acts = dict[int, Callable[[], object]]


class AnnotateKeys(QObject):
    """Watches the window's keys.

    Args:
        window: whose.
        desk: does what they say.
        pads: where strokes are drawn.
    """

    def __init__(self, window: Window, desk: AnnotateDesk, *pads: StrokePad | ScenePad) -> None:
        super().__init__(window)
        self._window, self._desk, self._pads = window, desk, pads
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        return taken(self._window, event, self._act)

    def _act(self, event: QKeyEvent) -> Callable[[], object] | None:
        """What a key does now; None: nothing of ours."""
        s, tools, key = self._desk.state, self._desk.tools, event.key()
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        drawing = next((pad for pad in self._pads if pad.drawing), None)
        if drawing is not None and key == Qt.Key.Key_Escape:
            return drawing.cancel
        if s.tool is None and s.lit is None:
            return None
        if s.draft and (held == NONE or (held == CTRL and key == Qt.Key.Key_Z)):
            line = self._of_line()
            if key in line:
                return line[key]
        if Qt.Key.Key_0 <= key <= Qt.Key.Key_9 and held == NONE:
            return lambda: tools.digit(key - int(Qt.Key.Key_0))
        if held & CTRL:
            return None
        return (self._of_selection() if s.lit is not None else self._of_brush()).get(key)

    def _of_line(self) -> Acts:
        tracing = self._desk.tracing
        ends: Acts = dict.fromkeys(ENTER, tracing.end)
        return {
            **ends, Qt.Key.Key_Escape: tracing.give_up, Qt.Key.Key_Backspace: tracing.back, Qt.Key.Key_Z: tracing.back,
        }  # fmt: skip

    def _of_selection(self) -> Acts:
        tools = self._desk.tools
        labels: Acts = dict.fromkeys(ENTER, tools.label)
        return {
            **labels,
            Qt.Key.Key_Backspace: tools.refuse,
            Qt.Key.Key_Delete: tools.erase,
            Qt.Key.Key_Plus: lambda: tools.resize(1),
            Qt.Key.Key_Minus: lambda: tools.resize(-1),
            Qt.Key.Key_PageUp: lambda: tools.move_threshold(1),
            Qt.Key.Key_PageDown: lambda: tools.move_threshold(-1),
        }

    def _of_brush(self) -> Acts:
        if self._desk.state.tool != "brush":
            return {}
        size = self._desk.tools.size_brush
        return {Qt.Key.Key_Plus: lambda: size(1), Qt.Key.Key_Minus: lambda: size(-1)}
