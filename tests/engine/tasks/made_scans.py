"""Labelled scans in every layout, for the tests of segmentation: a floor, and a red post that stands on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open3d as o3d

from engine.annotations.formats.ply import classes_path, write_points
from engine.annotations.palette import write_classes
from engine.api.annotations import LabelClass

KINDS = ("floor", "post")


def scene(rng: np.random.Generator, count: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 3) points of metres, (N, 3) colours and (N,) 0 for the floor, 1 for the post."""
    at = rng.uniform(1, 3, 2)
    floor = np.c_[rng.uniform(0, 4, (count, 2)), 0.02 * rng.random(count)]
    post = np.c_[at + rng.uniform(-0.2, 0.2, (count // 3, 2)), rng.uniform(0.1, 2, count // 3)]
    label = np.repeat([0, 1], [len(floor), len(post)])
    rgb = np.where(label[:, None] == 1, [200, 30, 30], [90, 90, 90]).astype(np.uint8)
    return np.concatenate([floor, post]), rgb, label


def s3dis(root: Path, rooms: int = 2) -> Path:
    """Areas 1 and 5."""
    rng = np.random.default_rng(0)
    for area in ("Area_1", "Area_5"):
        for n in range(rooms):
            place = root / area / f"office_{n}" / "Annotations"
            place.mkdir(parents=True)
            pos, rgb, label = scene(rng)
            for k, name in enumerate(("floor_1", "column_1")):
                np.savetxt(place / f"{name}.txt", np.c_[pos, rgb][label == k], "%.3f")
    return root


def scannet(root: Path, scans: int = 2) -> Path:
    """As published: ``scans`` and lists."""
    rng = np.random.default_rng(1)
    for split, first in (("train", 0), ("val", scans)):
        ids = [f"scene{first + n:04}_00" for n in range(scans)]
        root.mkdir(exist_ok=True)
        (root / f"scannetv2_{split}.txt").write_text("\n".join(ids))
        for id in ids:
            place = root / "scans" / id
            place.mkdir(parents=True)
            pos, rgb, label = scene(rng)
            mesh = o3d.geometry.TriangleMesh(
                o3d.utility.Vector3dVector(pos), o3d.utility.Vector3iVector(np.array([[0, 1, 2]]))
            )
            mesh.vertex_colors = o3d.utility.Vector3dVector(rgb / 255)
            assert o3d.io.write_triangle_mesh(str(place / f"{id}_vh_clean_2.ply"), mesh)
            segments = label * 7 + 3
            (place / f"{id}_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segments.tolist()}))
            groups = [{"objectId": k, "segments": [k * 7 + 3], "label": name} for k, name in enumerate(KINDS)]
            (place / f"{id}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    return root


def shapenetpart(root: Path) -> Path:
    """Mugs of which one part is above the other."""
    rng = np.random.default_rng(2)
    (root / "train_test_split").mkdir(parents=True)
    (root / "03797390").mkdir()
    (root / "synsetoffset2category.txt").write_text("Mug\t03797390\n")
    for split, ids in (("train", ["a", "b"]), ("val", ["c"]), ("test", ["d", "e"])):
        told = json.dumps([f"shape_data/03797390/{id}" for id in ids])
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(told)
        for id in ids:
            pos = rng.uniform(-1, 1, (300, 3))
            label = 36 + (pos[:, 1] > 0)
            np.savetxt(root / "03797390" / f"{id}.txt", np.c_[pos, np.zeros((300, 3)), label], "%.4f")
    return root


def annotated(root: Path, scans: int = 2) -> Path:
    """As ``condense annotate export`` writes PLY."""
    rng = np.random.default_rng(3)
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        for n in range(scans):
            path = root / split / f"scan{n}.ply"
            pos, rgb, label = scene(rng)
            write_points(path, pos, rgb, label + 1, np.zeros(len(label)))
            write_classes(classes_path(path), [LabelClass(k, name, (9, 9, 9)) for k, name in enumerate(KINDS, 1)])
    return root


LAYOUTS = {"s3dis": s3dis, "scannet": scannet, "shapenetpart": shapenetpart, "annotated": annotated}
