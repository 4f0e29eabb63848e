"""LLFF: ``poses_bounds.npy`` beside a folder of photos.

Each row is 17 numbers: a 3×5 matrix, row by row, and the near and far depth of the scene in that view. The matrix is
camera-to-world with columns (down, right, backward, position) and a last column (height, width, focal length)
(Mildenhall et al., Local Light Field Fusion, 2019). Row i belongs to the i-th photo in the order of names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.captures.files import is_dir, photos_in
from engine.captures.frames import Contents, FrameCollector, Intrinsics

AXES = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]], np.float64)
"""(down, right, backward) to OpenCV's (right, down, forward): c2w_cv = c2w_llff @ this."""
FOLDERS = ("images", "images_2", "images_4", "images_8", "png")
MAX_BYTES = 64 << 20


def read(path: Path, frames: FrameCollector) -> Contents:
    """Read a ``poses_bounds.npy``.

    Raises:
        CaptureError: not such an array, or another number of photos than rows.
    """
    rows = _rows(path)
    root = path.parent
    folders = [f for name in FOLDERS if is_dir(f := root / name)] or [root]
    listed = {f: photos_in(f) for f in folders}
    photos = next((p for p in listed.values() if len(p) == len(rows)), None)
    if photos is None:
        raise CaptureError(
            "photos and poses cannot be paired",
            path=path,
            found=f"{len(rows)} poses, and " + ", ".join(f"{len(p)} photos in {f.name}" for f, p in listed.items()),
            expected="as many photos as poses, paired in the order of names",
        )
    near_far = []
    for row, photo in zip(rows, photos, strict=True):
        matrix, (near, far) = row[:15].reshape(3, 5), row[15:]
        height, width, focal = matrix[:, 4]
        kept = frames.add(
            photo.relative_to(root).as_posix(),
            photo,
            matrix[:, :4],
            lambda f=focal, w=width, h=height: _intrinsics(f, w, h),
            axes=AXES,
        )
        if kept:
            near_far.append((near, far))
    sound = all(np.isfinite(nf).all() and 0 < nf[0] < nf[1] < 1e9 for nf in near_far)
    if not sound:
        frames.notes.count("near/far tables ignored, not 0 < near < far", path.name)
    return Contents("llff", root, (path,), near_far=tuple(near_far) if sound else None)


def _intrinsics(focal: float, width: float, height: float) -> Intrinsics:
    if not np.isfinite([focal, width, height]).all():
        raise ValueError("the intrinsics are not finite")
    return Intrinsics(fl_x=float(focal), width=float(width), height=float(height))


def _rows(path: Path) -> NDArray[np.float64]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size >> 20} MiB")
        rows = np.load(path, allow_pickle=False)
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 17 or rows.dtype.kind not in "fiu":
            raise ValueError(f"shape {getattr(rows, 'shape', None)}")
        return rows.astype(np.float64)
    except Exception as e:  # damaged headers raise anything at all
        raise CaptureError(
            "is not a poses_bounds.npy",
            path=path,
            found=(str(e).splitlines() or [""])[0] or type(e).__name__,
            expected="an array of N rows of 17 numbers",
        ) from e
