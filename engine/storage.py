"""Files that are either whole or not there: safetensors and JSON written to a temporary name, then renamed.

Nothing is ever pickled. A crash or a full disk in mid-write leaves the old file as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engine.api.errors import CacheError

Tensors = dict[str, NDArray[Any]]


def default_cache_dir() -> Path:
    """Where results live unless ``--cache`` says otherwise (``CONDENSE_CACHE`` overrides, for tests and clusters)."""
    override = os.environ.get("CONDENSE_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("condense-studio", appauthor=False))


def digest(*parts: str | bytes) -> str:
    """A short stable key of its parts (24 hex digits of SHA-256)."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()[:24]


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write`` with a temporary path beside ``path``, then rename it over ``path``.

    Raises:
        CacheError: the folder cannot be written or the disk is full; ``path`` is as it was before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not mkstemp: its files stay readable by their owner alone.
        tmp = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        tmp.touch(exist_ok=False)
        mode = stat.S_IMODE(tmp.stat().st_mode)
    except OSError as e:
        raise _unwritable(path, e) from e
    try:
        write(tmp)
        tmp.chmod(mode)  # safetensors puts a file of its own there, readable by its owner alone
        with tmp.open("rb") as f:
            os.fsync(f.fileno())
        os.replace(tmp, path)
        _sync_folder(path.parent)
    except (OSError, SafetensorError) as e:
        raise _unwritable(path, e) from e
    finally:
        with contextlib.suppress(OSError):
            tmp.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk; until then a power cut may undo it, and with it all that is written to the new file
    later. Windows has no such call, and some network disks refuse it."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _unwritable(path: Path, e: Exception) -> CacheError:
    return CacheError(
        "cannot be written",
        path=path,
        found=str(e),
        mend="free some disk space, or choose another folder (of results: --cache DIR)",
    )


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any] | None = None) -> None:
    """Write arrays as safetensors with ``meta`` as JSON in the header, atomically."""
    whole = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    write_atomic(path, lambda tmp: save_file(whole, tmp, metadata={"meta": json.dumps(dict(meta or {}))}))


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what ``write_tensors`` wrote.

    Raises:
        CacheError: missing, truncated or not safetensors; names the file and the mend.
    """
    try:
        with safe_open(path, framework="numpy") as f:
            meta = json.loads((f.metadata() or {}).get("meta", "{}"))
            return {k: f.get_tensor(k) for k in f.keys()}, meta  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, ValueError, KeyError, RecursionError) as e:
        raise CacheError(
            "cannot be read",
            path=path,
            found=str(e),
            expected="a whole safetensors file",
            mend="delete the file; it will be made again",
        ) from e


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically; NaN is refused."""
    text = json.dumps(data, indent=2, allow_nan=False)
    write_atomic(path, lambda tmp: tmp.write_text(text + "\n", encoding="utf-8") and None)
