"""What can be done to look over annotations; part of the table in ``app.actions``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.actions import Action


class Reviews(Protocol):
    """The review panel, and what leads there."""

    def toggle(self) -> None: ...
    def next_unlabelled(self) -> None: ...
    def next_photo(self) -> None: ...
    def conflicts(self) -> None: ...
    def compare(self) -> None: ...
    def carry(self) -> None: ...


def review_actions(make: type[Action]) -> tuple[Action, ...]:
    """In the order of the menu."""
    return (
        make("annotate_review", "Review", "Annotate", lambda t: t.review.toggle(), "Shift+V", "",
             "How far it is, where photos contradict, and another annotator: bring the panel to the front, or hide it",
             group=5),
        make("review_unlabelled", "Next unlabelled place", "Annotate", lambda t: t.review.next_unlabelled(), "U", "",
             "Go through what is likely a whole thing and has no label: Enter or a digit labels it", group=5),
        make("review_photo", "Photo with most to label", "Annotate", lambda t: t.review.next_photo(), "Shift+U", "",
             "The photo of which most has no label; again: the next one", group=5),
        make("review_conflicts", "Conflicts between photos", "Annotate", lambda t: t.review.conflicts(), "Shift+C", "",
             "Where photos say different classes of one place: A or B settles it, Backspace skips it", group=5),
        make("review_compare", "Compare with another annotator…", "Annotate", lambda t: t.review.compare(), "Shift+T",
             "", "Where does the file of another annotator differ, and how much?", group=5),
        make("review_carry", "Suggest in another scene…", "Annotate", lambda t: t.review.carry(), "Ctrl+Alt+A", "",
             "Open another scene of the repository, and look there for what is like the selection or the class in hand",
             group=4),
    )  # fmt: skip
