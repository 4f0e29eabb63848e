"""The lines on tasks in the table of what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.actions import Action


class LearnsTasks(Protocol):
    """Tasks on labels."""

    def toggle(self) -> None: ...
    def choose_data(self) -> None: ...
    def run(self) -> None: ...
    def stop(self) -> None: ...
    def save_head(self) -> None: ...
    def load_head(self) -> None: ...
    def name(self) -> None: ...
    def keep(self) -> None: ...


def task_actions(line: type[Action]) -> tuple[Action, ...]:
    """``line``: the table's own class, whose module reads this one."""
    return (
        line("tasks", "Tasks panel", "Tasks", lambda t: t.tasks.toggle(), "F3", "tasks",
             "Learn classes from labels of your own, and see what is mistaken for what: bring the panel to the front, "
             "or hide it", toolbar=True),
        line("task_data", "Choose labelled data…", "Tasks", lambda t: t.tasks.choose_data(), "", "",
             "A folder of objects in class folders, or of labelled scans in train and test", group=1),
        line("task_run", "Learn and measure", "Tasks", lambda t: t.tasks.run(), "Ctrl+F3", "",
             "Learn from the labelled data with each network and seed, and measure on what is for testing", group=1),
        line("task_stop", "Stop learning", "Tasks", lambda t: t.tasks.stop(), "Shift+F3", "cancel",
             "What was measured stays, and a fine-tuning goes on from here when it is asked for again", group=1),
        line("task_load", "Load a head…", "Tasks", lambda t: t.tasks.load_head(), "", "",
             "Take what was learnt before in hand", group=2),
        line("task_save", "Save the head…", "Tasks", lambda t: t.tasks.save_head(), "", "",
             "Keep what was learnt, with its encoder: condense task predict takes it, too", group=2),
        line("task_name", "Name the scene", "Tasks", lambda t: t.tasks.name(), "", "",
             "Say of every voxel of the open capture which class it is, by the head in hand", group=3),
        line("task_keep", "Keep as labels", "Tasks", lambda t: t.tasks.keep(), "", "",
             "Make labels of what shows, one step that can be undone for each class", group=3),
    )  # fmt: skip
