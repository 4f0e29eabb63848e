"""Where a photo was taken, when its neighbours are not in the scene either. Prints one JSON object::

    python -m tests.bench.bench_localise CAPTURE… --queries 6

Photos are asked at equal steps through a capture with depth. The scene is made anew for each, of all photos but it, and
of all but it and three on either side: fused from depth, encoded, its keypoints decorated. Beside it SIFT of the same
photos with the same depth, ratio test and PnP, with as many keypoints as ours and with sixteen times as many. Focal
length known. Both are within 5 % of the scene's extent and 5 degrees so easily that 1 % and 1 degree are told too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.api.errors import told_and_exited
from engine.api.jobs import finish
from engine.captures import Capture, open_capture
from engine.captures.capture import View
from engine.metrics.repository import pose_error
from engine.metrics.room_scenes import AskedPhoto, Condenser
from engine.metrics.sift_scenes import described_by_sift, ratio_matches, sift_scene
from engine.repository.photo import READ_SIDE
from engine.repository.pose import Pose, mutual_nearest, place
from engine.repository.record import MOST_KEYPOINTS, decode, encode
from engine.results import ResultStore
from engine.runtime import set_threads
from engine.scene_state import SceneState

BESIDE = (0, 3)
MANY = 16 * MOST_KEYPOINTS
LIMITS = {"5": (0.05, 5.0), "1": (0.01, 1.0)}


Placer = Callable[[Capture, AskedPhoto], Pose | None]


def without(capture: Capture, query: int, beside: int) -> Capture:
    """The capture of all photos further than ``beside`` from the asked one."""
    kept = [v for v in capture.views if abs(v.index - query) > beside]
    views = tuple(replace(v, index=n, held_out=False) for n, v in enumerate(kept))
    return replace(capture, views=views, fingerprint=f"{capture.fingerprint}-{query}-{beside}")


def ours(condenser: Condenser) -> Placer:
    """By decorated keypoints, as a repository keeps them."""

    def find(capture: Capture, asked: AskedPhoto) -> Pose | None:
        with tempfile.TemporaryDirectory() as folder:
            store = ResultStore.of(capture.fingerprint, capture.path, Path(folder))
            scene = SceneState(capture, store, device=condenser.device, seed=0)
            finish(condenser.condense(scene, READ_SIDE))
        assert scene.keypoints is not None
        query, there = asked.query, scene.keypoints
        matched = mutual_nearest(query.descriptors, decode(encode(there.features)))
        return place(query.pos_px, there.pos_w, matched, query.size, query.focal)

    return find


def sift(count: int) -> Placer:
    """By so many SIFT keypoints of the scene."""

    def find(capture: Capture, asked: AskedPhoto) -> Pose | None:
        views: Sequence[View] = capture.views
        there = sift_scene(capture.name, views, count, READ_SIDE)
        pos_px, descriptors, _ = described_by_sift(asked.rgb, min(count, 4 * MOST_KEYPOINTS))
        matched = ratio_matches(torch.from_numpy(descriptors), torch.from_numpy(there.descriptors))
        return place(pos_px, there.pos_w, matched, asked.query.size, asked.query.focal)

    return find


def rows_of(capture: Capture, count: int, methods: dict[str, Placer], condenser: Condenser) -> Iterator[dict[str, Any]]:
    """One row a protocol and method."""
    extent_w = float(np.linalg.norm(capture.bounds_w[1] - capture.bounds_w[0]))
    queries = np.unique(np.linspace(0, len(capture.views) - 1, count + 2).round().astype(int)[1:-1])
    asked = [finish(condenser.photo(capture.views[n], capture.name, READ_SIDE)) for n in queries]
    for beside in BESIDE:
        for name, find in methods.items():
            print(f"{capture.name}: {name}, {beside} beside", file=sys.stderr)
            errors = np.zeros((len(queries), 2))
            for row, query, photo in zip(errors, queries, asked, strict=True):
                pose = find(without(capture, int(query), beside), photo)
                distance, degrees = pose_error(pose, photo.camera)
                row[:] = distance / extent_w, degrees
            within = {
                f"within_{key}": round(float(((errors[:, 0] <= far) & (errors[:, 1] <= turned)).mean()), 4)
                for key, (far, turned) in LIMITS.items()
            }
            median = np.median(errors, axis=0)
            yield {
                "capture": capture.name, "removed": 1 + 2 * beside, "method": name, "questions": len(queries), **within,
                "error_percent": _told(100 * median[0]), "error_degrees": _told(median[1]),
            }  # fmt: skip


def _told(value: float) -> float | None:
    """None where most were not placed at all: JSON knows no infinity."""
    return round(float(value), 3) if np.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--queries", type=int, default=6)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    set_threads(args.threads)
    torch.set_float32_matmul_precision("medium")
    condenser = Condenser("cpu")
    methods = {
        "condense": ours(condenser),
        "SIFT + ratio test + PnP": sift(MOST_KEYPOINTS),
        f"SIFT, {MANY:,} keypoints": sift(MANY),
    }
    with told_and_exited():
        rows = [row for path in args.captures for row in rows_of(open_capture(path), args.queries, methods, condenser)]
    print(json.dumps({"rows": rows, "seed": 0}))


if __name__ == "__main__":
    main()
