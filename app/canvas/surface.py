"""The GL surface of the canvas: a native window of its own inside the main window.

A ``QOpenGLWidget`` is drawn into a texture that Qt then composes into the window with a second GL pass; on software GL
that pass costs as much as the picture itself. A ``QOpenGLWindow`` is put on screen as it is drawn.
"""

from __future__ import annotations

import atexit
import importlib
from typing import Any

import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, Signal
from PySide6.QtGui import QSurfaceFormat
from PySide6.QtOpenGL import QOpenGLWindow
from PySide6.QtWidgets import QVBoxLayout, QWidget

_vispy: Any = importlib.import_module("vispy")
_vispy.use(gl="gl2")
_context: Any = importlib.import_module("vispy.gloo.context")

_containers: dict[int, QWidget] = {}


@atexit.register
def _delete_containers() -> None:
    """Before PySide, at exit, deletes what Python owns in any order: a container must not outlive its surface."""
    for container in list(_containers.values()):
        if shiboken6.isValid(container):
            container.setParent(None)
            shiboken6.delete(container)


_DRAG = (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.DragLeave, QEvent.Type.Drop)


class Surface(QOpenGLWindow):
    """Emits ``painting`` with its GL context current, gloo's commands going there."""

    painting = Signal()

    def __init__(self) -> None:
        super().__init__()
        fmt = QSurfaceFormat()
        fmt.setDepthBufferSize(24)
        fmt.setSwapInterval(0)
        self.setFormat(fmt)
        # the widget around it has the focus, so that keys and shortcuts go the way of every other widget's
        self.setFlag(Qt.WindowType.WindowDoesNotAcceptFocus)
        self._gloo = _context.FakeCanvas()  # gloo's queue of commands, without VisPy's own windows
        self.holder: QWidget | None = None

    def set_current(self) -> None:
        """Make gloo draw here, also between frames."""
        self.makeCurrent()
        _context.set_current_canvas(self._gloo)

    def paintGL(self) -> None:
        _context.set_current_canvas(self._gloo)
        self.painting.emit()
        self._gloo.flush()

    @property
    def physical_size(self) -> QSize:
        """In pixels of the screen."""
        return self.size() * self.devicePixelRatio()

    def event(self, event: QEvent) -> bool:
        if event.type() in _DRAG and self.holder is not None:
            return QCoreApplication.sendEvent(self.holder.window(), event)  # files are dropped on the whole window
        return super().event(event)

    def forget(self) -> None:
        """Gloo draws here no more."""
        _context.forget_canvas(self._gloo)


class Holder(QWidget):
    """The widget that stands for a surface in layouts, and has its focus."""

    def __init__(self, surface: Surface, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.surface = surface
        surface.holder = self
        container = QWidget.createWindowContainer(surface, self)
        container.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        key = id(container)
        _containers[key] = container
        container.destroyed.connect(lambda: _containers.pop(key, None))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(container)
