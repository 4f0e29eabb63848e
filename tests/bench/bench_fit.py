"""Held-out PSNR of the fit against seconds, beside plain torch given ten times the time. Prints one JSON object.

    python tests/bench/bench_fit.py CAPTURE --seconds 20 [--times 10] [--threads 2] [--device cpu]

Both run the same schedule on the same photos (``engine.grid.reference_fit``); the budget is wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from engine.api.jobs import finish
from engine.captures import open_capture
from engine.grid import FitSettings, RadianceGrid, fit_grid
from engine.grid.reference_fit import fit_grid_reference
from engine.runtime import resolve_device, set_threads


def row(path: str, seconds: float, grid: RadianceGrid) -> dict[str, Any]:
    """One line of the table."""
    meta = grid.meta
    return {
        "path": path,
        "budget": seconds,
        "seconds": meta["seconds"],
        "psnr": meta["psnr"],
        "steps": meta["steps"],
        "voxels": len(grid.index),
        "curve": meta["curve"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0])
    parser.add_argument("--times", type=float, default=10.0, help="torch's budget over ours; 0 leaves it out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where the torch path runs")
    args = parser.parse_args()
    threads = set_threads(args.threads)
    capture = open_capture(args.capture)
    finish(fit_grid(capture, FitSettings(steps=50)))  # load the kernels
    rows = []
    for seconds in args.seconds:
        rows.append(row("kernels", seconds, finish(fit_grid(capture, FitSettings(seconds=seconds)))))
        if args.times > 0:
            budget = seconds * args.times
            job = fit_grid_reference(capture, FitSettings(seconds=budget), resolve_device(args.device))
            rows.append(row("torch", budget, finish(job)))
    print(
        json.dumps(
            {
                "capture": capture.name,
                "heldout_views": sum(v.held_out for v in capture.views),
                "threads": threads,
                "machine": platform.processor() or platform.machine(),
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
