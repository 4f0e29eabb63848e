"""Ways to damage a capture: any file's bytes, and what transforms.json says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Damage = Callable[[Path], None]


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


def byte_cases() -> Iterator[tuple[str, str, Damage]]:
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


def edit(change: Callable[[dict[str, Any]], None]) -> Damage:
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


def json_cases() -> Iterator[tuple[str, str, Damage]]:
    for key in NUMBERS:
        for name, value in ODD_VALUES.items():
            yield (
                f"one-{key}-{name}",
                "nerfstudio",
                edit(lambda d, k=key, v=value: d["frames"][3].update({k: v})),
            )
    for key in ("file_path", "depth_file_path", "mask_path"):
        for name, value in ESCAPES.items():
            yield (
                f"{key}-{name}",
                "nerfstudio",
                edit(lambda d, k=key, v=value: d["frames"][2].update({k: v})),
            )
    for name, value in ESCAPES.items():
        yield f"ply-{name}", "nerfstudio", edit(lambda d, v=value: d.update(ply_file_path=v))
    for name, value in ODD_POSES.items():
        yield (
            f"pose-one-{name}",
            "nerfstudio",
            edit(lambda d, v=value: d["frames"][1].update(transform_matrix=v)),
        )
        yield (
            f"pose-all-{name}",
            "nerfstudio",
            edit(lambda d, v=value: [f.update(transform_matrix=v) for f in d["frames"]] and None),
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
        yield f"document-{name}", "nerfstudio", edit(change)
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
