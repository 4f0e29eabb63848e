"""Oriented boxes around voxels, and their geometry."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from engine.annotations.places import VoxelPlaces
from engine.api.annotations import NOTHING, OrientedBox
from engine.api.errors import AnnotationError

Float64 = NDArray[np.float64]


def fit_box(
    places: VoxelPlaces, rows: ArrayLike, up_w: ArrayLike | None, *, id: int, class_id: int, instance: int = NOTHING
) -> OrientedBox:
    """The smallest box around voxels.

    Args:
        places: of the scene's voxels.
        rows: (N,) which.
        up_w: (3,) the upward direction: the box stands upright, its third axis is up, and turned about it so that its
            footprint is smallest; None: turned freely so that its volume is smallest.
        id: of the box.
        class_id: of the box.
        instance: that it is of.

    Raises:
        AnnotationError: no voxels.
    """
    where = np.asarray(rows, np.int64)
    if not len(where):
        raise AnnotationError("there is nothing to fit a box to", mend="select something first")
    centres_w = places.spec.to_world(places.index[where] + 0.5)
    if up_w is None:
        axes = _free(centres_w, places.spec.voxel)
    else:
        axes = _upright(centres_w, np.asarray(up_w, np.float64))
    along = centres_w @ axes
    lo, hi = along.min(axis=0), along.max(axis=0)
    size = hi - lo + places.spec.voxel  # voxels reach half of their edge beyond their centres
    w, x, y, z = (float(v) for v in Rotation.from_matrix(axes).as_quat(scalar_first=True))
    return OrientedBox(id, class_id, _triple(axes @ ((lo + hi) / 2)), _triple(size), (w, x, y, z), instance)


def axes_of(box: OrientedBox) -> Float64:
    """(3, 3) the box's own axes as columns, in the world."""
    return Rotation.from_quat(box.rotation, scalar_first=True).as_matrix()


def corners_w(box: OrientedBox) -> Float64:
    """(8, 3) its corners; x changes slowest, z fastest."""
    signs = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.array(box.centre_w) + (signs * box.size_w) @ axes_of(box).T


def inside_box(box: OrientedBox, pos_w: ArrayLike) -> NDArray[np.bool_]:
    """(N,) whether points (N, 3) lie in it."""
    local = (np.asarray(pos_w, np.float64) - box.centre_w) @ axes_of(box)
    return (np.abs(local) <= np.array(box.size_w) / 2).all(axis=1)


def _upright(centres_w: Float64, up: Float64) -> Float64:
    up = up / np.linalg.norm(up)
    a = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    a /= np.linalg.norm(a)
    b = np.cross(up, a)
    flat = np.stack([centres_w @ a, centres_w @ b], axis=1)
    middle = flat.mean(axis=0)
    scale = max(float(np.abs(flat - middle).max()), 1e-12)
    _, _, degrees = cv2.minAreaRect(((flat - middle) / scale).astype(np.float32))
    # a quarter turn is the same box: the one that turns least
    angle = np.deg2rad((degrees + 45) % 90 - 45)
    x = np.cos(angle) * a + np.sin(angle) * b
    return np.stack([x, np.cross(up, x), up], axis=1)


def _free(centres_w: Float64, voxel: float) -> Float64:
    from trimesh.bounds import oriented_bounds

    # the voxels' corners, not their centres, which may lie on a line
    signs = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners = (centres_w[:, None] + signs * voxel).reshape(-1, 3)
    middle = centres_w.mean(axis=0)
    to_box, _ = oriented_bounds((corners - middle) / voxel)
    axes = np.array(to_box[:3, :3]).T
    return axes if np.linalg.det(axes) > 0 else axes * np.array([1, 1, -1])


def _triple(v: Float64) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])
