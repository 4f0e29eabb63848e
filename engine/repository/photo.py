"""A photo as a repository is asked for it: keypoints with the encoder's features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from engine.api.errors import QueryError
from engine.api.jobs import Job
from engine.api.scene import Float32, UInt8
from engine.captures.photos import decode, image_size
from engine.queries.bank import sample_many

if TYPE_CHECKING:
    from engine.encoders.image import ImageEncoder
    from engine.keypoints.network import KeypointDetector

READ_SIDE = 640
COUNT = 512
LEAST_SIDE = 32
LEAST_CONTRAST = 2.0
"""Standard deviation of the pixels, of 255: a photo with less shows nothing."""
FILM_WIDTH_MM = 36.0
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class PhotoQuery:
    """A photo's keypoints.

    Attributes:
        pos_px: (N, 2) in pixels of ``size``, centres at +0.5.
        descriptors: (N, D) of unit length.
        size: (width, height) of the photo as it was read.
        focal: in its pixels, if the photo tells; None: unknown.
    """

    pos_px: NDArray[np.float64]
    descriptors: Float32
    size: tuple[int, int]
    focal: float | None


def read_photo(path: Path) -> tuple[UInt8, float | None]:
    """A photo, turned upright if its EXIF says how, with its longer side at ``READ_SIDE`` at most, and its focal length
    in these pixels if its EXIF has it.

    Raises:
        CaptureError: it cannot be read.
        QueryError: it shows nothing.
    """
    width, height = image_size(path)
    scale = min(1.0, READ_SIDE / max(width, height))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = decode(path, (width, height), small).convert("RGB")
    image.getexif()[ExifTags.Base.Orientation] = told_orientation(path)
    rgb: UInt8 = np.asarray(ImageOps.exif_transpose(image))
    if min(small) < LEAST_SIDE:
        raise QueryError(
            "the photo is too small to look for", path=path, found=f"{width} x {height}",
            expected=f"{LEAST_SIDE} pixels at least, and not so narrow",
        )  # fmt: skip
    if float(rgb.std()) < LEAST_CONTRAST:
        raise QueryError("the photo shows nothing", path=path, found="one colour all over", mend="choose another photo")
    mm = film_focal(path)
    return rgb, None if mm is None else mm / FILM_WIDTH_MM * max(small)


def told_orientation(path: Path) -> int:
    """How a photo lies in its file, from EXIF: 1 to 8, 1 upright; 1 where it does not tell."""
    told = _from_exif(path, lambda exif: exif.get(ExifTags.Base.Orientation))
    return told if isinstance(told, int) and 1 <= told <= 8 else 1


def film_focal(path: Path) -> float | None:
    """Focal length as on 35 mm film, from EXIF."""
    tag = ExifTags.Base.FocalLengthIn35mmFilm
    value = _from_exif(path, lambda exif: float(exif.get_ifd(ExifTags.IFD.Exif).get(tag) or 0))
    return value if value is not None and 5 < value < 2000 else None


def _from_exif(path: Path, read: Callable[[Image.Exif], Value]) -> Value | None:
    """What a photo's EXIF tells; None where it is damaged, or there is none to open."""
    try:
        with Image.open(path) as image:
            return read(image.getexif())
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, ZeroDivisionError):
        return None


def describe_photo(
    rgb: UInt8, focal: float | None, encoder: ImageEncoder, detector: KeypointDetector, turns: int = 0
) -> Job[PhotoQuery]:
    """Keypoints of a photo (H, W, 3) with the encoder's features.

    Args:
        rgb: the photo.
        focal: in its pixels, None: unknown.
        encoder: of the features.
        detector: of the keypoints.
        turns: how often the photo is turned by ``np.rot90`` before it is looked at; keypoints are told where they are
            in the photo as it was given.
    """
    turned = np.ascontiguousarray(np.rot90(rgb, turns))
    found = detector.detect(turned, COUNT)
    features = yield from encoder.encode_slices(turned)
    height, width = rgb.shape[:2]
    rel = found.rel
    for _ in range(turns % 4):  # a quarter back: right of a turned photo is down in the one before
        rel = np.stack([1 - rel[:, 1], rel[:, 0]], axis=1)
    return PhotoQuery(rel * [width, height], sample_many(features, found.rel), (width, height), focal)
