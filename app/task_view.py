"""What the window shows of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from app.state import Job
from app.task_state import TasksState


@dataclass(frozen=True)
class TasksView:
    """The panel.

    Attributes:
        state: all that is known.
        job: the line of the job that learns, while it does; ``naming``: of the one that names the scene.
        enabled: names of the actions that can be done now.
        obstacle: what stands in the way of naming the open capture, as an instruction; "" when nothing does.
    """

    state: TasksState
    job: Job | None
    naming: Job | None
    enabled: frozenset[str]
    obstacle: str
