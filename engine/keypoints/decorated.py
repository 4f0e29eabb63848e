"""The few points that stand for a scene: local maxima of the keypoint scores over its voxels, decorated.

The score of a voxel is the mean of the photos' scores k2 where it projects, weighted by how much of its light reaches
each photo, as features are lifted: what many photos find from many sides is high, what one photo finds alone is not.
Our form: the 3D encoder's own score k3 knows blocks of voxels alone. Of 1024 keypoints by this score, .73 (demo) and
.65 (a living room) of those a view sees lie within 3 px of one of its 512 own keypoints; by k3 .16 and .15, of random
voxels .08 and .10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.errors import CaptureError, QueryError
from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.captures.upright import quarter_turns
from engine.grid.lift import LiftAccumulator
from engine.keypoints.detect import keypoints_3d
from engine.keypoints.network import LOCAL_DIM, KeypointDetector, load_keypoints
from engine.march import visible
from engine.results import FORMAT, ResultStore
from engine.storage import Tensors, digest, write_atomic, write_tensors

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.lifted import LiftedOn

LEAST, MOST = 1, 1 << 16
MOST_SHOWN = 4096
"""Keypoints that the window finds; it shows as many of the best as it is asked to."""
READ_SIDE = 640
RADIUS_VOXELS = 2.5
"""Of the suppression: the next two voxels on each side."""
LEAST_VIEWS = 2
"""Photos that must see a keypoint, where there are so many: what one alone sees cannot be found again."""
SPARE = 2
"""Times the asked number that are looked at, for some are seen by too few."""


@dataclass(frozen=True, eq=False)
class KeypointSet:
    """K decorated keypoints, by falling score.

    Attributes:
        pos_w: (K, 3) float32 centres of their voxels, world units.
        score: (K,) float32 in [0, 1].
        features: (K, D) float32 of unit length: the scene's features there.
        local: (K, L) float32 of unit length: what the keypoint network says of the photos there.
        rgb: (K, 3) uint8.
        seen: (K, N) bool, which of the capture's N photos see each.
    """

    pos_w: Float32
    score: Float32
    features: Float32
    local: Float32
    rgb: UInt8
    seen: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.score)

    @property
    def views(self) -> NDArray[np.int32]:
        """(K,) how many photos see each."""
        return self.seen.sum(axis=1, dtype=np.int32)

    def best(self, count: int) -> KeypointSet:
        """The first ``count`` of them."""
        return KeypointSet(**{name: array[:count] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def decorate(
    capture: Capture, lifted: LiftedOn, detector: KeypointDetector, count: int, radius_voxels: float = RADIUS_VOXELS
) -> Job[KeypointSet]:
    """Find and decorate the keypoints of a scene.

    Args:
        capture: with photos; one that cannot be read does not speak.
        lifted: the features of the scene's V voxels.
        detector: of the photos' keypoints.
        count: K at most; fewer when the scene has no more.
        radius_voxels: none lies nearer than this to a better one.

    Raises:
        QueryError: ``count`` or ``radius_voxels`` makes no sense.
        CaptureError: not one photo can be read.
    """
    if not (LEAST <= count <= MOST and 0 <= radius_voxels < 1e6):
        found = f"{count} keypoints, {radius_voxels:g} voxels apart"
        raise QueryError("so many keypoints cannot be had", found=found, expected=f"{LEAST} to {MOST}")
    grid = lifted.grid
    scores, local = LiftAccumulator(grid, 1), LiftAccumulator(grid, LOCAL_DIM)
    wrong: list[str] = []
    for done, view in enumerate(capture.views):
        yield Progress(done, len(capture.views), "views", "scoring voxels")
        try:
            rgb = capture.read(view.index, max_side=READ_SIDE).rgb
        except CaptureError as e:
            wrong.append(e.text())
            continue
        turns = quarter_turns(view.camera, capture.up_w)
        logits, described = detector.maps(np.ascontiguousarray(np.rot90(rgb, turns)))
        yield Progress(done, len(capture.views), "views", "scoring voxels")
        for into, values in ((scores, logits.sigmoid()[..., None]), (local, described)):
            as_it_lies = np.ascontiguousarray(np.rot90(values.cpu().numpy(), -turns))
            yield from _each(into.add_slices(view.camera, as_it_lies))
    if len(wrong) == len(capture.views):
        mend = "choose a capture with photos"
        raise CaptureError("no photo to find keypoints in", path=capture.path, found="; ".join(wrong[:1]), mend=mend)
    score = scores.average()[:, 0]
    score[(lifted.weight <= 0) | (scores.weight <= 0)] = np.nan  # never chosen
    rows = keypoints_3d(grid.index.astype(np.float32), score, SPARE * count, radius_voxels)
    seen = np.zeros((len(rows), len(capture.views)), np.bool_)
    for done, view in enumerate(capture.views):
        yield Progress(done, len(capture.views), "views", "decorating")
        seen[:, done] = visible(grid, view.camera, grid.spec.to_world(grid.index[rows] + 0.5))
    good = np.flatnonzero(seen.sum(axis=1) >= min(LEAST_VIEWS, len(capture.views)))[:count]
    rows, seen = rows[good], seen[good]
    pos_w = grid.spec.to_world(grid.index[rows] + 0.5)
    described = local.part(slice(None))[0][rows]
    colour = np.round(255 * np.clip(grid.rgb[rows], 0, 1)).astype(np.uint8)
    return KeypointSet(pos_w.astype(np.float32), score[rows], lifted.features(rows), described, colour, seen)


def stored_or_decorated(
    capture: Capture, lifted: LiftedOn, features_key: str, store: ResultStore, device: torch.device
) -> Job[KeypointSet]:
    """The ``MOST_SHOWN`` keypoints of a capture: those in the store, if they are of the same voxels and features."""
    grid = lifted.grid
    detector = load_keypoints(device)
    yield Progress(0, 0, "views", "scoring voxels")
    key = digest(
        grid.index.tobytes(), grid.sigma.tobytes(), features_key, detector.id, str((MOST_SHOWN, RADIUS_VOXELS))
    )
    name = f"keypoints-{digest(features_key)}.safetensors"
    stored = store.read(name, capture.fingerprint)
    if stored is not None and stored[1].get("key") == key:
        found = _parse(stored[0], len(capture.views))
        if found is not None:
            return found
    found = yield from decorate(capture, lifted, detector, MOST_SHOWN)
    if grid.meta.get("capture") == capture.fingerprint:  # not a grid that is still being fitted
        meta = {"format": FORMAT, "capture": capture.fingerprint, "key": key}
        write_tensors(store.write_path(name), found.arrays(), meta)
    return found


def _parse(tensors: Tensors, views: int) -> KeypointSet | None:
    """Keypoints as they were written, or None if they cannot be."""
    kinds = {"pos_w": "f4", "score": "f4", "features": "f4", "local": "f4", "rgb": "u1", "seen": "b1"}
    if set(tensors) != set(kinds) or any(tensors[k].dtype != np.dtype(v) for k, v in kinds.items()):
        return None
    count = len(tensors["score"])
    widths = {"pos_w": (3,), "score": (), "rgb": (3,), "seen": (views,)}
    fits = all(len(t) == count for t in tensors.values()) and all(tensors[k].shape[1:] == w for k, w in widths.items())
    finite = all(np.isfinite(t).all() for t in tensors.values() if t.dtype.kind == "f")
    flat = tensors["features"].ndim == tensors["local"].ndim == 2
    return KeypointSet(**tensors) if fits and finite and flat else None


def _each(slices: Iterator[None]) -> Job[None]:
    for _ in slices:
        yield Progress(0, 0, "views", "scoring voxels")


def write_keypoints(path: Path, found: KeypointSet) -> None:
    """Write keypoints in the format that the file's name ends in.

    ``.ply``: positions, colours, score and views. ``.npz``: everything. ``.txt``: as COLMAP's ``points3D.txt``, without
    tracks; the error, which ours do not have, is 1 - score.

    Raises:
        QueryError: the name ends in something else.
        CacheError: the file cannot be written.
    """
    writer = check_target(path)
    write_atomic(path, lambda tmp: writer(tmp, found))


def check_target(path: Path) -> Callable[[Path, KeypointSet], None]:
    """The writer of the format that a name ends in.

    Raises:
        QueryError: there is none.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise QueryError(
            "keypoints are not written in this format",
            path=path,
            found=path.suffix or "no ending",
            expected=", ".join(WRITERS),
        )
    return writer


def _ply(path: Path, found: KeypointSet) -> None:
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    rows = np.zeros(len(found), dtype=[*fields, ("score", "<f4"), ("views", "<i4")])
    for axis, name in enumerate("xyz"):
        rows[name] = found.pos_w[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        rows[name] = found.rgb[:, channel]
    rows["score"], rows["views"] = found.score, found.views
    kinds = {"f4": "float", "u1": "uchar", "i4": "int"}
    lines = [f"property {kinds[np.dtype(rows.dtype[n]).str[1:]]} {n}" for n in rows.dtype.names or ()]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(found)}", *lines, "end_header", ""]
    path.write_bytes("\n".join(head).encode("ascii") + rows.tobytes())


def _npz(path: Path, found: KeypointSet) -> None:
    with path.open("wb") as f:  # numpy would add its own ending to a name
        np.savez(f, **found.arrays())


def _colmap(path: Path, found: KeypointSet) -> None:
    lines = ["# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]"]
    for n, (pos, rgb, score) in enumerate(zip(found.pos_w, found.rgb, found.score, strict=True), start=1):
        numbers = [*(f"{p:.9g}" for p in pos), *map(str, rgb), f"{1 - score:.6g}"]
        lines.append(f"{n} {' '.join(numbers)}")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


WRITERS: dict[str, Callable[[Path, KeypointSet], None]] = {".ply": _ply, ".npz": _npz, ".txt": _colmap}
