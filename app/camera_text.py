"""A camera as text, to be sent to somebody or kept: JSON with OpenCV's axes and the field's usual names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from engine.api.camera import Camera
from engine.api.errors import QueryError

MOST_CHARACTERS = 10_000
MOST_SIDE = 100_000
RIGID = 1e-3
"""Of the rotation's columns: how far from orthonormal they may be, for numbers that were rounded on the way."""


def camera_text(camera: Camera) -> str:
    """Pose (camera to world, x right, y down, z forward), intrinsics in pixels, and size."""
    k = camera.intrinsics
    return json.dumps(
        {
            "camera_to_world": [[round(float(v), 9) for v in row] for row in camera.c2w],
            "fl_x": round(float(k[0, 0]), 6),
            "fl_y": round(float(k[1, 1]), 6),
            "cx": round(float(k[0, 2]), 6),
            "cy": round(float(k[1, 2]), 6),
            "w": camera.width,
            "h": camera.height,
        }
    )


def read_camera(text: str) -> Camera:
    """What ``camera_text`` wrote.

    Raises:
        QueryError: the text is no such camera, and what is wrong with it.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"{len(text)} characters")
        raw: Any = json.loads(text)
        pose = np.array(raw["camera_to_world"], np.float64)
        numbers = np.array([raw[k] for k in ("fl_x", "fl_y", "cx", "cy")], np.float64)
        width, height = (int(raw[k]) for k in ("w", "h"))
        if pose.shape != (4, 4) or not np.isfinite(pose).all() or not np.isfinite(numbers).all():
            raise ValueError("the pose is no 4 x 4 matrix of finite numbers")
        turn = pose[:3, :3]
        if not np.allclose(turn.T @ turn, np.eye(3), atol=RIGID) or np.linalg.det(turn) < 0:
            raise ValueError("the pose is no rotation and translation")
        if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE) or min(numbers[:2]) <= 0:
            raise ValueError(f"{width} x {height} pixels, focal lengths {numbers[0]:g} and {numbers[1]:g}")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as e:
        found = f"no {e}" if isinstance(e, KeyError) else str(e)
        mend = "copy a camera in this program first, or its JSON from somewhere"
        raise QueryError("the clipboard holds no camera", found=found[:200] or "nothing", mend=mend) from e
    fl_x, fl_y, cx, cy = numbers
    pose[3] = (0, 0, 0, 1)
    return Camera(np.array([[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]]), pose, width, height)
