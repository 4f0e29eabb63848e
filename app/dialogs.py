"""What asks for a file or folder, or goes through the clipboard."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QApplication, QFileDialog, QWidget

from app.camera_text import camera_text, read_camera
from app.canvas.scene_canvas import SceneCanvas
from app.controller import Controller
from app.flight import Flight
from app.panels.flight_dialog import FlightDialog
from app.session_file import SUFFIX
from app.sessions import Sessions
from engine.api.errors import QueryError

GEOMETRY = "Captures and geometry (*.json *.ply *.obj *.glb *.gltf *.npy *.log);;All files (*)"
PICTURES = "Pictures (*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff);;All files (*)"
FLIGHTS = "Video (*.mp4);;Folder of PNGs (*)"
LEAST_VIEWS = 2
SESSIONS = f"Sessions (*{SUFFIX});;All files (*)"
KEYPOINTS = "NPZ: everything (*.npz);;PLY: points (*.ply);;COLMAP: points3D (*.txt)"


class Dialogs:
    """Asks over a window, and hands the answers to the controller.

    Args:
        parent: the window.
        controller: does what was asked for.
        canvas: whose picture and camera are meant.
        sessions: of the window.
        flight: writes videos.
    """

    def __init__(
        self, parent: QWidget, controller: Controller, canvas: SceneCanvas, sessions: Sessions, flight: Flight
    ) -> None:
        self._parent, self._controller, self._canvas = parent, controller, canvas
        self._sessions, self._flight = sessions, flight

    def open_capture(self) -> None:
        path = QFileDialog.getExistingDirectory(self._parent, "Open capture")
        if path:
            self._controller.open(path)

    def open_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Open file", "", GEOMETRY)
        if path:
            self._controller.open(path)

    def open_session(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Open session", "", SESSIONS)
        if path:
            self._sessions.open(Path(path))

    def save_session(self) -> None:
        scene = self._controller.state.scene
        name = f"{scene.name if scene else 'scene'}{SUFFIX}"
        path, _ = QFileDialog.getSaveFileName(self._parent, "Save session", name, SESSIONS)
        if path:
            self._sessions.save(Path(path).with_suffix(SUFFIX))

    def save_screenshot(self) -> None:
        scene = self._controller.state.scene
        name = f"{scene.name if scene else 'scene'}.png"
        path, _ = QFileDialog.getSaveFileName(self._parent, "Save picture", name, "PNG (*.png)")
        if not path:
            return
        try:
            self._canvas.save_screenshot(Path(path).with_suffix(".png"))
        except OSError as e:
            self._controller.fail("The picture could not be saved", str(e))
        else:
            self._controller.set(notice=f"Saved {path}")

    def save_keypoints(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self._parent, "Save keypoints", "keypoints.npz", KEYPOINTS)
        if path:
            self._controller.keypoints.save(path)

    def save_agreement(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._parent, "Save table and pictures of the comparison in")
        if folder:
            self._controller.comparison.save(folder)

    def photograph(self) -> None:
        scene = self._controller.state.scene
        path = Path(scene.path) if scene is not None else Path("scene")
        suggested = path.with_name(f"{path.stem}-photos")
        folder, _ = QFileDialog.getSaveFileName(self._parent, "Photograph into a new folder", str(suggested))
        if folder:
            self._controller.geometry.photograph(folder)

    def write_flight(self) -> None:
        """Ask how and where, and write the flight through the bookmarks."""
        state = self._controller.state
        if len(state.bookmarks) < LEAST_VIEWS:
            self._controller.set(notice="Keep two different views first: Ctrl+B keeps the present one.")
            return
        if self._flight.running:
            self._controller.set(notice="A flight is being written already; wait, or cancel it under Jobs.")
            return
        dialog = FlightDialog(len(state.bookmarks), self._parent)
        if not dialog.exec():
            return
        name = f"{state.scene.name if state.scene else 'scene'}.mp4"
        path, _ = QFileDialog.getSaveFileName(self._parent, "Write the flight to", name, FLIGHTS)
        if path:
            self._flight.start(Path(path), dialog.plan())

    def save_weights(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._parent, "Save the trained weights in")
        if folder:
            self._controller.training.save_weights(folder)

    def load_weights(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._parent, "Load trained weights from")
        if folder:
            self._controller.training.load_weights(folder)

    def look_for(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Find what a picture shows", "", PICTURES)
        if path:
            self._controller.prompts.look_for(path)

    def copy_camera(self) -> None:
        """Put the canvas's camera on the clipboard."""
        QApplication.clipboard().setText(camera_text(self._canvas.camera()))
        self._controller.set(notice="Copied the camera as JSON")

    def paste_camera(self) -> None:
        """Stand where the camera on the clipboard stands."""
        try:
            camera = read_camera(QApplication.clipboard().text())
        except QueryError as e:
            self._controller.fail(e.what[0].upper() + e.what[1:], e.text())
        else:
            self._canvas.stand_at(camera)
