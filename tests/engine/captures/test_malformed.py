"""Malformed captures, by mutation of whole ones: a clear error or counted warnings, nothing else.

Each case copies a small capture, damages the copy and opens and reads all of it. Allowed outcomes: a CondenseError; a
capture with more warnings, or photos passed over with an error each; or, where the damage touched nothing that is
read, the very same capture. Anything else fails the test: another exception, a hang, a changed file, silence.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api.errors import CaptureError, CondenseError
from engine.captures import Capture, open_capture
from tests.engine.captures.capture_makers import (
    save,
    write_blender,
    write_colmap,
    write_llff,
    write_nerfstudio,
    write_open3d,
    write_scannet,
    write_seven_scenes,
)
from tests.engine.captures.damage_binary import TRAP, array_cases, colmap_cases
from tests.engine.captures.damage_text import Damage, byte_cases, json_cases


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


CASES = [*byte_cases(), *json_cases(), *array_cases(), *colmap_cases()]


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
    assert not TRAP.exists(), "code from a file was run"
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
