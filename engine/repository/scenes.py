"""What the queries of a repository need of wherever its scenes live, and what all such places refuse."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from engine.api.errors import RepositoryError
from engine.queries.quantise import Codes
from engine.repository.record import LARGEST_WORLD, LEAST_KEYPOINTS, MOST_KEYPOINTS, SceneRecord

if TYPE_CHECKING:
    from engine.repository.codebook import Codebook, Words


class SceneRow(NamedTuple):
    """A scene in a list. ``added``: seconds since 1970."""

    id: int
    fingerprint: str
    name: str
    path: str
    weights: str
    added: float
    extent_w: float
    keypoints: int


class Named(NamedTuple):
    """That a scene holds a thing of a name, and how likely, in [0, 1]."""

    id: int
    name: str
    chance: float


class Changes(NamedTuple):
    """What is another one after any change: the last id ever given to a scene that is there, how many there are, and a
    number for the codebook."""

    last: int
    count: int
    book: int


class SceneStore(Protocol):
    """What the queries of a repository need of wherever its scenes live. All raise ``RepositoryError``."""

    @property
    def path(self) -> Path | str:
        """That messages name."""
        ...

    @property
    def writable(self) -> bool:
        """Whether scenes can be added and removed."""
        ...

    def rows(self, after: int = 0) -> list[SceneRow]:
        """All scenes, or those with larger ids, in the order they were added."""
        ...

    def count(self) -> int:
        """Number of scenes."""
        ...

    def size(self) -> int:
        """Bytes that all of it takes."""
        ...

    def add(self, record: SceneRecord) -> int:
        """Add a scene, or put it in the place of the one of the same content; its id, once it is there for good."""
        ...

    def add_all(self, records: Iterable[SceneRecord]) -> list[int]:
        """Add many, all of them or none."""
        ...

    def remove(self, id: int) -> None:
        """Take a scene out."""
        ...

    def load(self, id: int) -> SceneRecord:
        """One scene."""
        ...

    def load_all(self, ids: list[int]) -> dict[int, SceneRecord]:
        """Some scenes, without those that are gone."""
        ...

    def codes(self, ids: list[int]) -> Iterator[tuple[int, Codes]]:
        """Ids and descriptors (K, D) of some scenes, without those that are gone."""
        ...

    def named(self, names: Collection[str]) -> list[Named]:
        """Where things of these names are."""
        ...

    def changes(self) -> Changes:
        """What is another one after any change."""
        ...

    def codebook(self) -> Codebook | None:
        """That postings are of; None: there is no index, or one of another version."""
        ...

    def postings(self, first: int, last: int) -> list[tuple[int, Words]]:
        """Words of the scenes with ids from ``first`` to ``last``, of those that have any, in the order of ids."""
        ...

    def put_index(self, book: Codebook, words: Mapping[int, Words]) -> None:
        """Put another codebook and the words of scenes in the place of what was there; scenes that were added since are
        given theirs."""
        ...


def check_record(record: SceneRecord) -> None:
    """Raises:
    RepositoryError: a record that makes no sense.
    """
    count = len(record)
    if not LEAST_KEYPOINTS <= count <= MOST_KEYPOINTS:
        raise RepositoryError(
            "the scene has too few keypoints to be found again" if count < LEAST_KEYPOINTS else "too many keypoints",
            path=record.path, found=str(count), expected=f"{LEAST_KEYPOINTS} to {MOST_KEYPOINTS}",
        )  # fmt: skip
    finite = (
        (np.abs(record.pos_w) < LARGEST_WORLD).all()
        and np.isfinite(record.cameras).all()
        and np.isfinite(record.extent_w)
    )
    if record.pos_w.shape != (count, 3) or not finite or record.extent_w <= 0:
        raise RepositoryError("the scene's keypoints make no sense", path=record.path)


def other_weights(path: Path | str, here: str, new: str) -> RepositoryError:
    """An error for scenes of two encoders in one repository."""
    return RepositoryError(
        "holds scenes encoded by other weights, and theirs cannot be compared",
        path=path, found=new, expected=here, mend="use the same encoder, or make another repository",
    )  # fmt: skip


def no_scene(path: Path | str, id: int) -> RepositoryError:
    """An error for a scene that is not there."""
    return RepositoryError("there is no such scene", path=path, found=f"scene {id}")
