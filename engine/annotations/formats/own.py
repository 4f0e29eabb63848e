"""Our own JSON: everything, lossless, in plain numbers.

    {
      "format": "condense-annotations", "version": 1,
      "capture": {"name": "…", "fingerprint": "…"},
      "grid": {"lo_w": [x, y, z], "voxel": edge, "dims": [nx, ny, nz], "key": "…"},
      "classes": [{"id": 1, "name": "chair", "rgb": [r, g, b], "digit": 1 | null, "visible": true, "locked": false}],
      "runs": [[i, j, k, length, class, instance], …],
      "boxes": […], "polylines": […], "landmarks": […], "notes": […]
    }

A run is of ``length`` voxels (i, j, k), (i, j, k + 1), … that hold one class and one instance; voxel (i, j, k) has its
centre at ``lo_w + (index + 0.5) * voxel``. Voxels in no run hold nothing. Boxes and so on have the fields of
``engine.api.annotations``; world units; quaternions (w, x, y, z).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.annotations.formats.content import Content, Incoming, malformed, read_json
from engine.annotations.palette import check_version
from engine.annotations.things import of_json, to_json
from engine.api.annotations import Kind, LabelClass, Thing
from engine.grid.spec import MAX_CELLS, GridSpec
from engine.storage import write_json

FORMAT = "condense-annotations"
VERSION = 1
_LISTS: dict[str, Kind] = {"boxes": "box", "polylines": "polyline", "landmarks": "landmark", "notes": "note"}


def write_own(path: Path, content: Content) -> list[str]:
    """Write everything; nothing is lost.

    Raises:
        CacheError: the file cannot be written.
    """
    state, spec = content.state, content.places.spec
    things = {name: [to_json(t) for _, t in sorted(state.things[kind].items())] for name, kind in _LISTS.items()}
    write_json(
        path,
        {
            "format": FORMAT,
            "version": VERSION,
            "capture": {"name": content.capture, "fingerprint": content.fingerprint},
            "grid": {
                "lo_w": spec.lo_w.tolist(), "voxel": spec.voxel, "dims": list(spec.dims), "key": content.places.key
            },
            "classes": [to_json(c) for c in state.palette],
            "runs": _runs(content).tolist(),
            **things,
        },
    )  # fmt: skip
    return []


def _runs(content: Content) -> NDArray[np.int64]:
    state, index = content.state, content.places.index
    rows = np.flatnonzero((state.labels != 0) | (state.instances != 0))
    columns = np.concatenate(
        [index[rows], state.labels[rows, None], state.instances[rows, None]], axis=1, dtype=np.int64
    )
    columns = columns[np.lexsort(columns[:, 2::-1].T)]
    begins = np.ones(len(columns), np.bool_)
    step = np.diff(columns, axis=0)
    begins[1:] = (step[:, [0, 1, 3, 4]] != 0).any(axis=1) | (step[:, 2] != 1)
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, len(columns)))
    return np.concatenate([columns[first, :3], length[:, None], columns[first, 3:]], axis=1)


def read_own(path: Path) -> Incoming:
    """What ``write_own`` wrote.

    Raises:
        AnnotationError: it cannot be read, is malformed, or of a newer version.
    """
    expected = f"the format '{FORMAT}', version {VERSION}"
    told = read_json(path)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise malformed(path, f"the format {told.get('format')!r}" if isinstance(told, dict) else "a list", expected)
    check_version(path, told.get("version"), VERSION)
    try:
        return _parse(path, told)
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as e:
        raise malformed(path, e, expected) from e


def _parse(path: Path, told: dict[str, Any]) -> Incoming:
    grid = told["grid"]
    spec = GridSpec(np.array(grid["lo_w"], np.float64), float(grid["voxel"]), tuple(grid["dims"]))
    runs = np.array(told["runs"] or np.zeros((0, 6)), dtype=np.float64).reshape(-1, 6)
    if not (runs == np.floor(runs)).all() or (runs < 0).any() or (runs[:, 3] < 1).any():
        raise ValueError("a run that is no whole numbers")
    if (runs[:, 4] > 0xFFFF).any() or (runs[:, 5] > 0xFFFFFFFF).any() or runs[:, 3].sum() > MAX_CELLS:
        raise ValueError("a run whose numbers are too large")
    runs = runs.astype(np.int64)
    end = runs[:, :3] + np.stack([np.ones_like(runs[:, 3])] * 2 + [runs[:, 3]], axis=1)
    if (end > np.array(spec.dims)).any():
        raise ValueError("a run that leaves the grid")
    length = runs[:, 3]
    index = np.repeat(runs[:, :3], length, axis=0)
    index[:, 2] += np.arange(len(index)) - np.repeat(np.cumsum(length) - length, length)
    classes = [of_json("class", d) for d in told["classes"]]
    things: list[Thing] = [of_json(kind, d) for name, kind in _LISTS.items() for d in told[name]]
    return Incoming(
        path,
        tuple(c for c in classes if isinstance(c, LabelClass)),
        np.repeat(runs[:, 4], length).astype(np.uint16),
        np.repeat(runs[:, 5], length).astype(np.uint32),
        spec.to_world(index + 0.5),
        key=str(grid["key"]),
        fingerprint=str(told["capture"]["fingerprint"]),
        things=tuple(things),
    )
