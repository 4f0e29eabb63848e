"""Pictures one after another to a file: MP4, or a folder of PNGs. Nothing half-written stays."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
QUALITY = "18"  # of x264: 0 is lossless, 23 its own choice


class VideoWriter(Protocol):
    """Takes pictures (height, width, 3) uint8 of one size."""

    def add(self, rgb: UInt8) -> None:
        """Raises:
        OSError: it cannot be written.
        """
        ...

    def finish(self) -> None:
        """Put what was written in its place.

        Raises:
            OSError: it cannot be written.
        """
        ...

    def abandon(self) -> None:
        """Leave nothing behind."""
        ...


def video_writer(path: Path, size: tuple[int, int], fps: int) -> VideoWriter:
    """For ``path``: H.264 where it ends in .mp4, otherwise a new folder of PNGs.

    Raises:
        OSError: it cannot be written.
    """
    return Mp4(path, size, fps) if path.suffix.lower() == ".mp4" else Pictures(path)


class Mp4:
    """H.264 in yuv420p, which players everywhere show.

    Args:
        path: of the file.
        size: width and height, pixels, even.
        fps: frames a second.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        import av

        self._path, self._part = path, path.with_name(f".{path.name}.part.mp4")
        self._container: Any = av.open(str(self._part), "w")
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(fps))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": QUALITY}
        self._container.start_encoding()  # so that a place that cannot be written is told of now

    def add(self, rgb: UInt8) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def finish(self) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
        os.replace(self._part, self._path)

    def abandon(self) -> None:
        try:
            self._container.close()
        finally:
            self._part.unlink(missing_ok=True)


class Pictures:
    """00000.png, 00001.png, … in a folder that does not exist yet, or is empty."""

    def __init__(self, path: Path) -> None:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(17, "not an empty folder", str(path))
        self._path, self._part, self._count = path, path.with_name(f".{path.name}.part"), 0
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(parents=True)

    def add(self, rgb: UInt8) -> None:
        from PIL import Image

        Image.fromarray(rgb).save(self._part / f"{self._count:05}.png")
        self._count += 1

    def finish(self) -> None:
        if self._path.exists():
            self._path.rmdir()
        os.replace(self._part, self._path)

    def abandon(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)
