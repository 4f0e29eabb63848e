"""What is seen of a review; ``app.resolve_review`` makes it from the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.annotate_state import Marks
from app.review_state import ReviewState
from engine.api.annotated import PhotoVoxels, ReviewFound
from engine.api.replies import PhotoLoaded
from engine.api.scene import SceneInfo


@dataclass(frozen=True)
class ReviewView:
    """The review panel.

    Attributes:
        state: what is looked over.
        review: how far it is; None: not asked for.
        marks: what is annotated; None: nothing.
        scene: the open one.
        photos: which voxels photos show.
        pictures: of the two photos beside what is looked at.
        obstacle: why there is nothing to look over, as an instruction; "" when there is.
        writable: whether edits can be made.
    """

    state: ReviewState
    review: ReviewFound | None
    marks: Marks | None
    scene: SceneInfo | None
    photos: Mapping[int, PhotoVoxels]
    pictures: tuple[PhotoLoaded | None, PhotoLoaded | None]
    obstacle: str
    writable: bool

    def photo(self, view: int) -> str:
        """Number and name of a photo."""
        name = next((v.name for v in self.scene.views if v.index == view), "") if self.scene is not None else ""
        return f"{view}  {name.rsplit('/', 1)[-1]}".strip()
