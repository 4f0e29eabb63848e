"""The panels around the canvas: where they dock at first, and bringing one to the front."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget, QWidget

from app.panels.scrolled import scrolled

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
DOWN, ACROSS = Qt.Orientation.Vertical, Qt.Orientation.Horizontal


def build_docks(
    window: QMainWindow,
    *,
    layers: QWidget,
    annotate: QWidget,
    jobs: QWidget,
    training: QWidget,
    images: QWidget,
    matches: QWidget,
    found: QWidget,
    review: QWidget,
    repository: QWidget,
    tasks: QWidget,
) -> dict[str, QDockWidget]:
    """Dock the panels as they lie before the user moves them; training shares its place with jobs, found and
    review with matches, annotate with layers, the repository and tasks with photos; review, annotate, repository and
    tasks are hidden until they are asked for."""
    window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
    docks = {
        "layers": _dock(window, "layers", "Layers", scrolled(layers), LEFT),
        "annotate": _dock(window, "annotate", "Annotate", annotate, LEFT),
        "jobs": _dock(window, "jobs", "Jobs", scrolled(jobs), LEFT),
        "training": _dock(window, "training", "Training", training, LEFT),
        "images": _dock(window, "images", "Photos", images, RIGHT),
        "matches": _dock(window, "matches", "Matches", matches, RIGHT),
        "found": _dock(window, "found", "Found", found, RIGHT),
        "review": _dock(window, "review", "Review", review, RIGHT),
        "repository": _dock(window, "repository", "Repository", repository, RIGHT),
        "tasks": _dock(window, "tasks", "Tasks", tasks, RIGHT),
    }
    window.tabifyDockWidget(docks["layers"], docks["annotate"])
    docks["layers"].raise_()
    docks["annotate"].hide()
    window.tabifyDockWidget(docks["jobs"], docks["training"])
    docks["jobs"].raise_()
    window.tabifyDockWidget(docks["matches"], docks["found"])
    window.tabifyDockWidget(docks["found"], docks["review"])
    docks["review"].hide()
    docks["matches"].raise_()
    window.tabifyDockWidget(docks["images"], docks["repository"])
    window.tabifyDockWidget(docks["repository"], docks["tasks"])
    docks["images"].raise_()
    docks["repository"].hide()
    docks["tasks"].hide()
    return docks


def spread(window: QMainWindow, docks: dict[str, QDockWidget]) -> None:
    """Give the docks their first sizes. Qt shares a window out as it is, so it must have its size and be shown."""
    window.resizeDocks([docks["layers"], docks["images"]], [290, 400], ACROSS)
    window.resizeDocks([docks["images"], docks["matches"]], [600, 240], DOWN)
    window.resizeDocks([docks["layers"], docks["jobs"]], [430, 330], DOWN)


def in_front(dock: QDockWidget) -> bool:
    """Whether the dock is open and not behind another tab."""
    return dock.isVisible() and not dock.visibleRegion().isEmpty()


def bring_to_front(dock: QDockWidget) -> None:
    dock.show()
    dock.raise_()


def grow(window: QMainWindow, dock: QDockWidget, above: QDockWidget, height: int) -> None:
    """Give a dock ``height`` or two thirds, at the cost of the one above it in the same area."""
    spare = dock.height() + above.height()
    height = min(height, spare * 2 // 3)
    if window.dockWidgetArea(dock) == window.dockWidgetArea(above) and dock.height() < height:
        window.resizeDocks([above, dock], [spare - height, height], DOWN)


def _dock(window: QMainWindow, name: str, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
    dock = QDockWidget(title)
    dock.setObjectName(name)
    dock.setWidget(widget)
    dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable)
    window.addDockWidget(area, dock)
    return dock
