"""Files of annotations: what is asked for, and what is done with the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog

from engine.api.annotating import ExportAnnotations, FileFormat, LoadClasses, SaveClasses

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from app.annotate import AnnotateDesk

FORMATS: tuple[tuple[FileFormat, str, str], ...] = (
    ("coco", "COCO: masks in every photo, and panoptic (*.json)", ".coco.json"),
    ("ply", "PLY: labelled points (*.ply)", ".ply"),
    ("npz", "NPZ: arrays (*.npz)", ".npz"),
    ("kitti", "KITTI: boxes (*.txt)", ".txt"),
    ("labelcloud", "labelCloud: boxes (*.json)", ".labelcloud.json"),
    ("scannet", "ScanNet: segments and aggregation (*.aggregation.json)", ".aggregation.json"),
    ("json", "ConDense: everything, lossless (*.json)", ".json"),
)
CLASSES = "Class list (*.json);;Names alone (*.txt)"


class AnnotateFiles:
    """Asks over a window.

    Args:
        parent: the window.
        desk: does what was asked for.
    """

    def __init__(self, parent: QWidget, desk: AnnotateDesk) -> None:
        self._parent, self._desk = parent, desk

    def export(self) -> None:
        """Ask where to, and in which format."""
        filters = ";;".join(text for _, text, _ in FORMATS)
        path, chosen = QFileDialog.getSaveFileName(self._parent, "Export annotations", "annotations", filters)
        if path:
            kind, _, ending = next((f for f in FORMATS if f[1] == chosen), FORMATS[-1])
            if not Path(path).suffix:
                path += ending
            self._desk.job(ExportAnnotations(path=path, format=kind))

    def bring_in(self) -> None:
        """Ask for a file of another annotator or program."""
        filters = ";;".join(text for _, text, _ in reversed(FORMATS))
        path, chosen = QFileDialog.getOpenFileName(self._parent, "Import annotations", "", filters)
        if path:
            kind = next((f for f in FORMATS if f[1] == chosen), FORMATS[-1])[0]
            self._desk.bring_in(path, kind, by_position=kind in ("ply", "npz", "json"))

    def bring_over(self) -> None:
        """Take the labels over that were made on another fit of this capture, by their places."""
        elsewhere = self._desk.state.elsewhere
        if elsewhere:
            self._desk.bring_in(elsewhere, by_position=True)

    def import_classes(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Import classes", "", CLASSES)
        if path:
            self._desk.ask(LoadClasses(path=path))

    def export_classes(self) -> None:
        path, chosen = QFileDialog.getSaveFileName(self._parent, "Export classes", "classes", CLASSES)
        if path:
            if not Path(path).suffix:
                path += ".txt" if chosen.endswith("(*.txt)") else ".json"
            self._desk.ask(SaveClasses(path=path))
