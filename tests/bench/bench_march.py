"""Preview march at 320 x 180 against the torch reference, in one run. Prints one JSON object.

    python tests/bench/bench_march.py CAPTURE [--seconds 10] [--threads 2] [--grid FILE]

``fps`` is 1 / median frame time over views from all over the capture, after one frame to warm up; ``times_torch``
the median time of the torch reference on five of the views over that of the kernel.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from engine.api.camera import Camera
from engine.api.jobs import finish
from engine.captures import open_capture
from engine.grid import FitSettings, RadianceGrid, fit_grid
from engine.march import render_colour, render_table
from engine.march.reference import march_image
from engine.runtime import set_threads

WIDTH, HEIGHT = 320, 180


def median_ms(render: Callable[[Camera], object], cameras: list[Camera]) -> float:
    """Median milliseconds of a frame, one frame to warm up."""
    render(cameras[0])
    times = []
    for camera in cameras:
        start = time.perf_counter()
        render(camera)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0, help="fit the grid for so long")
    parser.add_argument("--grid", type=Path, help="a stored grid to use instead of a fit")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=48)
    args = parser.parse_args()
    threads = set_threads(args.threads)
    capture = open_capture(args.capture)
    grid = RadianceGrid.load(args.grid) if args.grid else finish(fit_grid(capture, FitSettings(seconds=args.seconds)))
    chosen = np.linspace(0, len(capture.views) - 1, args.frames).round().astype(int)
    cameras = [capture.views[i].camera.scaled(WIDTH, HEIGHT) for i in chosen]
    generator = np.random.default_rng(0)
    pca = generator.random((len(grid.index), 3), np.float32)
    features = generator.random((len(grid.index), 64), np.float32)
    cpu = torch.device("cpu")
    few = cameras[:: max(1, len(cameras) // 5)][:5]
    rows = []
    for name, fast, table in (
        ("colour", lambda c: render_colour(grid, c), grid.rgb),
        ("pca", lambda c: render_table(grid, pca, c), pca),
        ("features_64", lambda c: render_table(grid, features, c), features),
    ):
        tensor = torch.from_numpy(np.array(table))
        fast_ms = median_ms(fast, cameras)
        torch_ms = median_ms(lambda c, t=tensor: march_image(grid, t, c, cpu), few)
        rows.append(
            {
                "what": name,
                "fps": round(1e3 / fast_ms, 1),
                "ms": round(fast_ms, 2),
                "torch_ms": round(torch_ms, 1),
                "times_torch": round(torch_ms / fast_ms, 1),
            }
        )
    print(
        json.dumps(
            {
                "capture": capture.name,
                "size": [WIDTH, HEIGHT],
                "voxels": len(grid.index),
                "threads": threads,
                "machine": platform.processor() or platform.machine(),
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
