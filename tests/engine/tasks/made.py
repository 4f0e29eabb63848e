"""Class folders of generated objects, for the tests of tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d
import trimesh

KINDS = ("ball", "box", "pole")


def mesh_of(kind: str, rng: np.random.Generator) -> trimesh.Trimesh:
    """One of three kinds of objects, of random size."""
    size = rng.uniform(0.5, 5)
    wide = rng.uniform(0.7, 1, 3)
    if kind == "ball":
        mesh = trimesh.creation.icosphere(3)
    elif kind == "box":
        mesh = trimesh.creation.box((1, 1, 1))
    else:
        mesh = trimesh.creation.cylinder(0.1, 1.5)
    mesh.apply_scale(size * wide)
    mesh.apply_translation(rng.uniform(-9, 9, 3))
    return mesh


def class_folder(
    root: Path, train: int = 4, test: int = 3, *, split_first: bool = False, suffix: str = "off", seed: int = 0
) -> Path:
    """A folder of three classes."""
    rng = np.random.default_rng(seed)
    for kind in KINDS:
        for split, count in (("train", train), ("test", test)):
            place = root / split / kind if split_first else root / kind / split
            place.mkdir(parents=True)
            for n in range(count):
                write(mesh_of(kind, rng), place / f"{kind}_{n:04}.{suffix}", rng)
    return root


def write(mesh: trimesh.Trimesh, path: Path, rng: np.random.Generator) -> None:
    """As a mesh; as 1,024 points without colour for PCD and NPZ."""
    if path.suffix not in (".pcd", ".npz"):
        mesh.export(path)
        return
    pos, _ = trimesh.sample.sample_surface(mesh, 1024, seed=int(rng.integers(1 << 30)))
    if path.suffix == ".npz":
        np.savez(path, points=np.asarray(pos, np.float32))
    else:
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(np.asarray(pos)))
        assert open3d.io.write_point_cloud(str(path), cloud)
