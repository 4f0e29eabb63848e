"""The status bar: what happened last, what is open, how well it is fitted, where the engine runs."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QStatusBar

from app.view_state import StatusView


class StatusLabels:
    """Fills a window's status bar."""

    def __init__(self, bar: QStatusBar) -> None:
        self._labels = {name: QLabel() for name in ("message", "capture", "quality", "voxels", "encoder", "device")}
        bar.setSizeGripEnabled(False)
        bar.addWidget(self._labels["message"], 1)
        self._labels["encoder"].setToolTip("Whose features are in use")
        for name in ("capture", "quality", "voxels", "encoder", "device"):
            bar.addPermanentWidget(self._labels[name])

    def show_status(self, s: StatusView) -> None:
        for name, label in self._labels.items():
            text = getattr(s, name)
            label.setText(text)
            label.setVisible(bool(text) or name == "message")
