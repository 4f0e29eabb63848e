"""NumPy's NPZ: arrays by name, for scripts; lossless.

``pos_w`` (V, 3) float64, ``index`` (V, 3) int32, ``rgb`` (V, 3) uint8, ``labels`` (V,) uint16, ``instances`` (V,)
uint32, and ``meta``: JSON text (uint8) with the classes and things, as in ``own``.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from engine.annotations.formats.content import MOST_BYTES, Content, Incoming, malformed
from engine.annotations.palette import check_version
from engine.annotations.things import KINDS, of_json, to_json
from engine.api.annotations import LabelClass
from engine.storage import write_atomic

FORMAT = "condense-annotations-npz"
VERSION = 1
_SHAPES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "pos_w": (np.float64, (3,)), "labels": (np.uint16, ()), "instances": (np.uint32, ())
}  # fmt: skip


def write_npz(path: Path, content: Content) -> list[str]:
    """Write everything; nothing is lost.

    Raises:
        CacheError: the file cannot be written.
    """
    state, places = content.state, content.places
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "capture": content.fingerprint,
        "grid": places.key,
        "things": {kind: [to_json(t) for _, t in sorted(of.items())] for kind, of in state.things.items()},
    }
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)

    def write(tmp: Path) -> None:
        with tmp.open("wb") as f:
            np.savez_compressed(
                f, pos_w=places.centres_w, index=places.index, rgb=content.rgb, labels=state.labels,
                instances=state.instances, meta=text,
            )  # fmt: skip

    write_atomic(path, write)
    return []


def read_npz(path: Path) -> Incoming:
    """What ``write_npz`` wrote; nothing in it is ever unpickled.

    Raises:
        AnnotationError: it cannot be read, is malformed, or of a newer version.
    """
    expected = f"an NPZ of the format '{FORMAT}'"
    try:
        with zipfile.ZipFile(path) as z:
            if sum(i.file_size for i in z.infolist()) > MOST_BYTES:
                raise ValueError("a file that is too large unpacked")
        with np.load(path, allow_pickle=False) as arrays:
            meta = json.loads(arrays["meta"].tobytes())
            if not isinstance(meta, dict) or meta.get("format") != FORMAT:
                raise ValueError("no description of annotations")
            check_version(path, meta.get("version"), VERSION)
            found = {name: arrays[name] for name in _SHAPES}
        count = len(found["labels"])
        for name, (dtype, shape) in _SHAPES.items():
            if found[name].dtype != dtype or found[name].shape != (count, *shape):
                raise ValueError(f"{name} of {found[name].dtype} {found[name].shape}")
        if not np.isfinite(found["pos_w"]).all():
            raise ValueError("a position that is not finite")
        things = [of_json(kind, d) for kind in KINDS for d in meta["things"][kind]]
        key, fingerprint = str(meta["grid"]), str(meta["capture"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError, RecursionError) as e:
        raise malformed(path, e, expected) from e
    return Incoming(
        path, tuple(t for t in things if isinstance(t, LabelClass)), found["labels"], found["instances"],
        found["pos_w"], key=key, fingerprint=fingerprint,
        things=tuple(t for t in things if not isinstance(t, LabelClass)),
    )  # fmt: skip
