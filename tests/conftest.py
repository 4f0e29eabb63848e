"""Fixtures shared by all tests: where real captures are, and a tiny capture made on the spot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from engine.api.camera import Camera, look_at

os.environ.setdefault("HF_HUB_OFFLINE", "1")
settings.register_profile("patient", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captures beside the checkout, or skip."""
    folder = Path(os.environ.get("CONDENSE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real captures are not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache or settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CONDENSE_CACHE", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))


def textured(pos_w: np.ndarray) -> np.ndarray:
    """(N, 3) world points to (N, 3) uint8: a smooth texture that differs everywhere."""
    x, y, z = pos_w.T
    rgb = np.stack([np.sin(5 * x + 2 * z), np.sin(4 * y + 1 + x), np.cos(6 * z - 3 * y)], axis=1)
    return np.clip(127.5 + 110 * rgb, 0, 255).astype(np.uint8)


def cast_cube_on_plane(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Ray-cast a unit cube standing on a 4 x 4 floor (z up): ((h, w, 3) uint8, (h, w) float32 z-depth, 0 = none)."""
    d = camera.ray_z(camera.pixel_grid())
    o = camera.centre_w
    with np.errstate(divide="ignore", invalid="ignore"):
        t_floor = np.where(d[:, 2] < 0, -o[2] / d[:, 2], np.inf)
        hit = o + t_floor[:, None] * d
        t_floor = np.where((np.abs(hit[:, :2]) < 2).all(axis=1), t_floor, np.inf)
        a, b = (np.array([-0.5, -0.5, 0]) - o) / d, (np.array([0.5, 0.5, 1]) - o) / d
        near, far = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
    t = np.minimum(np.where((near < far) & (near > 0), near, np.inf), t_floor)
    found = np.isfinite(t)
    z = np.where(found, t, 0.0)
    rgb = np.full((len(z), 3), 200, np.uint8)
    rgb[found] = textured(o + z[found, None] * d[found])
    shape = (camera.height, camera.width)
    return rgb.reshape(*shape, 3), z.reshape(shape).astype(np.float32)


def write_tiny_capture(folder: Path, views: int = 8, width: int = 96, height: int = 72) -> Path:
    """A nerfstudio capture of the cube, cameras on a ring, depth in millimetres."""
    (folder / "images").mkdir(parents=True)
    (folder / "depth").mkdir()
    frames = []
    gl = np.diag([1.0, -1.0, -1.0, 1.0])
    for i in range(views):
        a = 2 * np.pi * i / views
        camera = look_at(
            [3 * np.cos(a), 3 * np.sin(a), 1.8], [0, 0, 0.4], [0, 0, 1], fov_y=50, width=width, height=height
        )
        rgb, z = cast_cube_on_plane(camera)
        Image.fromarray(rgb).save(folder / "images" / f"{i:03}.png")
        Image.fromarray(np.round(z * 1000).astype(np.uint16)).save(folder / "depth" / f"{i:03}.png")
        k = camera.intrinsics
        frames.append(
            {
                "file_path": f"images/{i:03}.png",
                "depth_file_path": f"depth/{i:03}.png",
                "transform_matrix": (camera.c2w @ gl).tolist(),
                "fl_x": k[0, 0],
                "fl_y": k[1, 1],
                "cx": k[0, 2],
                "cy": k[1, 2],
                "w": width,
                "h": height,
            }
        )
    (folder / "transforms.json").write_text(json.dumps({"camera_model": "OPENCV", "frames": frames}))
    return folder


@pytest.fixture
def tiny_capture_dir(tmp_path: Path) -> Path:
    """Eight small views of a textured cube on a plane, with depth."""
    return write_tiny_capture(tmp_path / "tiny")
