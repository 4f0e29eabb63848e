"""Decoding of photos and masks at a working size. Every file is taken to be hostile.

EXIF orientation is not applied: poses refer to the stored pixels.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.api.errors import CaptureError

UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]

MAX_PIXELS = 170_000_000
"""Larger photos are refused; a little below the size at which Pillow itself speaks of a decompression bomb."""

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm")

# Pillow warns above this and refuses above twice as much; our own limit speaks first, in a CaptureError.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) from the header alone, in stored pixels.

    Raises:
        CaptureError: not an image, or larger than ``MAX_PIXELS``.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            size = image.size
    except Exception as e:  # decoders raise anything at all on damaged bytes
        raise _unreadable(path, e) from e
    if size[0] * size[1] > MAX_PIXELS:
        raise CaptureError(
            "the photo is too large",
            path=path,
            found=f"{size[0]} × {size[1]} pixels",
            expected=f"at most {MAX_PIXELS // 1_000_000} megapixels",
            mend="make the photos smaller; intrinsics are scaled to match",
        )
    return size


def has_alpha(path: Path) -> bool:
    """Whether the header speaks of an alpha channel; False when it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.mode in ("RGBA", "LA", "PA")
    except Exception:  # decoders raise anything at all on damaged bytes
        return False


def decode(path: Path, size: tuple[int, int], target: tuple[int, int]) -> Image.Image:
    """Decode a photo at ``target`` (width, height), antialiased. A JPEG is decoded at a half, a quarter or an eighth
    where that suffices, so that a large photo never lies in memory whole.

    Args:
        path: the photo.
        size: what the header said at opening; another size now means that the file has changed since.
        target: (width, height) wanted, of the same shape.

    Returns:
        A Pillow image of mode RGB, or RGBA when the file has transparency.

    Raises:
        CaptureError: truncated, damaged or changed.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.size != size:
                raise CaptureError(
                    "the photo has changed since the capture was opened",
                    path=path,
                    found=f"{image.size[0]} × {image.size[1]} pixels",
                    expected=f"{size[0]} × {size[1]}",
                    mend="open the capture again",
                )
            drafted = image.draft("RGB", target) if image.format == "JPEG" else None
            box = drafted[1] if drafted else (0, 0, *image.size)
            image.load()
            rgb = _to_rgb(image)
            if rgb.size == target and drafted is None:
                return rgb
            shrinks = rgb.size[0] >= target[0] and rgb.size[1] >= target[1]
            # Pillow premultiplies RGBA while it resizes.
            return rgb.resize(target, Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC, box)
    except CaptureError:
        raise
    except Exception as e:  # decoders raise anything at all on damaged bytes
        raise _unreadable(path, e) from e


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I", "F"):
        values = np.asarray(image).astype(np.float64)
        peak = 255 if values.max() <= 255 else 65535
        grey = np.clip(np.nan_to_num(values) * (255 / peak), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def remap(image: Image.Image, positions: Float32 | None) -> UInt8:
    """Take a photo through a sampling map of its own size, bilinearly.

    Args:
        image: RGB or RGBA.
        positions: (h, w, 2) as ``lens.photo_positions`` gives, NaN where there is nothing; None: leave it as it is.

    Returns:
        (h, w, 3) or, with transparency, (h, w, 4) uint8; colours are not premultiplied. Black where there is nothing.
    """
    if positions is None:
        return np.array(image)
    premultiplied = image.convert("RGBa") if image.mode == "RGBA" else image
    # OpenCV counts from the first pixel's centre.
    x, y = cv2.split(np.nan_to_num(positions * np.array(image.size, np.float32) - np.float32(0.5)))
    sampled = cv2.remap(np.asarray(premultiplied), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sampled[np.isnan(positions[..., 0])] = 0
    if image.mode != "RGBA":
        return sampled
    return np.array(Image.frombytes("RGBa", image.size, sampled.tobytes()).convert("RGBA"))


def nearest(values: NDArray, size: tuple[int, int], positions: Float32 | None) -> NDArray:
    """Sample an (H, W) array of any size at the pixels of a (width, height) photo, without interpolation.

    Pixels that ``positions`` leaves out become 0.
    """
    rows, cols = values.shape
    if positions is None:
        if (cols, rows) == size:
            return values
        y = ((np.arange(size[1]) + 0.5) * rows / size[1]).astype(np.int64)
        x = ((np.arange(size[0]) + 0.5) * cols / size[0]).astype(np.int64)
        return values[y[:, None], x[None, :]]
    where = np.nan_to_num(positions, nan=0.0)
    x = np.minimum((where[..., 0] * cols).astype(np.int32), cols - 1)
    y = np.minimum((where[..., 1] * rows).astype(np.int32), rows - 1)
    out = values[y, x]
    out[np.isnan(positions[..., 0])] = 0
    return out


def read_mask(path: Path) -> Bool:
    """(H, W) whether each pixel counts: black (0) is left out, as in nerfstudio.

    Raises:
        CaptureError: unreadable or too large.
    """
    image_size(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            mask = image if image.mode in ("1", "L", "I;16", "I") else image.convert("L")
            return np.asarray(mask) > 0
    except Exception as e:  # decoders raise anything at all on damaged bytes
        raise _unreadable(path, e) from e


def _unreadable(path: Path, e: Exception) -> CaptureError:
    return CaptureError(
        "the image cannot be read",
        path=path,
        found=(str(e).splitlines() or [""])[0] or type(e).__name__,
        expected="a whole " + ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]} file",
        mend="replace the file; frames whose photo is gone are skipped",
    )
