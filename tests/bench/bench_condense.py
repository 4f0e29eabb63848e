"""What it costs to condense a capture into a repository, processor time and bytes. Prints one JSON object::

    python -m tests.bench.bench_condense CAPTURE… --rooms SHARDS --count 4

Each capture is added by ``condense index add`` to a fresh repository with a fresh cache, in a process of its own with
one thread: reading, fit, encoding, keypoints, thumbnail. Rooms of shards take the shorter way of the benchmarks: their
grid is fused from depth, and nothing is read from disk but the shard.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from engine.api.jobs import finish
from engine.metrics.room_scenes import Condenser, parted
from engine.repository.record import SceneRecord
from engine.repository.store import open_store
from engine.runtime import set_threads
from engine.training.rooms.shards import open_shards


def capture_row(path: Path) -> dict[str, Any]:
    """One capture, by the command."""
    with tempfile.TemporaryDirectory() as folder:
        repository, cache = Path(folder) / "repository", Path(folder) / "cache"
        command = [sys.executable, "-m", "app", "index", "add", repository, path, "--cache", cache, "--threads", "1"]
        one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([str(x) for x in command], check=True, env={**os.environ, **one}, stdout=sys.stderr)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        stored = sum(f.stat().st_size for f in repository.rglob("*") if f.is_file())
    seconds = {"processor_s": round(processor, 1), "wall_s": round(wall, 1)}
    return {"what": path.name, "captures": 1, **seconds, "bytes": stored}


def rooms_row(folder: Path, count: int) -> dict[str, Any]:
    """The mean of some rooms, after one to warm up."""
    torch.set_num_threads(1)
    condenser = Condenser("cpu")
    refs = open_shards(folder)[: count + 1]
    records: list[SceneRecord] = []
    wall = processor = 0.0
    for n, ref in enumerate(refs):
        wall, processor = (time.perf_counter(), time.process_time()) if n == 1 or len(refs) == 1 else (wall, processor)
        record, _ = finish(condenser.record(parted(ref.load())[0]))
        records.append(record)
    done = max(1, len(refs) - 1)
    found = {
        "what": "rooms, fused",
        "captures": done,
        "processor_s": round((time.process_time() - processor) / done, 2),
        "wall_s": round((time.perf_counter() - wall) / done, 2),
    }
    with tempfile.TemporaryDirectory() as into:
        store = open_store(Path(into), make=True)
        store.add_all(records)
        return {**found, "bytes": round(store.size() / len(records))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="*")
    parser.add_argument("--rooms", type=Path)
    parser.add_argument("--count", type=int, default=4)
    args = parser.parse_args()
    set_threads(1)
    rows = [capture_row(path) for path in args.captures]
    rows += [rooms_row(args.rooms, args.count)] if args.rooms else []
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
