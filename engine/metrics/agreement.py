"""Where the 2D and the 3D features of a capture disagree: photo by photo, place by place.

The features on the scene's voxels are marched into each photo and compared with the photo's own, pixel by pixel. Raw
cosines flatter (a constant agrees with itself), so the centred cosine stands beside them: both sides less their mean
over all photos. It says whether a scene is well understood as it is shown, not how well an encoder generalises: every
photo is one of those that spoke for the voxels. For that there is ``engine.metrics.consistency``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import cv2
import numpy as np
from cmap import Colormap
from numpy.typing import NDArray
from PIL import Image

from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.march import render_table
from engine.storage import write_atomic

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.features import ViewFeatureSet
    from engine.lifted import LiftedOn

OPAQUE = 0.5
"""A ray that meets less of the scene than this has no 3D feature."""
WORST = 3
WINDOW = 7
"""Cells on a side of the places that are looked at as one."""
LEAST_COVERED = 0.5
"""Of a window's cells that must have a cosine."""
MAP = "viridis"
PICTURE_SIDE = 448


class Place(NamedTuple):
    """A window about full-size pixel (x, y) and its mean cosine."""

    x: float
    y: float
    cosine: float


class Row(TypedDict):
    """A photo's line in a table: mean cosine, percentiles, mean of centred features, share of cells with a cosine."""

    view: int
    name: str
    mean: float | None
    p05: float | None
    p50: float | None
    p95: float | None
    centred: float | None
    covered: float


@dataclass(frozen=True, eq=False)
class ViewAgreement:
    """Of one photo.

    Attributes:
        view: its index.
        name: of its file.
        cosine: (h, w) float32 on the feature map's cells, NaN where the ray meets little of the scene.
        centred: the same with both sides less their means.
        marched: (h, w, D) float32, what the scene says there; unit length, zero where it says nothing.
        worst: where it is lowest, the lowest first.
    """

    view: int
    name: str
    cosine: Float32
    centred: Float32
    marched: Float32
    worst: tuple[Place, ...]

    def row(self) -> Row:
        """Its line in a table."""
        known = self.cosine[np.isfinite(self.cosine)]
        centred = self.centred[np.isfinite(self.centred)]
        low, middle, high = np.quantile(known, [0.05, 0.5, 0.95]) if len(known) else (None, None, None)
        return {
            "view": self.view,
            "name": self.name,
            "mean": _rounded(known.mean() if len(known) else None),
            "p05": _rounded(low),
            "p50": _rounded(middle),
            "p95": _rounded(high),
            "centred": _rounded(centred.mean() if len(centred) else None),
            "covered": round(len(known) / self.cosine.size, 4),
        }


def _rounded(x: float | None) -> float | None:
    return None if x is None else round(float(x), 4)


class Comparison:
    """Compares photos with the scene, one at a time.

    Args:
        capture: whose photos they are.
        features: of the photos.
        lifted: of the scene.
    """

    def __init__(self, capture: Capture, features: ViewFeatureSet, lifted: LiftedOn) -> None:
        self._capture, self._features, self._lifted = capture, features, lifted
        known = lifted.weight > 0
        self._table = lifted.features(np.arange(len(known)))
        self._table[~known] = 0
        self._mean_3d = self._table[known].mean(axis=0) if known.any() else np.zeros(features.dim, np.float32)
        means = [features.bank.map(v).reshape(-1, features.dim).mean(axis=0) for v in features.views()]
        self._mean_2d = np.mean(means, axis=0)

    def view(self, view: int) -> ViewAgreement:
        """Of one encoded photo."""
        photo = self._features.bank.map(view)
        h, w, _ = photo.shape
        info = self._capture.views[view]
        image, opacity, _ = render_table(self._lifted.grid, self._table, info.camera.scaled(w, h))
        length = np.linalg.norm(image, axis=2)
        seen = (opacity > OPAQUE) & (length > 1e-6)
        marched = np.where(seen[..., None], image / np.maximum(length, 1e-12)[..., None], np.float32(0))
        cosine = _cosine(photo, marched, seen)
        centred = _cosine(photo - self._mean_2d, marched - self._mean_3d, seen)
        places = [Place(x * info.camera.width, y * info.camera.height, c) for x, y, c in worst_places(cosine)]
        return ViewAgreement(view, info.name, cosine, centred, marched, tuple(places))


def view_agreements(capture: Capture, features: ViewFeatureSet, lifted: LiftedOn) -> Job[list[ViewAgreement]]:
    """Compare every encoded photo with the scene; those that agree least come first."""
    comparison, views, out = Comparison(capture, features, lifted), features.views(), list[ViewAgreement]()
    for done, view in enumerate(views):
        yield Progress(done, len(views), "views", capture.views[view].name)
        out.append(comparison.view(view))
    return sorted(out, key=lambda a: (np.inf if (m := a.row()["mean"]) is None else float(m), a.view))


def _cosine(a: Float32, b: Float32, seen: NDArray[np.bool_]) -> Float32:
    length = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    return np.where(seen, (a * b).sum(axis=2) / np.maximum(length, 1e-12), np.float32(np.nan)).astype(np.float32)


def worst_places(cosine: Float32, count: int = WORST, window: int = WINDOW) -> list[tuple[float, float, float]]:
    """The windows (relative x, relative y, mean cosine) that agree least, none overlapping a worse one's middle.

    They lie within the photo as a whole: beyond its edge an encoder sees nothing, and there it is always worst.

    Args:
        cosine: (h, w), NaN where unknown; a window half of which is unknown is passed over.
        count: at most so many.
        window: cells on a side, odd.
    """
    known = np.isfinite(cosine)
    share = cv2.blur(known.astype(np.float32), (window, window), borderType=cv2.BORDER_CONSTANT)
    total = cv2.blur(np.where(known, cosine, 0).astype(np.float32), (window, window), borderType=cv2.BORDER_CONSTANT)
    (h, w), half = cosine.shape, window // 2
    whole = np.zeros((h, w), np.bool_)
    whole[half : h - half, half : w - half] = True
    mean = np.where(whole & (share >= LEAST_COVERED), total / np.maximum(share, 1e-6), np.inf)
    out: list[tuple[float, float, float]] = []
    while len(out) < count and np.isfinite(mean).any():
        y, x = np.unravel_index(int(mean.argmin()), mean.shape)
        out.append(((int(x) + 0.5) / w, (int(y) + 0.5) / h, float(mean[y, x])))
        mean[max(0, y - window) : y + window + 1, max(0, x - window) : x + window + 1] = np.inf
    return out


def write_table(path: Path, found: Sequence[ViewAgreement]) -> None:
    """Write the rows as CSV.

    Raises:
        CacheError: the file cannot be written.
    """
    rows = [a.row() for a in found]
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["view"])
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, lambda tmp: tmp.write_text(text.getvalue(), encoding="utf-8") and None)


def write_picture(path: Path, capture: Capture, features: ViewFeatureSet, found: ViewAgreement) -> None:
    """Write photo, its features, the scene's, and the cosine from 0 to 1, side by side, as PNG.

    Raises:
        CaptureError: the photo cannot be read.
        CacheError: the file cannot be written.
    """
    assert features.basis is not None
    rgb = capture.read(found.view, max_side=PICTURE_SIDE).rgb
    seen = np.isfinite(found.cosine)
    marched = np.where(seen[..., None], features.basis.apply(found.marched), np.uint8(0))
    parts = [rgb, features.colours(found.view), marched, cosine_colours(found.cosine)]
    side = (rgb.shape[1], rgb.shape[0])
    whole = np.concatenate(
        [np.asarray(Image.fromarray(p).resize(side, Image.Resampling.NEAREST)) for p in parts], axis=1
    )
    write_atomic(path, lambda tmp: Image.fromarray(whole).save(tmp, format="PNG"))


def cosine_colours(cosine: Float32) -> UInt8:
    """(h, w) cosines from 0 to 1 in a perceptual map, black where unknown: (h, w, 3)."""
    level = np.asarray(Colormap(MAP)(np.clip(np.nan_to_num(cosine), 0, 1)))[..., :3]
    return np.round(np.where(np.isfinite(cosine)[..., None], level, 0) * 255).astype(np.uint8)
