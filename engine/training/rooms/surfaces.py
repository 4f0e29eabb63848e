"""What walls, floors and pictures are made of: paint, boards, cloth, and photos as wallpaper and prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.api.errors import CaptureError
from engine.training.rooms import shapes
from engine.training.rooms.mesh import Float32, Material, to_linear

UInt8 = NDArray[np.uint8]

PHOTO_SIDE = 256
MOST_PHOTOS = 400
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def read_photos(folder: Path) -> list[UInt8]:
    """The photos in a folder, in order of name, each (h, w, 3) uint8 with its short side about ``PHOTO_SIDE``.

    Damaged ones are passed over, and beyond ``MOST_PHOTOS`` they are thinned evenly.

    Raises:
        CaptureError: no folder, or no photo in it that can be read.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
    except OSError as e:
        raise CaptureError("is not a folder of photos", path=folder, found=str(e), mend="check --photos") from e
    some = np.unique(np.linspace(0, len(paths) - 1, MOST_PHOTOS).round().astype(int)) if paths else []
    photos = [photo for i in some if (photo := _read(paths[i])) is not None]
    if not photos:
        raise CaptureError(
            "holds no photo for the walls",
            path=folder,
            found=f"{len(paths)} JPEG or PNG files",
            mend="give --photos a folder with at least one photo that can be read",
        )
    return photos


def _read(path: Path) -> UInt8 | None:
    try:
        with Image.open(path) as image:
            scale = PHOTO_SIDE / min(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image.draft("RGB", size)
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX))
    except Exception:  # decoders raise anything at all on damaged bytes
        return None


def surface(photos: Sequence[UInt8], rng: np.random.Generator) -> Material:
    """Plaster, boards, cloth, wood, checks, or a photo faded towards paint like a wallpaper."""
    colour = random_colour(rng)
    kind = rng.integers(7)
    if kind == 0:
        return shapes.printed("boards", shapes.planks(rng))
    if kind == 1:
        return shapes.printed("cloth", shapes.weave(rng, colour))
    if kind == 2:
        return shapes.printed("wood", shapes.wood(rng, colour))
    if kind == 3:
        return shapes.printed("pattern", _pattern(rng, colour, random_colour(rng)))
    shade = shapes.smooth_noise((128, 128), (9, 15), rng)[..., None] - 0.5
    plain = (to_linear(colour) * (1 + 0.15 * shade)).astype(np.float32)
    if kind == 4:
        return shapes.printed("plaster", plain)
    strength = rng.uniform(0.15, 0.6)
    papered = strength * photo_square(photos, 128, rng) + (1 - strength) * plain
    return shapes.printed("wallpaper", papered.astype(np.float32))


def random_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """An sRGB colour as walls and cloth have it: mostly pale, some of it strong."""
    spread = 0.08 if rng.random() < 0.7 else 0.22
    r, g, b = np.clip(rng.uniform(0.35, 0.9) + rng.normal(0, spread, 3), 0.08, 0.97)
    return float(r), float(g), float(b)


def photo_square(photos: Sequence[UInt8], size: int, rng: np.random.Generator) -> Float32:
    """(size, size, 3) linear, first row at the bottom: a square cut at random from a random photo."""
    photo = photos[int(rng.integers(len(photos)))]
    side = max(1, int(min(photo.shape[:2]) * rng.uniform(0.5, 1)))
    top, left = (int(rng.integers(n - side + 1)) for n in photo.shape[:2])
    square = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return to_linear(square[::-1].astype(np.float32) / 255)


def _pattern(rng: np.random.Generator, a: tuple[float, float, float], b: tuple[float, float, float]) -> Float32:
    """Tiles, stripes or checks in two colours, (128, 128, 3) linear."""
    y, x = np.mgrid[:128, :128]
    n = int(2 ** rng.integers(2, 5))  # of them along a side
    step = 128 // n
    kind = rng.integers(3)
    if kind == 0:
        mask = (x % step < 2) | (y % step < 2)
    elif kind == 1:
        mask = x // step % 2 == 0
    else:
        mask = (x // step + y // step) % 2 == 0
    shade = 1 + 0.12 * (shapes.smooth_noise((128, 128), (16, 16), rng)[..., None] - 0.5)
    return (np.where(mask[..., None], to_linear(b), to_linear(a)) * shade).astype(np.float32)
