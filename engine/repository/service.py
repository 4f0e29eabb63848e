"""The repository that the window has open, and the answers to its requests about it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.api.errors import QueryError, RepositoryError
from engine.api.replies import JobFinished, Reply
from engine.api.repository import (
    AddCaptures,
    DecidePair,
    DuplicatesFound,
    FindAlike,
    FindByPhoto,
    FindByWords,
    FindDuplicates,
    OpenRepository,
    RemoveScenes,
    RepositoryListed,
    RepositoryRequest,
    RestoreScenes,
    SceneCard,
    ScenePair,
    SceneThumbnails,
    ShowPair,
)
from engine.features import encoders_id
from engine.repository.decisions import Decisions
from engine.repository.record import SceneRecord
from engine.repository.search import Repository
from engine.repository.store import SceneRow, SqliteStore, open_store
from engine.runtime import resolve_device
from engine.scene_state import report

if TYPE_CHECKING:
    from engine.api.scene import UInt8
    from engine.encoders.image import ImageEncoder


BATCH = 12
"""Thumbnails that are sent at once."""
MOST_SIDE = 1024
"""Pixels: a larger thumbnail is none of ours."""


class RepositoryService:
    """Holds one open repository.

    Args:
        device: as ``engine.runtime.resolve_device`` takes it.
        cache: folder of captures' results.
        seed: of everything random.
    """

    def __init__(self, *, device: str, cache: Path, seed: int) -> None:
        self._device, self.cache, self.seed = device, cache, seed
        self._store: SqliteStore | None = None
        self._repository: Repository | None = None
        self._removed: dict[str, SceneRecord] = {}
        self._encoders: dict[str, tuple[ImageEncoder, str]] = {}
        self._told: set[str] = set()  # scenes whose thumbnails the window has

    def handle(self, request: RepositoryRequest) -> Iterator[Reply | None]:
        """Serve one request; see ``engine.api.repository`` for what answers what.

        Raises:
            CondenseError: it cannot be done, and why.
        """
        from engine.repository import answers, pairs

        match request:
            case OpenRepository():
                return self._open(request)
            case AddCaptures():
                return self._add(request)
            case RemoveScenes():
                return self._remove(request)
            case RestoreScenes():
                return self._restore(request)
            case DecidePair():
                return self._decide(request)
            case FindByPhoto():
                return answers.by_photo(self, request)
            case FindByWords():
                return answers.by_words(self, request)
            case FindAlike():
                return answers.alike(self, request)
            case FindDuplicates():
                return self._duplicates(request)
            case ShowPair():
                return pairs.aligned(self, request)
            case _:
                raise QueryError(f"a repository does not know the request {type(request).__name__}")

    @property
    def store(self) -> SqliteStore:
        """Of the open repository.

        Raises:
            RepositoryError: none is open.
        """
        if self._store is None:
            raise RepositoryError("no repository is open", mend="open one first")
        return self._store

    @property
    def repository(self) -> Repository:
        """The open repository.

        Raises:
            RepositoryError: none is open.
        """
        if self._repository is None:
            raise RepositoryError("no repository is open", mend="open one first")
        return self._repository

    def row(self, key: str) -> SceneRow:
        """The scene of that key.

        Raises:
            RepositoryError: it is not there (any more).
        """
        found = next((row for row in self.repository.rows if row.fingerprint == key), None)
        if found is None:
            mend = "another program may have removed it; open the repository again"
            raise RepositoryError("there is no such scene", path=self.store.path, mend=mend)
        return found

    def encoder(self, asked: str) -> tuple[str, ImageEncoder]:
        """The encoder whose features can be compared with the repository's: the one asked for or, if that is another,
        the one that comes along.

        Raises:
            RepositoryError: neither is.
        """
        rows = self.repository.rows
        for name in dict.fromkeys((asked, "default")):
            encoder, weights = self._loaded(name)
            if not rows or weights == rows[0].weights:
                return name, encoder
        self.repository.check_weights(self._loaded(asked)[1])
        raise RepositoryError("the scenes were encoded by other weights", path=self.store.path)

    @property
    def device(self) -> str:
        """As ``resolve_device`` takes it."""
        return self._device

    def _loaded(self, name: str) -> tuple[ImageEncoder, str]:
        from engine.encoders import load_encoder

        if name in self._encoders:
            return self._encoders[name]
        encoder = load_encoder(name, resolve_device(self._device))
        loaded = encoder, encoders_id(encoder)
        if name == "default":  # files of others may change
            self._encoders[name] = loaded
        return loaded

    def listed(self, request: RepositoryRequest) -> RepositoryListed:
        """What there is."""
        rows = self.repository.rows
        decisions = Decisions(self.store.folder, writable=self.store.writable).all()
        return RepositoryListed(
            id=request.id, path=str(self.store.folder), scenes=tuple(card(r) for r in rows), decisions=decisions,
            writable=self.store.writable,
        )  # fmt: skip

    def _open(self, request: OpenRepository) -> Iterator[Reply | None]:
        store = open_store(Path(request.path), make=request.make)
        self._store, self._repository = store, Repository(store)
        self._removed.clear()
        self._told.clear()
        yield None
        yield self.listed(request)
        yield from self._thumbnails(request)

    def _thumbnails(self, request: RepositoryRequest) -> Iterator[Reply | None]:
        """Those that the window does not have yet, a few at a time."""
        store = self.store
        rows = [r for r in self.repository.rows if r.fingerprint not in self._told]
        for start in range(0, len(rows), BATCH):
            found: dict[str, UInt8] = {}
            for row in rows[start : start + BATCH]:
                if (rgb := thumbnail(store.load(row.id).thumbnail)) is not None:
                    found[row.fingerprint] = rgb
                yield None
                if store is not self._store:
                    return  # another repository was opened meanwhile
            self._told.update(row.fingerprint for row in rows[start : start + BATCH])
            yield SceneThumbnails(id=request.id, path=str(store.folder), rgb=found)

    def _add(self, request: AddCaptures) -> Iterator[Reply | None]:
        from engine.repository.add_captures import Means, add_captures

        store = self.store
        name, _ = self.encoder(request.encoder)
        yield None
        means = Means(name, self._device, self.cache, self.seed)
        for reply in add_captures(request, store, means, lambda: self.listed(request)):
            if isinstance(reply, RepositoryListed):
                if store is self._store:
                    yield reply
                    yield from self._thumbnails(request)
            else:
                yield reply

    def _remove(self, request: RemoveScenes) -> Iterator[Reply | None]:
        for key in request.keys:
            row = self.row(key)
            record = self.store.load(row.id)
            self.store.remove(row.id)
            self._removed[key] = record
        yield self.listed(request)

    def _restore(self, request: RestoreScenes) -> Iterator[Reply | None]:
        for key in request.keys:
            record = self._removed.get(key)
            if record is None:
                mend = "add its capture again"
                raise RepositoryError(
                    "the scene that was removed is not kept any more", path=self.store.path, mend=mend
                )
            self.store.add(record)
            del self._removed[key]
        yield self.listed(request)

    def _decide(self, request: DecidePair) -> Iterator[Reply | None]:
        Decisions(self.store.folder, writable=self.store.writable).decide(request.a, request.b, request.decision)
        yield self.listed(request)

    def _duplicates(self, request: FindDuplicates) -> Iterator[Reply | None]:
        start = time.perf_counter()
        found = yield from report(request, self.repository.duplicates(self.seed))
        pairs = tuple(
            ScenePair(d.a.fingerprint, d.b.row.fingerprint, d.b.confidence, at.count, at.overlap, at.changed)
            for d in found
            if (at := d.b.alignment) is not None
        )
        yield DuplicatesFound(id=request.id, pairs=pairs)
        yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)


def card(row: SceneRow) -> SceneCard:
    """A scene as the window lists it."""
    try:
        there = Path(row.path).exists()
    except (OSError, ValueError):  # no path at all
        there = False
    return SceneCard(row.fingerprint, row.name, row.path, row.keypoints, row.added, there)


def thumbnail(packed: bytes) -> UInt8 | None:
    """(h, w, 3) uint8 of a record's thumbnail; None when it is none."""
    try:
        with Image.open(io.BytesIO(packed), formats=("JPEG", "WEBP")) as image:
            if max(image.size) > MOST_SIDE:
                return None
            rgb: UInt8 = np.asarray(image.convert("RGB"))
            return rgb
    except Exception:  # decoders raise anything at all on damaged bytes
        return None
