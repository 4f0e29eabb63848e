"""Scenes in Lance tables, in object storage (``s3://bucket/prefix``) or in a folder (``file:///…``).

For more scenes than one machine should hold: writers and readers on any number of machines, no server. Each change is a
new version of a table, whole or not there; a bucket's conditional writes keep two writers apart. What ``add`` has
returned from is as safe as the bucket is; in a folder it is not yet on disk when the power goes: use SQLite there.

Two tables: ``scenes``, and ``postings``, derived from it, with the codebook in its metadata, so that both are replaced
at once. Postings name the codebook they are of, for a writer may still append to the one before.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from engine.api.errors import RepositoryError
from engine.queries.quantise import Codes
from engine.repository.codebook import Codebook, Words
from engine.repository.record import Packed, SceneRecord, pack, unpack
from engine.repository.scenes import Changes, Named, SceneRow, check_record, no_scene, other_weights

FORMAT = 2
"""The first had no occupancy; it is brought up by the next scene that is added."""
INDEX = 1
FRAGMENTS = 64
"""So many pieces of a table are made into fewer: each added scene is one."""
KEPT = timedelta(days=1)
"""Readers of a version older than that have ended."""
BATCH = 256


@dataclass(frozen=True)
class LanceStore:
    """Scenes under an address.

    Attributes:
        path: the address.
        writable: as far as is known before it is tried.
    """

    path: str
    writable: bool = True

    def rows(self, after: int = 0) -> list[SceneRow]:
        """See ``SceneStore``."""
        with self._told():
            found = self._scenes().to_table(columns=list(SceneRow._fields), filter=f"id > {int(after)}").to_pylist()
        return sorted(SceneRow(**row) for row in found)

    def count(self) -> int:
        """See ``SceneStore``."""
        with self._told():
            return int(self._scenes().count_rows())

    def size(self) -> int:
        """Bytes of the present version's data files."""
        with self._told():
            tables = [self._scenes(), *filter(None, [self._postings()])]
            files = [f for table in tables for part in table.get_fragments() for f in part.metadata.files]
            return sum(f.file_size_bytes or 0 for f in files)

    def add(self, record: SceneRecord) -> int:
        """See ``SceneStore``."""
        return self.add_all([record])[0]

    def add_all(self, records: Iterable[SceneRecord]) -> list[int]:
        """See ``SceneStore``. Two first writers of different weights at one moment are not told apart."""
        made: list[dict[str, Any]] = []
        ready = list(records)
        first = int(time.time() * 1000) << 20 | secrets.randbits(20)  # rising, and no two writers' alike
        for id, record in enumerate(ready, start=first):
            check_record(record)
            made.append(_row(id, record))
        if not made:
            return []
        with self._told():
            table = self._brought_up()
            others = {
                (row["weights"], row["dim"]) for row in table.to_table(columns=["weights", "dim"], limit=1).to_pylist()
            }
            others |= {(row["weights"], row["dim"]) for row in made}
            if len(others) > 1:
                (here, _), (new, _) = sorted(others, key=lambda w: w == (made[0]["weights"], made[0]["dim"]))[:2]
                raise other_weights(self.path, here, new)
            self._post(ready, [row["id"] for row in made])  # words of no scene do no harm, a scene without costs time
            upsert = table.merge_insert("fingerprint").when_matched_update_all().when_not_matched_insert_all()
            upsert.conflict_retries(50).execute(_arrow(made, _scene_schema()))
            self._tidy(self._scenes())
        return [row["id"] for row in made]

    def remove(self, id: int) -> None:
        """See ``SceneStore``."""
        with self._told():
            table = self._scenes()
            if not table.count_rows(filter=f"id = {int(id)}"):
                raise no_scene(self.path, id)
            table.delete(f"id = {int(id)}")
            if (postings := self._postings()) is not None:
                postings.delete(f"id = {int(id)}")

    def load(self, id: int) -> SceneRecord:
        """See ``SceneStore``."""
        found = self.load_all([id])
        if id not in found:
            raise no_scene(self.path, id)
        return found[id]

    def load_all(self, ids: list[int]) -> dict[int, SceneRecord]:
        """See ``SceneStore``."""
        out: dict[int, SceneRecord] = {}
        for row in self._rows_of(ids, None):
            packed = Packed(*(row.get(part) or b"" for part in Packed._fields))
            pos_w, codes, places, cameras, occupancy = unpack(packed, row["keypoints"], row["dim"])
            head = (row[part] for part in ("fingerprint", "name", "path", "weights"))
            rest = (places, row["thumbnail"], cameras, occupancy)
            out[row["id"]] = SceneRecord(*head, pos_w, codes, row["extent_w"], *rest)
        return out

    def codes(self, ids: list[int]) -> Iterator[tuple[int, Codes]]:
        """See ``SceneStore``."""
        for start in range(0, len(ids), BATCH):
            for row in self._rows_of(ids[start : start + BATCH], ["id", "keypoints", "dim", "codes"]):
                if len(row["codes"]) != row["keypoints"] * row["dim"]:
                    raise RepositoryError("a scene's record is damaged", path=self.path, found=f"scene {row['id']}")
                yield row["id"], np.frombuffer(row["codes"], np.int8).reshape(row["keypoints"], row["dim"])

    def _rows_of(self, ids: list[int], columns: list[str] | None) -> list[dict[str, Any]]:
        """Rows of some scenes, in the order of ``ids``. First where they are, by ids alone, then themselves: by one
        question, pieces of the table that are not indexed yet would be read whole."""
        if not ids:
            return []
        wanted = f"id IN ({', '.join(str(int(id)) for id in ids)})"
        with self._told():
            table = self._scenes()
            where = table.scanner(columns=["id"], filter=wanted, with_row_id=True).to_table()["_rowid"].to_pylist()
            if not where:
                return []
            there = f"_rowid IN ({', '.join(map(str, where))})"
            found = {row["id"]: row for row in table.to_table(columns=columns, filter=there).to_pylist()}
        return [found[id] for id in ids if id in found]

    def named(self, names: Collection[str]) -> list[Named]:
        """See ``SceneStore``."""
        if not names:
            return []
        quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(names))
        with self._told():
            table = self._scenes()
            columns = ["id", "names", "permille"]
            found = table.to_table(columns=columns, filter=f"array_has_any(names, [{quoted}])").to_pylist()
        told = [(name, row["id"], n) for row in found for name, n in zip(row["names"], row["permille"], strict=True)]
        return [Named(id, name, n / 1000) for name, id, n in sorted(told) if name in names]

    def changes(self) -> Changes:
        """See ``SceneStore``."""
        with self._told():
            table, postings = self._scenes(), self._postings()
            return Changes(table.version, table.count_rows(), _mark(postings))

    def codebook(self) -> Codebook | None:
        """See ``SceneStore``."""
        with self._told():
            return _book(self._postings())

    def postings(self, first: int, last: int) -> list[tuple[int, Words]]:
        """See ``SceneStore``."""
        with self._told():
            table = self._postings()
            if table is None or not (mark := _mark(table)):
                return []
            wanted = f"book = {mark} AND id >= {int(first)} AND id <= {int(last)}"
            found = table.to_table(columns=["id", "words"], filter=wanted).to_pylist()
        rows = sorted((row["id"], row["words"]) for row in found)
        return [(id, np.frombuffer(words, "<u2", len(words) // 2)) for id, words in rows]

    def put_index(self, book: Codebook, words: Mapping[int, Words]) -> None:
        """See ``SceneStore``. A scene that is added at the very moment stays without words until the next time."""
        there = [row.id for row in self.rows()]
        late = {id: book.words(codes) for id, codes in self.codes([id for id in there if id not in words])}
        mark = secrets.randbits(48) | 1
        told = {
            "index": str(INDEX), "mark": str(mark), "scenes": str(book.scenes), "dim": str(book.codes.shape[1]),
            "centres": base64.b64encode(book.codes.tobytes()).decode(),
        }  # fmt: skip
        rows = [{"id": id, "book": mark, "words": _bytes(words[id] if id in words else late[id])}
                for id in there if id in words or id in late]  # fmt: skip
        lance = _lance()
        with self._told():
            table = _arrow(rows, _posting_schema().with_metadata(told))
            mode = "create" if self._postings() is None else "overwrite"
            lance.write_dataset(table, f"{self.path}/postings.lance", mode=mode)
            scenes = self._scenes()
            scenes.create_scalar_index("id", "BTREE")
            scenes.create_scalar_index("names", "LABEL_LIST")

    def _post(self, records: list[SceneRecord], ids: list[int]) -> None:
        table = self._postings()
        if table is None or (book := _book(table)) is None:
            return
        mark = _mark(table)
        rows = [
            {"id": id, "book": mark, "words": _bytes(book.words(r.codes))} for id, r in zip(ids, records, strict=True)
        ]
        table.insert(_arrow(rows, table.schema), mode="append")
        self._tidy(table)

    def _tidy(self, table: Any) -> None:
        if len(table.get_fragments()) >= FRAGMENTS:
            table.optimize.compact_files()
            table.optimize.optimize_indices()
            table.cleanup_old_versions(older_than=KEPT)

    def _brought_up(self) -> Any:
        """The scenes in the present format."""
        table = self._scenes()
        if "occupancy" not in table.schema.names:
            try:
                table.add_columns(_scene_schema().field("occupancy"))
                table.update_schema_metadata({"condense": str(FORMAT)})
            except (OSError, RuntimeError, ValueError):
                if "occupancy" not in self._scenes().schema.names:  # or else another writer was first
                    raise
            table = self._scenes()
        return table

    def _scenes(self) -> Any:
        return _lance().dataset(f"{self.path}/scenes.lance")

    def _postings(self) -> Any | None:
        try:
            return _lance().dataset(f"{self.path}/postings.lance")
        except ValueError:  # there is none
            return None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError) as e:
            raise _failed(self.path, e) from e


def open_lance(address: str, *, make: bool = False) -> LanceStore:
    """The repository under an address; see ``open_store``.

    Raises:
        RepositoryError: there is none; it is damaged, of a newer version, cannot be reached or made; the libraries for
            object storage are not installed.
    """
    address = address.rstrip("/")
    lance = _lance()
    where = f"{address}/scenes.lance"
    try:
        table = lance.dataset(where)
    except (OSError, ValueError, RuntimeError) as e:
        if not _is_missing(e):
            raise _failed(address, e) from e
        if not make:
            raise RepositoryError(
                "there is no repository here",
                path=address,
                found="no scenes.lance",
                mend="make one: condense index add",
            ) from e
        table = _make(where, address)
    told = table.schema.metadata or {}
    version = told.get(b"condense", b"").decode(errors="replace")
    if not version.isdigit():
        raise RepositoryError("is no repository of scenes", path=address, mend="choose another place")
    if int(version) > FORMAT:
        raise RepositoryError(
            "was written by a newer version of this program", path=address, found=f"format {version}",
            expected=f"at most {FORMAT}", mend="update condense-studio",
        )  # fmt: skip
    return LanceStore(address)


def _make(where: str, address: str) -> Any:
    schema = _scene_schema().with_metadata({"condense": str(FORMAT)})
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # another process may be first
        return _lance().write_dataset(_arrow([], schema), where, mode="create")
    try:
        return _lance().dataset(where)
    except (OSError, ValueError, RuntimeError) as e:
        raise _failed(address, e) from e


def _lance() -> Any:
    try:
        import lance
    except ImportError as e:
        raise RepositoryError(
            "repositories in object storage need a library that is not installed", found="no module 'lance'",
            mend='pip install "condense-studio[s3]"',
        ) from e  # fmt: skip
    return lance


def _scene_schema() -> Any:
    import pyarrow as pa

    text, whole, number, data = pa.string(), pa.int64(), pa.float64(), pa.large_binary()
    kinds = {"id": whole, "fingerprint": text, "name": text, "path": text, "weights": text, "added": number,
             "extent_w": number, "keypoints": whole, "dim": whole, "thumbnail": data,
             "names": pa.list_(text), "permille": pa.list_(pa.int16())}  # fmt: skip
    return pa.schema([*kinds.items(), *((part, data) for part in Packed._fields)])


def _posting_schema() -> Any:
    import pyarrow as pa

    return pa.schema([("id", pa.int64()), ("book", pa.int64()), ("words", pa.large_binary())])


def _arrow(rows: list[dict[str, Any]], schema: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema)


def _row(id: int, record: SceneRecord) -> dict[str, Any]:
    best: dict[str, int] = {}
    for p in record.places:
        best[p.name] = max(best.get(p.name, 0), round(p.chance * 1000))
    head = (id, record.fingerprint, record.name, record.path, record.weights, time.time(), record.extent_w, len(record))
    rest = {
        "dim": record.codes.shape[1],
        "thumbnail": record.thumbnail,
        "names": list(best),
        "permille": [*best.values()],
    }
    return {**SceneRow(*head)._asdict(), **rest, **pack(record)._asdict()}


def _bytes(words: Words) -> bytes:
    return words.astype("<u2").tobytes()


def _mark(table: Any | None) -> int:
    told = {} if table is None else table.schema.metadata or {}
    return int(told.get(b"mark", b"0")) if told.get(b"index") == str(INDEX).encode() else 0


def _book(table: Any | None) -> Codebook | None:
    if table is None or not _mark(table):
        return None
    told = table.schema.metadata
    codes = np.frombuffer(base64.b64decode(told[b"centres"]), np.int8)
    dim = int(told[b"dim"])
    return Codebook(codes.reshape(-1, dim), int(told[b"scenes"])) if dim > 0 and len(codes) % dim == 0 else None


def _is_missing(e: Exception) -> bool:
    return "was not found" in str(e) or "not found" in str(e).lower()


def _failed(address: str, e: Exception) -> RepositoryError:
    text = re.sub(r", /\S+:\d+:\d+$", "", (str(e).strip().splitlines() or [type(e).__name__])[0])[:300]
    if any(word in text for word in ("Forbidden", "AccessDenied", "credential", "403")):
        mend = "check the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do"
    elif "onflict" in text:
        mend = "others write at the same time: try again"
    else:
        mend = "check the address, and AWS_ENDPOINT and AWS_REGION where it is no bucket of AWS"
    return RepositoryError("the repository cannot be read or written", path=address, found=text, mend=mend)
