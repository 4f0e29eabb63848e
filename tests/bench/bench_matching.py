"""Two photos matched densely by features alone, in the manner of DIFT (Tang et al., 2023). Prints one JSON object::

    python -m tests.bench.bench_matching CAPTURE… --pairs 20

Every cell of one photo's map and its most similar cell of the other's, where each is the other's most similar; no
keypoints, no scene. Of the matches whose true place is known by depth: the share within 1, 2 and 5 % of the diagonal
(PCK). And of all of them the relative rotation of the cameras by poselib (RANSAC, intrinsics known): how often it is
right within 5 degrees. The same for SIFT's keypoints by mutual nearest neighbours. Protocol of pairs as elsewhere: long
side 448 px, turned by 5 to 60 degrees, 30 % overlap. Paths are captures with depth or folders of room shards.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import poselib
import torch
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.errors import told_and_exited
from engine.api.jobs import finish
from engine.api.scene import UInt8
from engine.captures import Capture
from engine.encoders import load_encoder
from engine.metrics.correspondence import LONG_SIDE
from engine.metrics.descriptors import Keypoints, rgb_patches
from engine.metrics.keypoints import mutual_nearest, sift_keypoints
from engine.metrics.truth import DepthView, depth_views, reproject, view_pairs
from engine.runtime import resolve_device, set_threads
from engine.training.run import captures_of

Float64 = NDArray[np.float64]
SIFT_COUNT = 2048
EPIPOLAR_PX = 2.0
RIGHT_DEGREES = 5.0

Detector = Callable[[UInt8], Keypoints]


def cells(encode: Callable[[UInt8], NDArray[np.float32]]) -> Detector:
    """All cells of a dense map as keypoints."""

    def detect(rgb: UInt8) -> Keypoints:
        features = encode(rgb)
        h, w, dim = features.shape
        x, y = np.meshgrid((np.arange(w) + 0.5) / w * rgb.shape[1], (np.arange(h) + 0.5) / h * rgb.shape[0])
        return Keypoints(np.stack([x.ravel(), y.ravel()], axis=1), features.reshape(-1, dim))

    return detect


def methods() -> dict[str, Detector]:
    """By name."""
    device = resolve_device("auto")
    raw, ours = (load_encoder(name, device).encode for name in ("raw", "default"))
    dense = {"rgb 7x7": rgb_patches, "raw": raw, "condense2d": ours}
    return {name: cells(f) for name, f in dense.items()} | {"sift": lambda rgb: sift_keypoints(rgb, SIFT_COUNT)}


def rotation_error(a: Camera, b: Camera, pos_a: Float64, pos_b: Float64) -> float:
    """Degrees by which the relative rotation that matches (N, 2) tell is wrong; 180 where they tell none."""
    if len(pos_a) < 8:
        return 180.0
    cameras = [
        {"model": "PINHOLE", "width": c.width, "height": c.height, "params": c.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]}
        for c in (a, b)
    ]
    options = {"max_epipolar_error": EPIPOLAR_PX, "seed": 0}
    found, _ = poselib.estimate_relative_pose(pos_a, pos_b, *cameras, options, {})
    truth = np.linalg.inv(b.c2w)[:3, :3] @ a.c2w[:3, :3]
    cosine = (np.trace(np.asarray(found.R) @ truth.T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def rows_of(capture: Capture, pairs: int, detectors: dict[str, Detector]) -> Iterator[dict[str, Any]]:
    """One row a method."""
    views, _ = finish(depth_views(capture, LONG_SIDE, None))
    chosen = finish(view_pairs(views, pairs, np.random.default_rng(0)))
    for name, detect in detectors.items():
        print(f"{capture.name}: {name}", file=sys.stderr)
        errors: list[Float64] = []
        matches: list[int] = []
        turned: list[float] = []
        for i, j in chosen:
            a, b = (detect(capture.read(views[v].index, max_side=LONG_SIDE).rgb) for v in (i, j))
            match = mutual_nearest(a, b)
            mine = np.flatnonzero(match >= 0)
            pos_a, pos_b = a.pos_px[mine], b.pos_px[match[mine]]
            matches.append(len(mine))
            errors.append(_relative(views[i], views[j], pos_a, pos_b))
            turned.append(rotation_error(views[i].camera, views[j].camera, pos_a, pos_b))
        if not chosen:
            continue
        error = np.concatenate(errors)
        pck = {f"pck_{p}": round(float((error <= p / 100).mean()), 4) if len(error) else 0.0 for p in (1, 2, 5)}
        right = float(np.mean(np.array(turned) <= RIGHT_DEGREES))
        yield {
            "capture": capture.name, "features": name, "matches": round(float(np.mean(matches)), 1), **pck,
            "rotation_right": round(right, 4), "rotation_median": round(float(np.median(turned)), 2),
            "pairs": len(chosen),
        }  # fmt: skip


def _relative(a: DepthView, b: DepthView, pos_a: Float64, pos_b: Float64) -> Float64:
    """Errors of matches whose truth is known, in diagonals."""
    if not len(pos_a):
        return np.zeros(0)
    target, seen = reproject(a, b, pos_a)
    return np.linalg.norm(pos_b[seen] - target[seen], axis=1) / float(np.hypot(b.camera.width, b.camera.height))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--rooms", type=int, default=4, help="of each folder of shards")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    set_threads(args.threads)
    torch.set_float32_matmul_precision("medium")
    detectors = methods()
    rows: list[dict[str, Any]] = []
    with told_and_exited():
        for path in args.captures:
            for _, capture in zip(range(args.rooms), captures_of(path), strict=False):
                rows += rows_of(capture, args.pairs, detectors)
    print(json.dumps({"rows": rows, "seed": 0}))


if __name__ == "__main__":
    main()
