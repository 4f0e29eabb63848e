"""Depth images: z along the camera axis, from 16-bit images, float images, npy and npz."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.api.errors import CaptureError

Float32 = NDArray[np.float32]

FORMATS = ("PNG", "TIFF", "PPM")
ARRAYS = (".npy", ".npz")
KEYS = ("z", "depth", "arr_0")
UNKNOWN = 65535
MAX_PIXELS = 64_000_000
FARTHEST = 1e9


@dataclass(frozen=True)
class DepthFile:
    """A depth image and its units.

    Attributes:
        path: .png, .tif, .pgm, .npy or .npz (key ``z`` or ``depth``, else the only one).
        integer_unit: world units per count, for files of integers.
        float_unit: world units per 1.0, for files of floats.

    Arrays (.npy, .npz) are read as depth of the *undistorted* photo, images as depth of the photo as it is: sensors
    register depth to their photos, while multi-view stereo works on undistorted images and writes floats.
    """

    path: Path
    integer_unit: float
    float_unit: float

    @property
    def of_undistorted(self) -> bool:
        """Whether the depth belongs to the undistorted photo."""
        return self.path.suffix.lower() in ARRAYS

    def size(self) -> tuple[int, int]:
        """(width, height) from the header alone.

        Raises:
            CaptureError: not a depth image, or too large.
        """
        try:
            if self.of_undistorted:
                with _numpy_stream(self.path) as stream:
                    shape, _, _ = _header(stream)
                size = (shape[1], shape[0])
            else:
                with Image.open(self.path, formats=FORMATS) as image:
                    size = image.size
            _check_count(size)
        except Exception as e:  # decoders raise anything at all on damaged bytes
            raise self._unreadable(e) from e
        return size

    def read(self) -> Float32:
        """(H, W) float32 in world units; 0 where nothing was measured: zero, negative, NaN or infinite in the
        file, or 65535 in 16-bit files (7-Scenes, RealSense).

        Raises:
            CaptureError: truncated or damaged.
        """
        try:
            values = self._values()
        except Exception as e:  # decoders raise anything at all on damaged bytes
            raise self._unreadable(e) from e
        if values.dtype.itemsize == 2 and values.dtype.kind == "u":
            values = np.where(values == UNKNOWN, 0, values)
        unit = self.integer_unit if np.issubdtype(values.dtype, np.integer) else self.float_unit
        with np.errstate(over="ignore", invalid="ignore"):
            z = values.astype(np.float32) * np.float32(unit)
            return np.where((z > 0) & (z < FARTHEST), z, np.float32(0))

    def _values(self) -> NDArray[Any]:
        if self.of_undistorted:
            with _numpy_stream(self.path) as stream:
                shape, dtype, order = _header(stream)
                _check_count((shape[1], shape[0]))
                count = shape[0] * shape[1]
                data = stream.read(count * dtype.itemsize)
            return np.frombuffer(data, dtype, count).reshape(shape, order=order)
        with Image.open(self.path, formats=FORMATS) as image:
            _check_count(image.size)
            if image.mode not in ("I;16", "I;16B", "I", "F", "L"):
                raise ValueError(f"an image of mode {image.mode} holds colours, not depth")
            return np.asarray(image)

    def _unreadable(self, e: Exception) -> CaptureError:
        return CaptureError(
            "the depth image cannot be read",
            path=self.path,
            found=(str(e).splitlines() or [""])[0] or type(e).__name__,
            expected="a 16-bit PNG or TIFF, or a 2-D array in .npy or .npz",
        )


def _check_count(size: tuple[int, int]) -> None:
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{size[0]} × {size[1]} pixels")


class _numpy_stream:
    """Open the array's bytes in an .npy file or in the right member of an .npz archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[Any] = []

    def __enter__(self) -> IO[bytes]:
        if self._path.suffix.lower() == ".npy":
            self._open = [self._path.open("rb")]
        else:
            archive = zipfile.ZipFile(self._path)
            self._open = [archive]
            names = archive.namelist()
            keyed = [f"{k}.npy" for k in KEYS if f"{k}.npy" in names] or names
            if not keyed:
                raise ValueError("the archive is empty")
            self._open.append(archive.open(keyed[0]))
        return self._open[-1]

    def __exit__(self, *_: object) -> None:
        for f in reversed(self._open):
            f.close()


def _header(stream: IO[bytes]) -> tuple[tuple[int, int], np.dtype[Any], Literal["C", "F"]]:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read(stream)
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        shape = shape[1:] if shape[0] == 1 else shape[:2]
    if len(shape) != 2 or dtype.hasobject or dtype.kind not in "fiu":
        raise ValueError(f"an array of shape {shape} and type {dtype}, not a 2-D array of numbers")
    return shape, dtype, "F" if fortran else "C"
