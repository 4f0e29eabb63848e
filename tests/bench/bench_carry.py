"""How well a thing that was labelled in one room is found in others, where its class is there and where it is not.

Of each room's things, one at a time, the true voxels are described, and all other rooms are asked for what is like it.
A suggestion is right when its IoU with a thing of the class, of those not found yet, is one half or more.

    python -m tests.bench.bench_carry ROOMS [--rooms N]

ROOMS is a folder of shards that ``engine.training.rooms.generate`` made, of models that no training saw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from engine.annotations.nets import load_nets, nets_path
from engine.annotations.regions import region_tree
from engine.annotations.select import INPUTS, SelectScene
from engine.annotations.suggest import LEAST_LIKENESS, alike, example_of
from engine.api.jobs import finish
from engine.encoders.mobile import load_default
from engine.encoders.volume import load_volume_encoder
from engine.metrics.select import KnownRoom, iou, known_room
from engine.runtime import asset_path, set_threads
from engine.training.rooms.shards import open_shards

RIGHT = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms_folder", type=Path)
    parser.add_argument("--rooms", type=int, default=8)
    args = parser.parse_args()
    set_threads(None)
    nets, encoder = load_nets(nets_path(), INPUTS), load_default(torch.device("cpu"))
    volume = load_volume_encoder(asset_path("weights/condense3d.safetensors"))
    rooms: list[tuple[KnownRoom, SelectScene, dict[int, str]]] = []
    for ref in open_shards(args.rooms_folder)[: args.rooms]:
        capture = ref.load()
        room = finish(known_room(capture, encoder, volume))
        scene = SelectScene(room.grid, room.block, finish(region_tree(room.voxels, nets)), nets)
        rooms.append((room, scene, {o.id: o.label for o in capture.objects if o.id in room.things}))
        print(f"{room.name}: {len(room.things)} things", flush=True)
    first: list[bool] = []
    found, there, offered, right, strangers, idle = 0, 0, 0, 0, 0, 0
    for a, scene_a, labels_a in rooms:
        for thing, label in labels_a.items():
            example = example_of(scene_a, np.flatnonzero(a.ids == thing))
            for b, scene_b, labels_b in rooms:
                if b is a:
                    continue
                left = {t for t, other in labels_b.items() if other == label}
                suggestions = alike(scene_b, [example])
                if not left:
                    idle += 1
                    strangers += len(suggestions)
                    continue
                there += len(left)
                hits: list[bool] = []
                for s in suggestions:
                    mask = np.zeros(len(b.ids), np.bool_)
                    mask[s.rows] = True
                    hit = next((t for t in left if iou(mask & (b.ids > 0), b.ids == t) >= RIGHT), None)
                    left -= {hit}
                    hits.append(hit is not None)
                first.append(bool(hits and hits[0]))
                found, offered, right = found + sum(hits), offered + len(hits), right + sum(hits)
    print(f"least likeness {LEAST_LIKENESS}; {len(rooms)} rooms")
    print(f"class is there: {len(first)} questions, first suggestion right {np.mean(first):.3f}")
    print(
        f"  of {offered} suggestions right {right / max(1, offered):.3f}; of {there} things found {found / there:.3f}"
    )
    print(f"class is not there: {idle} questions, {strangers / max(1, idle):.2f} suggestions each, all wrong")


if __name__ == "__main__":
    main()
