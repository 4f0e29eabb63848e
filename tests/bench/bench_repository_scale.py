"""What a query of a repository costs, and what the shortlist loses, against the number of scenes. Prints a table::

    python -m tests.bench.bench_repository_scale --scenes 100 1000 10000 100000 --out scale.png

Scenes are made up and grow in one SQLite store in a temporary folder, 100,000 of them 4 GB: 512 keypoints each around
160 of 500 centres of one of 64 kinds of scenes, 4,096 centres in all, so spread that scenes are as like each other as
photos of different places are by the real encoder (mean best cosine 0.4) and a photo is like its own scene as photos of
one place are (0.6). Photos see 60 % of the keypoints of a scene, by a camera whose focal length is not told, and as
many keypoints of something else as make 512. Times are the processor's, in a process that has asked before, with one
thread of torch's; the encoding of a photo is no part of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.api.camera import look_at
from engine.api.jobs import finish
from engine.repository.occupancy import FREE, SOLID, UNKNOWN, Occupancy
from engine.repository.photo import PhotoQuery
from engine.repository.record import NamedPlace, SceneRecord, decode, encode
from engine.repository.scenes import SceneStore
from engine.repository.search import CONFIDENT, Repository
from engine.repository.shortlist import EXACT, build_index, index_due, listed_of
from engine.repository.store import open_store
from engine.runtime import set_threads

KEYPOINTS, DIM, CENTRES = 512, 64, 4096
SEEN, SPREAD, NOISE = 0.6, 0.9, 0.7
"""Share of a photo's keypoints that are the scene's; noise around centres, and of a photo around its scene."""
KINDS, OF_KIND, OF_SCENE = 64, 500, 160
"""Kinds of scenes, and centres that a kind and a scene have keypoints around."""
SPECKS = 0.011
BATCH = 500
TOP = 10


class Made:
    """Scenes and photos by their numbers, the same whenever asked for."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.seed = seed
        falling = np.arange(1, DIM + 1) ** -0.35  # as the eigenvalues of real descriptors do
        self.centres = _unit(rng.normal(size=(CENTRES, DIM)) * falling)
        self.kinds = rng.permuted(np.tile(np.arange(CENTRES), (KINDS, 1)), axis=1)[:, :OF_KIND]
        self.names = [f"thing {n}" for n in range(1000)]

    def descriptors(self, rng: np.random.Generator, count: int, kind: int | None = None) -> np.ndarray:
        """(count, DIM) around some centres of a kind of scene, or around any."""
        pool = rng.permutation(CENTRES if kind is None else self.kinds[kind])[:OF_SCENE]
        return _unit(self.centres[rng.choice(pool, count)] + SPREAD / DIM**0.5 * rng.normal(size=(count, DIM)))

    def scene(self, n: int) -> SceneRecord:
        """Scene ``n``, with names, a thumbnail, cameras and an occupancy of the usual size."""
        rng = np.random.default_rng((self.seed, 1, n))
        names = rng.choice(len(self.names), 45, replace=False)
        return SceneRecord(
            fingerprint=f"{n:032x}",
            name=f"scene {n}",
            path=f"/scenes/{n}",
            weights="made-up",
            pos_w=rng.uniform(-2, 2, (KEYPOINTS, 3)).astype(np.float32),
            codes=encode(self.descriptors(rng, KEYPOINTS, n % KINDS)),
            extent_w=6.9,
            places=tuple(NamedPlace(self.names[i], rng.random(), tuple(rng.uniform(-2, 2, 3))) for i in names),
            thumbnail=rng.bytes(1070),
            cameras=np.tile(np.eye(4, dtype=np.float32), (24, 1, 1)),
            occupancy=self.occupancy(rng),
        )

    def occupancy(self, rng: np.random.Generator) -> Occupancy:
        """A room with a floor, walls and things in it, as large when packed as those of rendered rooms: 1.2 kB."""
        states = np.full((37, 38, 26), FREE, np.uint8)
        states[0], states[:, 0], states[:, :, 0] = SOLID, SOLID, SOLID
        for low in rng.integers(0, (30, 30, 18), (12, 3)):
            states[tuple(slice(a, b) for a, b in zip(low, low + rng.integers(2, 7, 3), strict=True))] = SOLID
        states[rng.random(states.shape) < SPECKS] = UNKNOWN
        return Occupancy(states, np.diag([0.12, 0.12, 0.12, 1.0]))

    def photo(self, n: int | None, number: int) -> PhotoQuery:
        """Of scene ``n``, or of nothing that was made."""
        rng = np.random.default_rng((self.seed, 2, number))
        if n is None:
            return PhotoQuery(rng.uniform(0, 480, (KEYPOINTS, 2)), self.descriptors(rng, KEYPOINTS), (640, 480), None)
        scene = self.scene(n)
        seen = rng.permutation(KEYPOINTS)[: round(SEEN * KEYPOINTS)]
        eye = _unit(rng.normal(size=(1, 3)))[0] * rng.uniform(5, 8)
        camera = look_at(eye, [0, 0, 0], [0.1, 0.2, 1], fov_y=50, width=640, height=480)
        pos_px, _ = camera.project(scene.pos_w[seen].astype(np.float64))
        there = _unit(decode(scene.codes)[seen] + NOISE / DIM**0.5 * rng.normal(size=(len(seen), DIM)))
        other = self.descriptors(rng, KEYPOINTS - len(seen))
        pos_px = np.concatenate([pos_px + rng.normal(0, 0.5, pos_px.shape), rng.uniform(0, 480, (len(other), 2))])
        return PhotoQuery(pos_px, np.concatenate([there, other]), (640, 480), None)


def _unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def grow(store: SceneStore, made: Made, scenes: int) -> float:
    """Add scenes until there are so many; seconds an added scene takes, made and indexed."""
    begun, first = time.process_time(), store.count()
    for start in range(first, scenes, BATCH):
        store.add_all(made.scene(n) for n in range(start, min(start + BATCH, scenes)))
        if index_due(store):
            finish(build_index(store, made.seed))
            print(f"  indexed at {store.count():,}", flush=True)
    return (time.process_time() - begun) / max(scenes - first, 1)


def row(store: SceneStore, made: Made, photos: int, exact: int) -> dict[str, Any]:
    """One line of the table."""
    repository = Repository(store)
    (open_ms,) = _timed(lambda _: repository.rows, 1)
    scenes = len(repository.rows)
    rng = np.random.default_rng((made.seed, 3, scenes))
    asked = [int(n) for n in rng.choice(scenes, photos, replace=scenes < photos)]
    queries = [made.photo(n, k) for k, n in enumerate(asked)]
    (first_ms,) = _timed(lambda k: repository.best(queries[k].descriptors), 1)
    listed: list[set[str]] = []
    best: list[list[str]] = []
    rank_ms = list(_timed(lambda k: best.append([r.name for r, _ in repository.best(queries[k].descriptors)]), photos))
    listed = [set(names) for names in best]
    found: list[bool] = []
    query_ms = list(_timed(lambda k: found.append(_is_found(repository, queries[k], asked[k])), photos))
    nothing = [made.photo(None, 10_000 + k) for k in range(5)]
    believed: list[bool] = []
    nothing_ms = list(_timed(lambda k: believed.append(_believed(repository, nothing[k])), len(nothing)))
    kept: list[float] = []
    exact_ms = list(_timed(lambda k: kept.append(_kept(repository, queries[k], listed[k])), exact))
    return {
        "scenes": scenes,
        "listed": listed_of(scenes),
        "bytes_per_scene": round(store.size() / scenes),
        "query_ms": round(float(np.median(query_ms)), 1),
        "rank_ms": round(float(np.median(rank_ms)), 1),
        "nothing_ms": round(float(np.median(nothing_ms)), 1),
        "exact_ms": round(float(np.median(exact_ms)), 1),
        "open_ms": round(open_ms, 1),
        "first_ms": round(first_ms, 1),
        "listed_recall": float(np.mean([f"scene {n}" in names for n, names in zip(asked, listed, strict=True)])),
        "listed_recall_10": round(float(np.mean(kept)), 4),
        "recall_1": float(np.mean([names[0] == f"scene {n}" for n, names in zip(asked, best, strict=True)])),
        "found": float(np.mean(found)),
        "believed_of_nothing": float(np.mean(believed)),
    }


def _timed(work: Any, count: int) -> Iterator[float]:
    for k in range(count):
        begun = time.process_time()
        work(k)
        yield 1e3 * (time.process_time() - begun)


def _is_found(repository: Repository, photo: PhotoQuery, n: int) -> bool:
    first = repository.by_photo(photo)[0]
    return first.row.name == f"scene {n}" and first.confidence >= CONFIDENT


def _believed(repository: Repository, photo: PhotoQuery) -> bool:
    return repository.by_photo(photo)[0].confidence >= CONFIDENT


def _kept(repository: Repository, photo: PhotoQuery, listed: set[str]) -> float:
    """Share of the truly best few that were listed."""
    scores = repository.scores(photo.descriptors)
    truly = [repository.rows[n].name for n in np.argsort(-scores, kind="stable")[:TOP]]
    return float(np.mean([name in listed for name in truly]))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Cost on the left, what the shortlist keeps on the right."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (cost, kept) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    scenes = [r["scenes"] for r in rows]
    for key, label in {
        "exact_ms": "all scenes compared, no geometry",
        "nothing_ms": "photo of nothing here, 10 cameras looked for",
        "query_ms": "photo of a scene, camera and all",
        "rank_ms": "shortlist and exact comparison alone",
    }.items():
        cost.plot(scenes, [r[key] for r in rows], "o-", label=label, linewidth=2, markersize=4)
    cost.set(xscale="log", yscale="log", xlabel="scenes", ylabel="ms a photo, median", title="Cost of a query")
    for key, style, label in (("listed_recall", "o-", "right scene"), ("listed_recall_10", "s--", "the exact best 10")):
        kept.plot(scenes, [r[key] for r in rows], style, label=label, linewidth=2, markersize=5)
    kept.set(xscale="log", xlabel="scenes", ylim=(0.5, 1.02), title="Share that is in the shortlist")
    for panel in (cost, kept):
        panel.grid(alpha=0.25)
        panel.legend(frameon=False, fontsize=8)
    cost.axvline(EXACT, color="grey", linewidth=1, linestyle=":")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--exact", type=int, default=10, help="photos that are compared with all scenes, too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("scale.png"))
    options = parser.parse_args()
    threads = str(options.threads)
    if os.environ.get("OMP_NUM_THREADS") != threads:  # numpy's idle threads would count as the processor's time
        again = [sys.executable, "-m", "tests.bench.bench_repository_scale", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "OMP_NUM_THREADS": threads})
    set_threads(options.threads)
    torch.set_float32_matmul_precision("medium")
    made, rows = Made(options.seed), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="condense-scale-") as folder:
        store = open_store(Path(folder), make=True)
        for scenes in sorted(options.scenes):
            each = grow(store, made, scenes)
            rows.append({**row(store, made, options.photos, options.exact), "add_ms": round(1e3 * each, 1)})
            print(json.dumps(rows[-1]), flush=True)
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, options.out)


if __name__ == "__main__":
    main()
