"""The one table of what can be done: menus, toolbar, shortcuts and the overlay that lists them come from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.actions_review import Reviews, review_actions
from app.annotate_state import Tool
from app.bookmarks import Bookmarks
from app.canvas.home import NamedView
from app.controller import Controller
from app.task_actions import LearnsTasks, task_actions


class Toggles(Protocol):
    """What opens and closes."""

    def toggle(self) -> None: ...


class Asks(Protocol):
    """What asks for a file or folder, or goes through the clipboard."""

    def open_capture(self) -> None: ...
    def open_file(self) -> None: ...
    def open_session(self) -> None: ...
    def save_session(self) -> None: ...
    def save_screenshot(self) -> None: ...
    def save_keypoints(self) -> None: ...
    def save_agreement(self) -> None: ...
    def photograph(self) -> None: ...
    def look_for(self) -> None: ...
    def save_weights(self) -> None: ...
    def write_flight(self) -> None: ...
    def load_weights(self) -> None: ...
    def copy_camera(self) -> None: ...
    def paste_camera(self) -> None: ...


class Measures(Protocol):
    """Ruler and clip box."""

    def toggle_clip(self) -> None: ...
    def toggle_ruler(self) -> None: ...
    def shorten_ruler(self) -> None: ...


class KeepsScenes(Protocol):
    """The repository."""

    def toggle(self) -> None: ...
    def open(self) -> None: ...
    def make(self) -> None: ...
    def add_this(self) -> None: ...
    def add_more(self) -> None: ...
    def remove(self) -> None: ...
    def by_photo(self) -> None: ...
    def by_words(self) -> None: ...
    def alike(self) -> None: ...
    def duplicates(self) -> None: ...


class Annotates(Protocol):
    """Labels on voxels and photos."""

    def toggle(self) -> None: ...
    def take(self, tool: Tool) -> None: ...
    def flip_through(self) -> None: ...
    def new_class(self) -> None: ...
    def label(self) -> None: ...
    def erase(self) -> None: ...
    def resize(self, steps: int) -> None: ...
    def box_around(self) -> None: ...
    def alike(self) -> None: ...
    def by_words(self) -> None: ...
    def import_classes(self) -> None: ...
    def export_classes(self) -> None: ...
    def bring_in(self) -> None: ...
    def export(self) -> None: ...


class Target(Protocol):
    """What handlers act on; ``app.window.Window`` in the program."""

    @property
    def controller(self) -> Controller: ...
    @property
    def dialogs(self) -> Asks: ...
    @property
    def sheet(self) -> Toggles: ...
    @property
    def commands(self) -> Toggles: ...
    def open_demo(self) -> None: ...
    def go_to(self, name: NamedView) -> None: ...
    def toggle_theme(self) -> None: ...
    def toggle_fullscreen(self) -> None: ...
    @property
    def marks(self) -> Measures: ...
    @property
    def repository(self) -> KeepsScenes: ...
    @property
    def annotate(self) -> Annotates: ...
    @property
    def review(self) -> Reviews: ...
    @property
    def tasks(self) -> LearnsTasks: ...
    def toggle_panels(self) -> None: ...
    def ask(self) -> None: ...
    def ask_like(self) -> None: ...
    @property
    def bookmarks(self) -> Bookmarks: ...
    def toggle_training(self) -> None: ...
    def start_training(self) -> None: ...
    def close(self) -> bool: ...


@dataclass(frozen=True)
class Action:
    """One thing the user can do.

    Attributes:
        id: its name; also the name in ``ActionsView.enabled`` and ``checked``.
        label: as menus show it.
        menu: which menu it is in.
        handler: what it does.
        shortcut: as ``QKeySequence`` reads it, "" for none.
        icon: file in ``assets/icons``, "" for none; those with an icon and ``toolbar`` are in the toolbar.
        tooltip: one sentence.
        checkable: shows a tick.
        group: a rule is drawn between groups of a menu.
    """

    id: str
    label: str
    menu: str
    handler: Callable[[Target], object]
    shortcut: str = ""
    icon: str = ""
    tooltip: str = ""
    checkable: bool = False
    toolbar: bool = False
    group: int = 0


def _layer(name: str) -> Callable[[Target], object]:
    return lambda t: t.controller.toggle_layer(name)


def _tool(tool: Tool, label: str, shortcut: str, tooltip: str) -> Action:
    name = f"annotate_{tool}"
    return Action(
        name, label, "Annotate", lambda t: t.annotate.take(tool), shortcut, name, tooltip, checkable=True, group=1
    )


def _flip(name: str) -> Callable[[Target], object]:
    return lambda t: t.controller.set(**{name: not getattr(t.controller.state, name)})


ACTIONS: tuple[Action, ...] = (
    Action("open", "Open capture…", "File", lambda t: t.dialogs.open_capture(), "Ctrl+O", "open",
           "Open a folder of posed photos", toolbar=True),
    Action("open_file", "Open file…", "File", lambda t: t.dialogs.open_file(), "Ctrl+Shift+O", "",
           "Open a transforms.json, a mesh or a point cloud"),
    Action("open_demo", "Open demo", "File", lambda t: t.open_demo(), "", "", "Open the room that comes along"),
    Action("close_capture", "Close capture", "File", lambda t: t.controller.close_capture(), "Ctrl+W"),
    Action("screenshot", "Save picture…", "File", lambda t: t.dialogs.save_screenshot(), "Ctrl+S", "screenshot",
           "Save the 3D view as PNG", group=1),
    Action("open_session", "Open session…", "File", lambda t: t.dialogs.open_session(), "Ctrl+Alt+O", "",
           "Reopen a capture with everything that was set on it", group=2),
    Action("save_session", "Save session…", "File", lambda t: t.dialogs.save_session(), "Ctrl+Alt+S", "",
           "Save which capture is open and everything that is set on it", group=2),
    Action("quit", "Quit", "File", lambda t: t.close(), "Ctrl+Q", group=3),

    Action("undo", "Undo", "Edit", lambda t: t.controller.history.undo(), "Ctrl+Z", "",
           "Take back what was changed last: prompts, clicks, layers, sliders"),
    Action("redo", "Redo", "Edit", lambda t: t.controller.history.redo(), "Ctrl+Shift+Z", "", "Change it again"),

    Action("ask", "Ask in words", "View", lambda t: t.ask(), "Ctrl+F", "prompts",
           "Type what you are looking for, and see where it is", toolbar=True),
    Action("ask_like", "Find places like it", "View", lambda t: t.ask_like(), "Ctrl+L", "",
           "What looks like the place that is chosen under Found"),
    Action("look_for", "Find a picture…", "View", lambda t: t.dialogs.look_for(), "Ctrl+Shift+L", "",
           "Where is what a picture shows, such as a crop of a photo? It can be dropped on the window, too"),
    Action("clear_prompts", "Clear prompts", "View", lambda t: t.controller.prompts.clear(), "Ctrl+Shift+F"),
    Action("home", "Home", "View", lambda t: t.go_to("home"), "H", "home", "See the whole scene", toolbar=True),
    Action("top", "From above", "View", lambda t: t.go_to("top"), "T", "top", "Look straight down", toolbar=True),
    Action("front", "From the front", "View", lambda t: t.go_to("front"), "F", "front", "Look level", toolbar=True),
    Action("side", "From the side", "View", lambda t: t.go_to("side"), "R", "side", "Look level from the side",
           toolbar=True),
    Action("bookmark", "Keep this view", "View", lambda t: t.bookmarks.add(), "Ctrl+B", "",
           "Bookmark where you look from; Alt+1 to Alt+9 go back there", group=1),
    Action("flight", "Fly through bookmarks…", "View", lambda t: t.dialogs.write_flight(), "Ctrl+Shift+B", "",
           "Write a smooth flight through the kept views as a video", group=1),
    Action("fly", "Fly", "View", _flip("fly"), "G", "fly", "Fly with W A S D Q E and the mouse; otherwise orbit",
           checkable=True, toolbar=True, group=1),
    Action("ruler", "Measure", "View", lambda t: t.marks.toggle_ruler(), "M", "",
           "Lengths between points you click", True),
    Action("ruler_back", "Take the last point back", "View", lambda t: t.marks.shorten_ruler(), "Backspace"),
    Action("clip", "Clip box", "View", lambda t: t.marks.toggle_clip(), "Shift+X", "",
           "Hide what lies outside a box; its faces are under Layers", True),
    Action("cutaway", "Cut away walls", "View", _flip("cutaway"), "X", "cutaway",
           "Hide surfaces from the side that no photo saw, so that a room opens", checkable=True, toolbar=True,
           group=1),
    Action("look_through", "Look through photo", "View", lambda t: t.controller.toggle_look_through(), "V",
           "look_through", "Stand where the selected photo was taken", checkable=True, toolbar=True, group=1),
    Action("next_view", "Next photo", "View", lambda t: t.controller.step_view(1), "]", group=2),
    Action("previous_view", "Previous photo", "View", lambda t: t.controller.step_view(-1), "[", group=2),
    Action("copy_camera", "Copy camera", "View", lambda t: t.dialogs.copy_camera(), "Ctrl+Shift+C", "",
           "Put where you stand on the clipboard, as JSON", group=2),
    Action("paste_camera", "Paste camera", "View", lambda t: t.dialogs.paste_camera(), "Ctrl+Shift+V", "",
           "Stand where the camera on the clipboard stands", group=2),
    Action("fullscreen", "Full screen", "View", lambda t: t.toggle_fullscreen(), "F11", group=3),
    Action("panels", "Show panels", "View", lambda t: t.toggle_panels(), "F9", "", "Show or hide all panels", group=3),
    Action("theme", "Light or dark", "View", lambda t: t.toggle_theme(), "Ctrl+T", "theme",
           "Switch between the light and the dark theme", group=3),

    Action("volume", "Radiance volume", "Layers", _layer("volume"), "O", "volume", "The fitted scene", True),
    Action("colour", "Colour", "Layers", lambda t: t.controller.set_colouring("colour"), "1", "",
           "The scene's own colours", True, group=1),
    Action("features", "Features", "Layers", lambda t: t.controller.set_colouring("features"), "2", "",
           "Dense features; like colours are like things", True, group=1),
    Action("spread", "Spread", "Layers", lambda t: t.controller.set_colouring("spread"), "3", "",
           "How far the views disagree about each voxel's feature", True, group=1),
    Action("heat", "Heat", "Layers", _layer("heat"), "4", "heat", "Similarity to what was clicked", True, group=2),
    Action("keypoints", "Keypoints", "Layers", _layer("keypoints"), "K", "keypoints",
           "The few points that stand for the scene: found again from many photos", True, group=2),
    Action("prompts", "Prompts", "Layers", _layer("prompts"), "5", "prompts", "Where the things asked for are",
           True, group=2),
    Action("labels", "Labels", "Layers", _layer("labels"), "6", "labels", "What is annotated", True, group=2),
    Action("matches", "Matches", "Layers", _layer("matches"), "L", "matches", "Lines from the source to its matches",
           True, group=2),
    Action("frusta", "Cameras", "Layers", _layer("frusta"), "C", "frusta", "Where photos were taken", True, group=3),
    Action("points", "Points", "Layers", _layer("points"), "P", "points", "Bare points", True, group=3),
    Action("photo", "Photo overlay", "Layers", _layer("photo"), "B", "photo",
           "The photo over the scene while looking through it", True, group=3),
    Action("grid", "Floor grid", "Layers", _layer("grid"), "N", "grid", "", True, group=3),

    Action("single", "Large photo", "Photos", lambda t: t.controller.set_single(not t.controller.state.single), "Space",
           "single", "One large photo, or all of them", True),
    Action("mode_photo", "Show photos", "Photos", lambda t: t.controller.set_mode("photo"), "Ctrl+1", "", "", True,
           group=1),
    Action("mode_features", "Show features", "Photos", lambda t: t.controller.set_mode("features"), "Ctrl+2", "", "",
           True, group=1),
    Action("mode_scene", "Show the scene's features", "Photos", lambda t: t.controller.set_mode("scene"), "Ctrl+3", "",
           "What the scene says of each photo's pixels: its features marched into the photo", True, group=1),
    Action("mode_agreement", "Show agreement", "Photos", lambda t: t.controller.set_mode("agreement"), "Ctrl+4", "",
           "Cosine of each photo's features and the scene's; the photos that agree least first with S", True, group=1),
    Action("mode_heat", "Show heat", "Photos", lambda t: t.controller.set_mode("heat"), "Ctrl+5", "", "", True,
           group=1),
    Action("keep_features", "Compare with these features", "Photos", lambda t: t.controller.comparison.keep(),
           "Ctrl+Shift+K", "", "Keep these, choose another encoder or training, and swipe in a large photo", True,
           group=2),
    Action("sort", "Best matches first", "Photos",
           lambda t: t.controller.set(sort="index" if t.controller.state.sort == "score" else "score"), "S", "sort",
           "Order the photos by their match", True, group=2),

    Action("fit", "Fit radiance grid", "Engine", lambda t: t.controller.fit(), "", "fit",
           "Fit the scene, or load the stored fit"),
    Action("refit", "Fit again from scratch", "Engine", lambda t: t.controller.fit(refit=True)),
    Action("photograph", "Photograph the geometry…", "Engine", lambda t: t.dialogs.photograph(), "Ctrl+Shift+G",
           "frusta", "Render views of bare geometry as a capture: features, prompts and matches then work on it"),
    Action("encode", "Encode photos", "Engine", lambda t: t.controller.encode(), "", "encode",
           "Compute dense features of all photos"),
    Action("training", "Training panel", "Engine", lambda t: t.toggle_training(), "F8", "training",
           "Train the features on this capture and watch: bring the panel to the front, or hide it", toolbar=True,
           group=1),
    Action("train", "Train on this capture", "Engine", lambda t: t.start_training(), "F5", "",
           "Train the 2D and the 3D encoder together on the open capture", group=1),
    Action("train_pause", "Pause training", "Engine", lambda t: t.controller.training.toggle_pause(), "F6", "pause",
           "Let the training rest, or go on", True, group=1),
    Action("train_stop", "Stop training", "Engine", lambda t: t.controller.training.stop(), "Shift+F5", "cancel",
           "End the training; what it has reached is kept", group=1),
    Action("use_weights", "Use trained weights", "Engine", lambda t: t.controller.training.use_weights(), "", "",
           "Encode all photos with what was trained on this capture", group=2),
    Action("save_weights", "Save trained weights…", "Engine", lambda t: t.dialogs.save_weights(), "Ctrl+Shift+S", "",
           "Copy the weights of this capture's training into a folder", group=2),
    Action("load_weights", "Load trained weights…", "Engine", lambda t: t.dialogs.load_weights(), "", "",
           "Encode all photos with weights from a folder", group=2),
    Action("built_in_weights", "Back to built-in weights", "Engine", lambda t: t.controller.training.use_built_in(),
           "", "", "Encode all photos with the weights that come along", group=2),
    Action("save_agreement", "Save comparison…", "Engine", lambda t: t.dialogs.save_agreement(), "", "",
           "Write how photos and scene agree: a CSV table, and a picture of each photo"),
    Action("save_keypoints", "Save keypoints…", "Engine", lambda t: t.dialogs.save_keypoints(), "", "",
           "Write the keypoints that are shown as PLY, NPZ or COLMAP points", group=2),
    Action("cancel_jobs", "Cancel all jobs", "Engine", lambda t: t.controller.jobs.cancel_all(), "Ctrl+.", "cancel",
           group=3),

    Action("repository", "Repository panel", "Repository", lambda t: t.repository.toggle(), "F7", "repository",
           "Many scenes in one place, to be asked by photos and words: bring the panel to the front, or hide it",
           toolbar=True),
    Action("repository_open", "Open repository…", "Repository", lambda t: t.repository.open(), "", "",
           "Open a folder of condensed scenes", group=1),
    Action("repository_make", "New repository…", "Repository", lambda t: t.repository.make(), "", "",
           "Make a folder for condensed scenes", group=1),
    Action("repository_photo", "Find the scene of a photo…", "Repository", lambda t: t.repository.by_photo(),
           "Ctrl+Shift+R", "", "Which scene does a photo show, and from where? It can be dropped on the panel, too",
           group=2),
    Action("repository_words", "Find scenes by words", "Repository", lambda t: t.repository.by_words(), "Ctrl+R", "",
           "Which scenes hold such a thing, and where?", group=2),
    Action("repository_alike", "Scenes like this one", "Repository", lambda t: t.repository.alike(), "Ctrl+Shift+E", "",
           "Other scans of the selected scene's place, or of the open capture's", group=2),
    Action("repository_duplicates", "Find duplicates", "Repository", lambda t: t.repository.duplicates(), "Ctrl+D", "",
           "All pairs of scenes that are of one place", group=2),
    Action("repository_add", "Add this capture", "Repository", lambda t: t.repository.add_this(), "Ctrl+Shift+A", "",
           "Condense the open capture and keep it in the repository", group=3),
    Action("repository_add_more", "Add captures…", "Repository", lambda t: t.repository.add_more(), "", "",
           "Fit, encode and condense a capture, or all captures of a folder", group=3),
    Action("repository_remove", "Remove from the repository", "Repository", lambda t: t.repository.remove(), "", "",
           "Take the selected scene out; its capture is not touched, and Ctrl+Z puts it back", group=3),

    Action("annotate", "Annotate panel", "Annotate", lambda t: t.annotate.toggle(), "F4", "labels",
           "Classes, tools and progress: bring the panel to the front, or hide it", toolbar=True),
    _tool("select", "Smart select", "A", "One click selects the whole thing, in the scene and in every photo"),
    _tool("brush", "Brush", "Shift+B", "Paint labels over the scene or in a large photo"),
    _tool("lasso", "Lasso", "Shift+L", "Label what you draw around, over the scene or in a large photo"),
    _tool("box", "Rectangle", "Shift+R", "Label what lies in a rectangle, over the scene or in a large photo"),
    _tool("fill", "Fill", "Shift+F", "Label all that hangs together with a place and is alike"),
    _tool("polyline", "Line", "Shift+P", "Join points on the surface: an edge, a cable, an outline on the floor"),
    _tool("landmark", "Landmark", "Shift+K", "Put a named point, on a keypoint where one is near"),
    _tool("note", "Note", "Shift+N", "Write down what you saw at a place"),
    Action("annotate_through", "All depths", "Annotate", lambda t: t.annotate.flip_through(), "Shift+D", "",
           "What lasso and rectangle go around over the scene is meant at all depths, not only what shows", True,
           group=1),
    Action("annotate_class", "New class", "Annotate", lambda t: t.annotate.new_class(), "Ctrl+Shift+N", "",
           "Type the name of a class; its colour and key are found", group=2),
    Action("annotate_label", "Label the selection", "Annotate", lambda t: t.annotate.label(), "", "",
           "Give it the class in hand: Enter. A digit gives it the class of that key", group=2),
    Action("annotate_erase", "Erase labels of the selection", "Annotate", lambda t: t.annotate.erase(), "", "",
           "Take the labels off what is selected: Delete", group=2),
    Action("annotate_grow", "Grow the selection", "Annotate", lambda t: t.annotate.resize(1), "", "",
           "By one voxel on all sides: +", group=3),
    Action("annotate_shrink", "Shrink the selection", "Annotate", lambda t: t.annotate.resize(-1), "", "",
           "By one voxel on all sides: −", group=3),
    Action("annotate_box_around", "Box around the selection", "Annotate", lambda t: t.annotate.box_around(),
           "Shift+O", "", "An upright box, turned so that it fits closely", group=3),
    Action("annotate_alike", "Suggest what is like it", "Annotate", lambda t: t.annotate.alike(), "Shift+A", "",
           "Places like the selection, or like the last thing labelled: Enter accepts, Backspace refuses", group=4),
    Action("annotate_words", "Suggest by words…", "Annotate", lambda t: t.annotate.by_words(), "Shift+W", "",
           "Places that words mean, such as all chairs: Enter accepts, Backspace refuses", group=4),
    *review_actions(Action),
    Action("classes_import", "Import classes…", "Annotate", lambda t: t.annotate.import_classes(), "", "",
           "Add the classes of a list", group=6),
    Action("classes_export", "Export classes…", "Annotate", lambda t: t.annotate.export_classes(), "", "",
           "Save the classes as a list for other captures", group=6),
    Action("annotations_import", "Import annotations…", "Annotate", lambda t: t.annotate.bring_in(), "", "",
           "As one step that can be undone", group=7),
    Action("annotations_export", "Export annotations…", "Annotate", lambda t: t.annotate.export(), "Ctrl+Alt+E", "",
           "COCO, PLY, NPZ, KITTI, labelCloud, ScanNet, or our own JSON", group=7),

    *task_actions(Action),

    Action("clear", "Clear match", "Help", lambda t: t.controller.escape(), "Esc", "", "One step back"),
    Action("commands", "Find a command…", "Help", lambda t: t.commands.toggle(), "Ctrl+Shift+P", "",
           "Type what you want to do, and Enter does it"),
    Action("shortcuts", "Keyboard and mouse", "Help", lambda t: t.sheet.toggle(), "F1", "shortcuts",
           "All shortcuts on one sheet", toolbar=False),
)  # fmt: skip

MOUSE: tuple[tuple[str, str], ...] = (
    ("Click", "Find this pixel or point everywhere"),
    ("Click a camera", "Look through its photo"),
    ("Drag", "Turn"),
    ("Shift-drag, right-drag", "Move sideways"),
    ("Wheel", "Nearer, farther"),
    ("Double-click", "Centre on this point"),
    ("Drop a photo", "On the repository: which is it?"),
    ("Hover a photo", "Preview its match"),
)

SELECTING: tuple[tuple[str, str], ...] = (
    ("Click", "Select; Shift adds, Ctrl takes away"),
    ("Wheel", "More or less of it (Ctrl: nearer)"),
    ("1 … 9, 0", "Label it with that class"),
    ("Enter", "Label it; accept a suggestion; end a line"),
    ("Backspace", "Let it go, refuse, skip; a point of a line back"),
    ("A, B", "In a review: the first is right, the second"),
    ("Delete", "Erase its labels"),
    ("PgUp PgDn", "More or less of it"),
    ("+ −", "Grow, shrink; size of the brush"),
    ("Shift-wheel", "Size of the brush"),
    ("Middle-drag", "Turn, with a drawing tool in hand"),
)


def by_id(name: str) -> Action:
    """The action of that name.

    Raises:
        KeyError: no such action.
    """
    return _INDEX[name]


_INDEX = {a.id: a for a in ACTIONS}
