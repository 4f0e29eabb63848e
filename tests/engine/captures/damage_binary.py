"""Ways to damage a capture: images, arrays and COLMAP's binary files."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.engine.captures.capture_makers import HEIGHT, WIDTH
from tests.engine.captures.damage_text import Damage, edit

TRAP = Path(tempfile.gettempdir()) / "condense-ran-code-from-a-file"
"""Exists only if something was unpickled or evaluated."""


# Damage to images and arrays


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _huge_jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    data = bytearray(out.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    return bytes(data)


def _npy(array: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


def _npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


def _npz(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return out.getvalue()


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(TRAP),))


def _photo(data: bytes) -> Damage:
    return lambda folder: (folder / "images" / "000.png").write_bytes(data) and None


def _depth(name: str, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "depth" / name).write_bytes(data)
        edit(lambda d: d["frames"][0].update(depth_file_path=f"depth/{name}"))(folder)

    return damage


def _rows(change: Callable[[np.ndarray], Any]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "poses_bounds.npy"
        np.save(path, change(np.load(path)))

    return damage


def _set(rows: np.ndarray, column: int | slice, value: float) -> np.ndarray:
    rows[:, column] = value
    return rows


def array_cases() -> Iterator[tuple[str, str, Damage]]:
    photos = {
        "huge_png": _png(60_000, 60_000),
        "wide_png": _png(2_000_000_000, 1),
        "no_pixels": _png(WIDTH, HEIGHT),
        "bomb": _png(12_000, 12_000, bytes(10_000_000)),
        "other_shape": _png(90, 20, bytes((90 * 3 + 1) * 20)),
        "one_pixel": _png(1, 1, bytes(4)),
        "huge_jpeg": _huge_jpeg(),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\nshowpage\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='48'/>",
        "bmp": b"BM" + struct.pack("<IHHIIiiHH", 0, 0, 0, 54, 40, -64, -48, 1, 24) + bytes(24),
        "tiff": b"II*\0" + struct.pack("<I", 0xFFFFFFF0),
    }
    for name, data in photos.items():
        yield f"photo-{name}", "nerfstudio", _photo(data)
    z = np.ones((HEIGHT, WIDTH), np.float32)
    rgb = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(rgb, "PNG")
    depths = {
        "colour.png": rgb.getvalue(),
        "huge.png": _png(60_000, 60_000),
        "shape.npy": _npy(np.ones((HEIGHT, 3 * WIDTH))),
        "flat.npy": _npy(np.ones(5)),
        "cube.npy": _npy(np.ones((5, 4, 3))),
        "complex.npy": _npy(z.astype(np.complex64)),
        "text.npy": _npy(np.array([["a", "b"]])),
        "pickle.npy": _npy(np.array([[_Evil(), None]], dtype=object), allow_pickle=True),
        "promise.npy": _npy_header((HEIGHT * 100, WIDTH * 100)),
        "monstrous.npy": _npy_header((10**12, 10**12)),
        "negative.npy": _npy_header((-HEIGHT, -WIDTH)),
        "code.npy": b"\x93NUMPY\x01\x00\xc8\x00" + f"__import__('os').mkdir({str(TRAP)!r})".encode().ljust(200),
        "pickle.npz": _npz({"z.npy": _npy(np.array([[_Evil()]], dtype=object), allow_pickle=True)}),
        "empty.npz": _npz({}),
        "promise.npz": _npz({"z.npy": _npy_header((10**5, 10**5)) + bytes(1000)}),
        "bomb.npz": _npz({"z.npy": _npy_header((12_000, 12_000)) + bytes(60_000_000)}),
        "other.npz": _npz({"readme.txt": b"hello"}),
        "damaged.npz": _npz({"z.npy": _npy(np.random.default_rng(0).random((HEIGHT, WIDTH)))})[:-60],
    }
    for name, data in depths.items():
        yield f"depth-{name}", "nerfstudio", _depth(name, data)
    rows: dict[str, Callable[[np.ndarray], Any]] = {
        "nan": lambda r: _set(r, slice(0, 15), np.nan),
        "no_focal": lambda r: _set(r, 14, 0),
        "focal_nan": lambda r: _set(r, 14, np.nan),
        "size_zero": lambda r: _set(r, 4, -1),
        "near_far": lambda r: _set(r, 15, 100),
        "near_nan": lambda r: _set(r, 15, np.nan),
        "far_infinite": lambda r: _set(r, 16, np.inf),
        "columns": lambda r: r[:, :15],
        "fewer": lambda r: r[:5],
        "none": lambda r: r[:0],
        "cube": lambda r: r[None],
        "complex": lambda r: r.astype(complex),
        "text": lambda r: r.astype(str),
        "huge": lambda r: r * 1e300,
    }
    for name, change in rows.items():
        yield f"llff-{name}", "llff", _rows(change)
    evil = _npy(np.array([[_Evil()] * 17], dtype=object), allow_pickle=True)
    yield "llff-pickle", "llff", lambda folder: (folder / "poses_bounds.npy").write_bytes(evil) and None


# Damage to COLMAP's files


def _patch(name: str, at: int, form: str, value: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "sparse" / "0" / f"{name}.bin"
        data = bytearray(path.read_bytes())
        struct.pack_into(form, data, at, value)
        path.write_bytes(bytes(data))

    return damage


def _cut(name: str, share: float) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "sparse" / "0" / f"{name}.bin"
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return damage


def _rename_photo(new: bytes) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "sparse" / "0" / "images.bin"
        data = path.read_bytes()
        at = data.index(b"camera0")
        end = data.index(b"\0", at)
        path.write_bytes(data[:at] + new.ljust(end - at, b"x")[: end - at] + data[end:])

    return damage


def colmap_cases() -> Iterator[tuple[str, str, Damage]]:
    for name in ("cameras", "images", "points3D", "rigs", "frames"):
        for share in (0.05, 0.3, 0.7, 0.999):
            yield f"colmap-{name}-cut-{share}", "colmap", _cut(name, share)
        for count in (0, 1 << 20, (1 << 64) - 1):
            # Without points a model is whole, if the photos do not speak of any.
            yield f"colmap-{name}-count-{count}", "colmap", _patch(name, 0, "<Q", count)
    camera = 8 + 4 + 4 + 16
    for value in (float("nan"), float("inf"), -5.0, 0.0, 1e300):
        yield f"colmap-focal-{value}", "colmap", _patch("cameras", camera, "<d", value)
    for value in (float("nan"), 1e300):
        yield f"colmap-distortion-{value}", "colmap", _patch("cameras", camera + 24, "<d", value)
        yield f"colmap-rotation-{value}", "colmap", _patch("images", 12, "<d", value)
    yield "colmap-model", "colmap", _patch("cameras", 12, "<i", 99)
    yield "colmap-model-other", "colmap", _patch("cameras", 12, "<i", 6)
    yield "colmap-width", "colmap", _patch("cameras", 16, "<Q", 1 << 60)
    for name, new in {"escape": b"../../../etc/passwd", "absolute": b"/etc/passwd", "utf8": b"\xff\xfe\xfd"}.items():
        yield f"colmap-name-{name}", "colmap", _rename_photo(new)
