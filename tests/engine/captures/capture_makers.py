"""Small captures of every format, written to a folder with known cameras and pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from PIL import Image

from engine.api.camera import Camera, look_at
from engine.captures import Capture

GL = np.diag([1.0, -1.0, -1.0, 1.0])
WIDTH, HEIGHT = 64, 48
DISTANCE = 3.0


def ring(n: int = 8, width: int = WIDTH, height: int = HEIGHT, pitch: float = 0.3) -> list[Camera]:
    """Cameras around the origin, z up, looking slightly down at it."""
    angles = 2 * np.pi * np.arange(n) / n
    eyes = DISTANCE * np.stack(
        [np.cos(angles) * np.cos(pitch), np.sin(angles) * np.cos(pitch), np.full(n, np.sin(pitch))], axis=1
    )
    return [look_at(eye, [0, 0, 0], [0, 0, 1], fov_y=50, width=width, height=height) for eye in eyes]


def ramp(width: int = WIDTH, height: int = HEIGHT, blue: int = 0) -> np.ndarray:
    """(h, w, 3) uint8: red grows along x and green along y, so that a colour tells its pixel."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return np.stack([x * 255, y * 255, np.full_like(x, blue)], axis=-1).round().astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def nerfstudio_frame(camera: Camera, file_path: str, **more: Any) -> dict[str, Any]:
    k = camera.intrinsics
    return {
        "file_path": file_path,
        "transform_matrix": (camera.c2w @ GL).tolist(),
        "fl_x": k[0, 0],
        "fl_y": k[1, 1],
        "cx": k[0, 2],
        "cy": k[1, 2],
        "w": camera.width,
        "h": camera.height,
        **more,
    }


def write_json(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def write_nerfstudio(folder: Path, n: int = 8, depth: bool = True, suffix: str = "png", **shared: Any) -> list[Camera]:
    """``transforms.json`` with photos and, unless told otherwise, depth of DISTANCE everywhere, in millimetres."""
    cameras = ring(n)
    frames = []
    for i, camera in enumerate(cameras):
        save(folder / f"images/{i:03}.{suffix}", ramp(blue=i))
        more = {}
        if depth:
            save(folder / f"depth/{i:03}.png", np.full((HEIGHT, WIDTH), 1000 * DISTANCE, np.uint16))
            more["depth_file_path"] = f"depth/{i:03}.png"
        frames.append(nerfstudio_frame(camera, f"images/{i:03}.{suffix}", **more))
    write_json(folder / "transforms.json", {"camera_model": "OPENCV", **shared, "frames": frames})
    return cameras


def write_blender(folder: Path) -> list[Camera]:
    """NeRF-synthetic: two splits of four RGBA photos, a disc cut out, paths without suffix."""
    cameras = ring(8)
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    alpha = ((x**2 + y**2 < 0.5) * 255).astype(np.uint8)
    for split, chosen in (("train", range(4)), ("test", range(4, 8))):
        frames = []
        for i in chosen:
            save(folder / split / f"r_{i}.png", np.dstack([ramp(blue=i), alpha]))
            frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": (cameras[i].c2w @ GL).tolist()})
        angle = 2 * np.arctan(WIDTH / 2 / cameras[0].intrinsics[0, 0])
        write_json(folder / f"transforms_{split}.json", {"camera_angle_x": angle, "frames": frames})
    return cameras


def write_colmap(folder: Path, model: str = "SIMPLE_RADIAL", distortion: tuple[float, ...] = (0.05,)) -> Any:
    """A synthetic reconstruction with tracks in ``sparse/0``, photos in ``images``; returns the reconstruction."""
    pycolmap.set_random_seed(0)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, 10
    options.num_points3D = 150
    options.camera_width, options.camera_height = WIDTH, HEIGHT
    options.camera_model_id = getattr(pycolmap.CameraModelId, model)
    focal = (60.0,) if model.startswith(("SIMPLE", "RADIAL")) else (60.0, 61.0)
    options.camera_params = [*focal, WIDTH / 2, HEIGHT / 2, *distortion]
    out = pycolmap.synthesize_dataset(options)
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    out.write_binary(str(sparse))
    for image in out.images.values():
        save(folder / "images" / image.name, ramp())
    return out


def write_llff(folder: Path) -> list[Camera]:
    """Forward-facing: eight cameras in a plane, near 2, far 9."""
    cameras = [
        look_at([x, 0, z], [x, 5, z], [0, 0, 1], fov_y=50, width=WIDTH, height=HEIGHT)
        for x in (-0.3, -0.1, 0.1, 0.3)
        for z in (0.0, 0.2)
    ]
    rows = []
    for i, camera in enumerate(cameras):
        save(folder / "images" / f"{i:03}.png", ramp(blue=i))
        x, y, z, t = camera.c2w[:3].T
        matrix = np.stack([y, x, -z, t, [HEIGHT, WIDTH, camera.intrinsics[0, 0]]], axis=1)
        rows.append([*matrix.reshape(-1), 2.0, 9.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return cameras


def _matrix_text(m: np.ndarray) -> str:
    return "\n".join(" ".join(f"{v:.17g}" for v in row) for row in m) + "\n"


def corner_counted(camera: Camera) -> np.ndarray:
    """(3, 3) K counting from the first pixel's centre, as RGB-D formats do."""
    k = camera.intrinsics.copy()
    k[:2, 2] -= 0.5
    return k


def write_scannet(folder: Path) -> list[Camera]:
    cameras = ring(8)
    for i, camera in enumerate(cameras):
        save(folder / "color" / f"{i}.jpg", ramp(blue=i))
        save(folder / "depth" / f"{i}.png", np.full((HEIGHT // 2, WIDTH // 2), 1000 * DISTANCE, np.uint16))
        (folder / "pose").mkdir(exist_ok=True)
        (folder / "pose" / f"{i}.txt").write_text(_matrix_text(camera.c2w))
    k = np.eye(4)
    k[:3, :3] = corner_counted(cameras[0])
    (folder / "intrinsic").mkdir()
    (folder / "intrinsic" / "intrinsic_color.txt").write_text(_matrix_text(k))
    return cameras


def write_seven_scenes(folder: Path) -> list[Camera]:
    cameras = ring(8)
    for i, camera in enumerate(cameras):
        save(folder / f"frame-{i:06}.color.png", ramp(blue=i))
        depth = np.full((HEIGHT, WIDTH), 1000 * DISTANCE, np.uint16)
        depth[0] = 65535
        save(folder / f"frame-{i:06}.depth.png", depth)
        (folder / f"frame-{i:06}.pose.txt").write_text(_matrix_text(camera.c2w))
    k = corner_counted(cameras[0])
    (folder / "intrinsics.txt").write_text(f"{k[0, 0]} {k[1, 1]} {k[0, 2]} {k[1, 2]}\n")
    return cameras


def write_open3d(folder: Path) -> list[Camera]:
    cameras = ring(8)
    log = ""
    for i, camera in enumerate(cameras):
        save(folder / "color" / f"{i:05}.jpg", ramp(blue=i))
        save(folder / "depth" / f"{i:05}.png", np.full((HEIGHT, WIDTH), 1000 * DISTANCE, np.uint16))
        log += f"{i} {i} {i + 1}\n" + _matrix_text(camera.c2w)
    (folder / "trajectory.log").write_text(log)
    k = corner_counted(cameras[0])
    write_json(
        folder / "camera_intrinsic.json", {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": k.T.ravel().tolist()}
    )
    return cameras


def assert_cameras(capture: Capture, cameras: list[Camera]) -> None:
    assert len(capture.views) == len(cameras)
    for view, camera in zip(capture.views, cameras, strict=True):
        np.testing.assert_allclose(view.camera.c2w, camera.c2w, atol=1e-9)
        np.testing.assert_allclose(view.camera.intrinsics, camera.intrinsics, atol=1e-6)
        assert (view.camera.width, view.camera.height) == (camera.width, camera.height)
