"""ScanObjectNN (Uy et al., 2019): ``training_*.h5`` and ``test_*.h5`` of points ``data`` (N, P, 3) and ``label`` (N,).

``mask`` (N, P), where it is there, is -1 for points of the background; they are left in, as in the published measure of
objects with background. Needs h5py (``pip install "condense-studio[hdf5]"``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.api.errors import CaptureError, ResourceError
from engine.api.jobs import Job, Progress
from engine.captures.geometry import GREY, MAX_BYTES
from engine.storage import digest
from engine.tasks import Up
from engine.tasks.folders import Labelled
from engine.tasks.shapes import Shape, shape_of

NAMES = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed", "pillow", "sink",
    "sofa", "toilet",
)  # fmt: skip
SPLITS = ("training", "test")


def is_scanobjectnn(folder: Path) -> bool:
    """Whether a folder holds HDF5 files."""
    return folder.is_dir() and any(folder.glob("*.h5"))


def read_scanobjectnn(folder: Path, up: Up) -> Job[Labelled]:
    """Read all objects; those without shape are counted and passed over.

    Raises:
        CaptureError: a split has no file or more than one, a file cannot be read, or a class is empty in one split.
        ResourceError: h5py is not installed.
    """
    paths = [_one(folder, split) for split in SPLITS]
    shapes: list[Shape] = []
    label: list[int] = []
    test: list[bool] = []
    broken: list[tuple[str, str]] = []
    for side, path in enumerate(paths):
        points, labels = read_hdf5(path)
        for n, (pos, k) in enumerate(zip(points, labels.tolist(), strict=True)):
            try:
                if not 0 <= k < len(NAMES):
                    raise ValueError(f"the class {k}")
                shapes.append(shape_of(pos.astype(np.float64), np.full(pos.shape, GREY, np.uint8), _up(up)))
            except ValueError as e:
                broken.append((f"{path.name}, object {n}", str(e)))
                continue
            label.append(k)
            test.append(bool(side))
            if n % 64 == 0:
                yield Progress(n, len(points), "objects", path.name)
    return _labelled(folder, paths, shapes, np.array(label, np.int64), np.array(test, np.bool_), broken)


def read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, P, 3) points and (N,) int64 labels.

    Raises:
        CaptureError: it cannot be read, is too large, or holds something else.
        ResourceError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as e:
        mend = 'pip install "condense-studio[hdf5]"'
        raise ResourceError("HDF5 files are read by h5py, which is not installed", path=path, mend=mend) from e
    try:
        with h5py.File(path, "r") as f:
            for name in ("data", "label"):
                if not isinstance(f.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"no {name}, or one in another file")
            data, label = f["data"], f["label"]
            if data.ndim != 3 or data.shape[2] != 3 or data.dtype.kind != "f" or label.dtype.kind not in "iu":
                raise ValueError(f"data of shape {data.shape}, {data.dtype}; label of {label.dtype}")
            if label.shape not in ((len(data),), (len(data), 1)) or data.size * 8 > MAX_BYTES:
                raise ValueError(f"data of shape {data.shape}, label of shape {label.shape}")
            return data[()], label[()].reshape(-1).astype(np.int64)
    except Exception as e:  # a damaged file raises anything at all
        raise CaptureError(
            "the objects cannot be read",
            path=path,
            found=(str(e).splitlines() or [""])[0][:200] or type(e).__name__,
            expected="HDF5 with data (N, P, 3) and label (N,), as ScanObjectNN has them",
        ) from e


def _one(folder: Path, split: str) -> Path:
    found = sorted(folder.glob(f"{split}*.h5"))
    if len(found) != 1:
        raise CaptureError(
            f"has no one file to {split.removesuffix('ing')} with",
            path=folder,
            found=", ".join(f.name for f in found)[:200] or f"no {split}*.h5",
            expected="such as training_objectdataset.h5 and test_objectdataset.h5",
            mend="put one variant of the data set into a folder of its own",
        )
    return found[0]


def _up(up: Up) -> Up:
    return "y" if up == "auto" else up


def _labelled(
    folder: Path,
    paths: list[Path],
    shapes: list[Shape],
    label: np.ndarray,
    test: np.ndarray,
    broken: list[tuple[str, str]],
) -> Labelled:
    used = list(_used(folder, label, test, broken))
    place = np.full(len(NAMES), -1)
    place[used] = np.arange(len(used))
    key = digest(*(f"{p.name}|{p.stat().st_size}|{p.stat().st_mtime_ns}" for p in paths))
    return Labelled(tuple(NAMES[k] for k in used), tuple(shapes), place[label], test, tuple(broken), key)


def _used(folder: Path, label: np.ndarray, test: np.ndarray, broken: list[tuple[str, str]]) -> Iterator[int]:
    """The classes that are there, each in both splits."""
    there = [np.bincount(label[test == bool(side)], minlength=len(NAMES)) for side in (0, 1)]
    if not (there[0].sum() and there[1].sum()):
        found = f"{there[0].sum()} objects to train with, {there[1].sum()} to test" + "".join(
            f"; {name}: {why}" for name, why in broken[:1]
        )
        raise CaptureError("a split is empty", path=folder, found=found)
    for k, (train, tested) in enumerate(zip(*there, strict=True)):
        if bool(train) != bool(tested):
            split = "test" if train else "train"
            mend = f"choose files of one variant, or take the {train or tested} objects out"
            raise CaptureError(f"the class '{NAMES[k]}' has nothing to {split} with", path=folder, mend=mend)
        if train:
            yield k
