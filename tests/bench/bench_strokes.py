"""Do labels made in one photo lie where the capture's depth puts them in the others?

python -m tests.bench.bench_strokes CAPTURE
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from engine.captures import open_capture
from engine.driving import run_job
from engine.metrics.strokes import discs_elsewhere
from engine.training.rooms.grid import fused_grid

CELLS = 2_000_000


def main(path: str) -> None:
    capture = open_capture(Path(path))
    grid = run_job("Fusing", fused_grid(capture, CELLS))
    found = run_job("Discs", discs_elsewhere(capture, grid, np.random.default_rng(0)))
    print(f"{capture.name}: {len(grid.index):,} voxels, {len(found)} discs, mean IoU {np.mean(found):.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
