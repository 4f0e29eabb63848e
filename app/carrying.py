"""A class on its way to another scene: what is like it is looked for there, and offered with the class. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.annotate import AnnotateDesk
from app.annotate_state import Offer
from app.controller import Controller
from app.repository_state import real
from app.state import AppState
from engine.api.annotated import SuggestionsFound
from engine.api.annotations import LabelClass
from engine.api.replies import Failed, Reply
from engine.api.reviewing import DescribeExamples, ExamplesDescribed, SuggestFrom


@dataclass(frozen=True)
class Carried:
    """What is on its way.

    Attributes:
        label: the class.
        scene: name of where it comes from.
        path: of the capture where it goes.
        waiting: id of the request whose answer is waited for.
        examples: what is to be looked for once the other capture is there; None: not before, or not any more.
    """

    label: LabelClass
    scene: str
    path: str
    waiting: int
    examples: ExamplesDescribed | None = None


class CarryDesk:
    """Asks the engine what something is like, opens the other capture, and asks there.

    Args:
        controller: of the window.
        annotate: the desk that edits and knows what is annotated.
    """

    def __init__(self, controller: Controller, annotate: AnnotateDesk) -> None:
        self._controller, self._annotate = controller, annotate
        self._carried: Carried | None = None
        controller.join(self)
        controller.store.listen(self._follow)

    def carry(self, path: str) -> None:
        """Look in another capture for what is like the selection, or like the things of the class in hand."""
        scene, a = self._controller.state.scene, self._annotate.state
        if scene is None or a.class_in_hand is None:
            self._annotate.say("Choose a class first: what is found is labelled with it.")
            return
        rows = None if a.lit is None else a.lit.rows
        request = DescribeExamples(rows=rows, class_id=a.class_id)
        self._carried = Carried(a.class_in_hand, scene.name, path, request.id)
        self._annotate.ask(request)

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about this."""
        carried = self._carried
        if carried is None or reply.id != carried.waiting:
            return False
        match reply:
            case ExamplesDescribed():
                self._carried = replace(carried, examples=reply)
                self._controller.open(carried.path)
            case SuggestionsFound():
                self._carried = None
                self._offer(reply, carried)
            case Failed():
                self._carried = None
                return False
            case _:
                return False
        return True

    def _follow(self, old: AppState, new: AppState) -> None:
        carried = self._carried
        if carried is None or carried.examples is None:
            return
        if old.scene is not new.scene:
            here = new.scene is not None and real(new.scene.path) == real(carried.path)
            if not here:
                self._carried = None
                return
            # made only now: what was asked before a capture was opened is not answered any more
            request = SuggestFrom(examples=carried.examples.examples, encoder=carried.examples.encoder)
            self._carried = replace(carried, examples=None, waiting=request.id)
            self._annotate.say(f"Looking for what is like {carried.label.name} once the scene is ready.")
            self._annotate.ask(request)
        elif old.opening is not None and new.opening is None:
            self._carried = None  # it could not be opened

    def _offer(self, reply: SuggestionsFound, carried: Carried) -> None:
        title, found = f"Like {carried.label.name} of {carried.scene}", reply.suggestions
        if not found:
            self._annotate.say(f"{title}: nothing here is.")
            return
        offer = Offer(title, self._annotate.state.class_id, found, len(found), carried.label)
        self._annotate.set(offer=offer, selection=None)
