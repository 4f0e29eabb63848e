"""Malformed captures, by mutation of whole ones: a clear error or counted warnings, nothing else.

Each case copies a small capture, damages the copy and opens and reads all of it. Allowed outcomes: a CondenseError; a
capture with more warnings, or photos passed over with an error each; or, where the damage touched nothing that is
read, the very same capture. Anything else fails the test: another exception, a hang, a changed file, silence.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.api.errors import CaptureError, CondenseError
from engine.captures import Capture, open_capture
from tests.engine.captures.capture_makers import (
    HEIGHT,
    WIDTH,
    save,
    write_blender,
    write_colmap,
    write_llff,
    write_nerfstudio,
    write_open3d,
    write_scannet,
    write_seven_scenes,
)

Damage = Callable[[Path], None]


def _write_colmap_text(folder: Path) -> None:
    model = write_colmap(folder)
    shutil.rmtree(folder / "sparse")
    (folder / "sparse" / "0").mkdir(parents=True)
    model.write_text(str(folder / "sparse" / "0"))


def _write_splats(folder: Path) -> None:
    folder.mkdir()
    names = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity")
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 300\n"
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    data = np.random.default_rng(0).uniform(0, 1, (300, 7)).astype(np.float32)
    (folder / "splats.ply").write_bytes(header.encode() + data.tobytes())


WRITERS: dict[str, Callable[[Path], Any]] = {
    "nerfstudio": write_nerfstudio,
    "nerfstudio_jpeg": lambda folder: write_nerfstudio(folder, suffix="jpg", k1=0.05),
    "blender": write_blender,
    "colmap": write_colmap,
    "colmap_text": _write_colmap_text,
    "llff": write_llff,
    "scannet": write_scannet,
    "seven_scenes": write_seven_scenes,
    "open3d": write_open3d,
    "splats": _write_splats,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole capture of each kind, never touched."""
    root = tmp_path_factory.mktemp("whole")
    for name, write in WRITERS.items():
        write(root / name)
    return root


# Damage to any file


def _damage_bytes(how: str, path: Path) -> None:
    data = path.read_bytes()
    rng = np.random.default_rng(len(data))
    if how == "halved":
        path.write_bytes(data[: len(data) // 2])
    elif how == "stub":
        path.write_bytes(data[:12])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "zeros":
        path.write_bytes(bytes(len(data)))
    elif how == "noise":
        path.write_bytes(rng.bytes(len(data)))
    elif how == "text":
        path.write_text("<html><body>404 Not Found</body></html>")
    elif how == "deleted":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path)


BYTE_DAMAGE = ["halved", "stub", "empty", "zeros", "noise", "text", "deleted", "folder"]
BYTE_DAMAGE += ["pipe"] if hasattr(os, "mkfifo") else []
VICTIMS = {
    "nerfstudio": ["transforms.json", "images/003.png", "depth/003.png"],
    "nerfstudio_jpeg": ["images/000.jpg"],
    "blender": ["transforms_test.json", "train/r_0.png"],
    "colmap": [f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")],
    "colmap_text": [f"sparse/0/{name}.txt" for name in ("cameras", "images")],
    "llff": ["poses_bounds.npy", "images/002.png"],
    "scannet": ["intrinsic/intrinsic_color.txt", "pose/2.txt", "color/2.jpg", "depth/2.png"],
    "seven_scenes": ["intrinsics.txt", "frame-000001.pose.txt", "frame-000001.color.png"],
    "open3d": ["trajectory.log", "camera_intrinsic.json"],
    "splats": ["splats.ply"],
}


def _byte_cases() -> Iterator[tuple[str, str, Damage]]:
    for base, victims in VICTIMS.items():
        for victim in victims:
            for how in BYTE_DAMAGE:
                if victim == "transforms_test.json" and how in ("deleted", "folder", "pipe"):
                    continue  # a capture of the other split is whole
                yield (
                    f"{base}-{victim}-{how}",
                    base,
                    lambda folder, v=victim, h=how: _damage_bytes(h, folder / v),
                )


# Damage to transforms.json


def _edit(change: Callable[[dict[str, Any]], None]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "transforms.json"
        data = json.loads(path.read_text())
        change(data)
        text = json.dumps(data)
        for raw in ("NaN", "Infinity", "1e999"):
            text = text.replace(f'"raw {raw}"', raw)
        path.write_text(text)

    return damage


ODD_VALUES: dict[str, Any] = {
    "nan": "raw NaN",
    "infinite": "raw Infinity",
    "overflow": "raw 1e999",
    "text": "abc",
    "list": [],
    "object": {"a": [1]},
    "true": True,
    "digits": 10**400,
    "huge": 1e300,
}
NUMBERS = ["fl_x", "cx", "w", "h", "k1", "depth_unit_scale_factor", "applied_scale"]
ESCAPES: dict[str, Any] = {
    "absolute": "/etc/passwd",
    "up": "../whole/images/000.png",
    "in_and_up": "images/../../x.png",
    "drive": "C:\\photos\\000.png",
    "share": "\\\\server\\photos\\000.png",
    "nul": "images/0\x0000.png",
    "long": "x" * 5000,
    "longish": "x" * 300 + ".png",
    "folder": "images",
    "dot": ".",
    "surrogate": "images/\ud800.png",
    "number": 7,
    "list": ["images/000.png"],
}
ODD_POSES: dict[str, Any] = {
    "none": None,
    "empty": [],
    "zeros": np.zeros((4, 4)).tolist(),
    "mirror": np.diag([-1.0, 1, 1, 1]).tolist(),
    "scaled": np.diag([3.0, 3, 3, 1]).tolist(),
    "two_by_two": [[1, 0], [0, 1]],
    "ragged": [[1], [0, 1]],
    "words": [["a"] * 4] * 4,
    "nan": [["raw NaN"] * 4] * 4,
    "far": [[1, 0, 0, 1e30], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "projective": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]],
    "sheared": [[1, 0.4, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "object": {"rotation": 1},
}


def _json_cases() -> Iterator[tuple[str, str, Damage]]:
    for key in NUMBERS:
        for name, value in ODD_VALUES.items():
            yield (
                f"one-{key}-{name}",
                "nerfstudio",
                _edit(lambda d, k=key, v=value: d["frames"][3].update({k: v})),
            )
    for key in ("file_path", "depth_file_path", "mask_path"):
        for name, value in ESCAPES.items():
            yield (
                f"{key}-{name}",
                "nerfstudio",
                _edit(lambda d, k=key, v=value: d["frames"][2].update({k: v})),
            )
    for name, value in ESCAPES.items():
        yield f"ply-{name}", "nerfstudio", _edit(lambda d, v=value: d.update(ply_file_path=v))
    for name, value in ODD_POSES.items():
        yield (
            f"pose-one-{name}",
            "nerfstudio",
            _edit(lambda d, v=value: d["frames"][1].update(transform_matrix=v)),
        )
        yield (
            f"pose-all-{name}",
            "nerfstudio",
            _edit(lambda d, v=value: [f.update(transform_matrix=v) for f in d["frames"]] and None),
        )
    whole_documents: dict[str, Callable[[dict[str, Any]], None]] = {
        "no_frames": lambda d: d.update(frames=[]),
        "frames_object": lambda d: d.update(frames={"0": 1}),
        "frames_gone": lambda d: d.pop("frames"),
        "frames_of_numbers": lambda d: d.update(frames=[1, None, "a", []]),
        "one_frame_null": lambda d: d["frames"].__setitem__(0, None),
        "twice": lambda d: d["frames"].append(d["frames"][0]),
        "panorama": lambda d: d.update(camera_model="EQUIRECTANGULAR"),
        "model_list": lambda d: d.update(camera_model=["OPENCV"]),
        "no_focal_length": lambda d: [(f.pop("fl_x"), f.pop("fl_y")) for f in d["frames"]] and None,
        "no_paths": lambda d: [f.pop("file_path") for f in d["frames"]] and None,
        "wrong_shape": lambda d: d["frames"][0].update(w=100, h=20),
        "angle": lambda d: [(f.pop("fl_x"), f.pop("fl_y"), f.update(camera_angle_x=0)) for f in d["frames"]] and None,
        "unit_negative": lambda d: d.update(depth_unit_scale_factor=-1),
        "missing_photos": lambda d: [f.update(file_path="gone/" + f["file_path"]) for f in d["frames"]] and None,
    }
    for name, change in whole_documents.items():
        yield f"document-{name}", "nerfstudio", _edit(change)
    texts = {
        "nested": "[" * 100_000,
        "nested_object": '{"frames":' * 50_000,
        "number": "7",
        "latin1": b"\xff\xfe\xe9".decode("latin1"),
        "digits": '{"frames": ' + "9" * 10_000 + "}",
        "duplicate_comma": '{"frames": [,]}',
    }
    for name, text in texts.items():
        yield (
            f"document-{name}",
            "nerfstudio",
            lambda folder, t=text: (folder / "transforms.json").write_text(t, "latin1") and None,
        )


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
        return (os.mkdir, ("/tmp/condense-was-unpickled",))


def _photo(data: bytes) -> Damage:
    return lambda folder: (folder / "images" / "000.png").write_bytes(data) and None


def _depth(name: str, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "depth" / name).write_bytes(data)
        _edit(lambda d: d["frames"][0].update(depth_file_path=f"depth/{name}"))(folder)

    return damage


def _rows(change: Callable[[np.ndarray], Any]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "poses_bounds.npy"
        np.save(path, change(np.load(path)))

    return damage


def _set(rows: np.ndarray, column: int | slice, value: float) -> np.ndarray:
    rows[:, column] = value
    return rows


def _array_cases() -> Iterator[tuple[str, str, Damage]]:
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
        "code.npy": b"\x93NUMPY\x01\x00\x30\x00" + b"__import__('os').mkdir('/tmp/condense-was-run')".ljust(48),
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


def _colmap_cases() -> Iterator[tuple[str, str, Damage]]:
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


CASES = [*_byte_cases(), *_json_cases(), *_array_cases(), *_colmap_cases()]


def state(folder: Path) -> dict[str, str]:
    """Name, kind and content of everything in a folder."""
    out = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        out[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if plain else "other"
    return out


def attempt(folder: Path) -> tuple[Capture | None, list[CondenseError]]:
    """Open and read all of it, depth included."""
    errors: list[CondenseError] = []
    try:
        capture = open_capture(folder)
        capture.scene_info()
        for _, photo in capture.readable(depth=True, on_skip=lambda _, e: errors.append(e)):
            assert photo.rgb.shape == (photo.camera.height, photo.camera.width, 3)
            assert photo.depth_z is None or np.isfinite(photo.depth_z).all()
    except CondenseError as e:
        return None, [*errors, e]
    assert np.isfinite(capture.bounds_w).all()
    assert (capture.bounds_w[0] < capture.bounds_w[1]).all()
    assert np.linalg.norm(capture.up_w) == pytest.approx(1)
    return capture, errors


def same(a: Capture, b: Capture) -> bool:
    """Whether two captures show the same."""
    return (
        len(a.views) == len(b.views)
        and all(
            np.array_equal(v.camera.c2w, w.camera.c2w)
            and np.array_equal(v.camera.intrinsics, w.camera.intrinsics)
            and v.has_depth == w.has_depth
            for v, w in zip(a.views, b.views, strict=True)
        )
        and np.array_equal(a.bounds_w, b.bounds_w)
    )


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200
    assert len({name for name, _, _ in CASES}) == len(CASES)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("base", "damage"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_malformed(whole: Path, tmp_path: Path, base: str, damage: Damage) -> None:
    folder = tmp_path / "capture"
    shutil.copytree(whole / base, folder)
    damage(folder)
    before = state(folder)
    capture, errors = attempt(folder)
    assert state(folder) == before, "a file was changed"
    assert not Path("/tmp/condense-was-unpickled").exists()
    assert not Path("/tmp/condense-was-run").exists()
    for e in errors:
        assert isinstance(e, CaptureError)
        assert e.path is not None, "the message names the file"
        e.text().encode("utf-8")
    if capture is not None:
        for line in capture.warnings:
            line.encode("utf-8")
        assert errors or capture.warnings or same(capture, open_capture(whole / base)), "damage passed in silence"


@pytest.mark.parametrize("base", list(WRITERS))
def test_whole_captures_open_in_silence(whole: Path, base: str) -> None:
    capture, errors = attempt(whole / base)
    assert capture is not None
    assert not errors
    assert not capture.warnings


@pytest.mark.parametrize("base", [b for b in WRITERS if b != "splats"])
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_never_raise_anything_else(whole: Path, tmp_path: Path, base: str, seed: int) -> None:
    """Flips may well be harmless, so nothing is asked but that no other exception escapes."""
    rng = np.random.default_rng(seed)
    folder = tmp_path / "capture"
    shutil.copytree(whole / base, folder)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = bytearray(path.read_bytes())
        for at in rng.integers(0, len(data), 2):
            data[at] ^= int(rng.integers(1, 256))
        if rng.random() < 0.3:
            path.write_bytes(bytes(data))
    attempt(folder)


def test_all_photos_damaged_is_one_error(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "capture"
    shutil.copytree(whole / "nerfstudio", folder)
    for path in (folder / "images").iterdir():
        path.write_bytes(path.read_bytes()[:90])
    capture = open_capture(folder)
    with pytest.raises(CaptureError, match=r"000\.png"):
        list(capture.readable())


def test_a_photo_that_changes_after_opening(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "capture"
    shutil.copytree(whole / "nerfstudio", folder)
    capture = open_capture(folder)
    save(folder / "images" / "000.png", np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(CaptureError, match="has changed"):
        capture.read(0)
    (folder / "images" / "000.png").unlink()
    with pytest.raises(CaptureError, match="cannot be read"):
        capture.read(0)
