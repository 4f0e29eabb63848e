"""How one bare geometry lies in another: FPFH, RANSAC over triples, and ICP.

What the 3D encoder says of geometry without colour is no descriptor of places (two scans of one room share one to three
of a hundred of its mutual nearest neighbours), so this is the classical way: fast point feature histograms (Rusu,
Blodow and Beetz, ICRA 2009) and point-to-plane ICP, both by Open3D. RANSAC is our own, for Open3D's answers otherwise
at each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import RepositoryError
from engine.repository.align import similarity

if TYPE_CHECKING:
    import open3d as o3d

Float64 = NDArray[np.float64]

VOXELS_ACROSS = 120
"""Points are thinned to one a voxel; so many lie along the diagonal of b."""
NORMAL_REACH, FEATURE_REACH, AGREE = 2.0, 5.0, 1.5
"""In voxels."""
TRIALS = 200_000
EDGES = 0.9
"""Least ratio of a triangle's edges in a and in b: RANSAC looks at no others."""
LOOKED_AT = 4_000
LEAST_POINTS = 100


@dataclass(frozen=True, eq=False)
class GeometricAlignment:
    """Geometry a in geometry b.

    Attributes:
        a_to_b: (4, 4) rigid motion.
        overlap: share of the thinned points of a that come to lie within a voxel and a half of b.
        rms_w: of these, root mean square distance, world units.
    """

    a_to_b: Float64
    overlap: float
    rms_w: float


def align_points(a: NDArray[Any], b: NDArray[Any], seed: int = 0) -> GeometricAlignment | None:
    """The rigid motion that brings points (N, 3) onto points (M, 3) of the same scale; None where none is found.

    One is found between most rooms, for all have walls and floors: look at ``overlap`` and ``rms_w``.

    Raises:
        RepositoryError: too few points to tell anything by.
    """
    for points in (a, b):
        if len(points) < LEAST_POINTS:
            found, expected = f"{len(points)} points", f"{LEAST_POINTS} or more"
            raise RepositoryError("there is too little geometry to align", found=found, expected=expected)
    voxel = float(np.linalg.norm(np.ptp(np.asarray(b, np.float64), axis=0))) / VOXELS_ACROSS
    if not np.isfinite(voxel) or voxel <= 0:
        raise RepositoryError("the geometry has no extent", found=f"{len(b)} points at one place")
    (pos_a, of_a, cloud_a), (pos_b, of_b, cloud_b) = (_described(p, voxel) for p in (a, b))
    matched = _mutual(of_a, of_b)
    first = _ransac(pos_a[matched[:, 0]], pos_b[matched[:, 1]], AGREE * voxel, seed)
    return None if first is None else _refined(cloud_a, cloud_b, first, AGREE * voxel)


def _described(points: NDArray[Any], voxel: float) -> tuple[Float64, NDArray[np.float32], o3d.geometry.PointCloud]:
    """Thinned positions (K, 3), their histograms (K, 33), and both as Open3D has them."""
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(np.asarray(points, np.float64)))
    cloud = cloud.voxel_down_sample(voxel)
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamHybrid(NORMAL_REACH * voxel, 30))
    cloud.orient_normals_towards_camera_location(np.asarray(cloud.points).mean(axis=0))
    reach = o3d.geometry.KDTreeSearchParamHybrid(FEATURE_REACH * voxel, 100)
    found = o3d.pipelines.registration.compute_fpfh_feature(cloud, reach).data
    return np.asarray(cloud.points), np.asarray(found, np.float32).T, cloud


def _mutual(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.int64]:
    """(M, 2) rows that are each other's nearest."""
    from scipy.spatial import KDTree

    there = KDTree(b).query(a)[1]
    back = KDTree(a).query(b)[1]
    rows = np.flatnonzero(back[there] == np.arange(len(a)))
    return np.stack([rows, there[rows]], axis=1).astype(np.int64)


def _ransac(source: Float64, target: Float64, within: float, seed: int) -> Float64 | None:
    """The rigid motion (4, 4) that most matches (M, 3) agree with."""
    if len(source) < 3:
        return None
    rng = np.random.default_rng(seed)
    triples = rng.integers(len(source), size=(TRIALS, 3))
    edges = [
        np.stack([np.linalg.norm(p[triples[:, i]] - p[triples[:, j]], axis=1) for i, j in ((0, 1), (1, 2), (2, 0))])
        for p in (source, target)
    ]
    shorter, longer = np.minimum(*edges), np.maximum(*edges)
    good = np.flatnonzero(((shorter > EDGES * longer) & (shorter > 4 * within)).all(axis=0))[:LOOKED_AT]
    best, most = None, 2
    for n in good:
        motion = _rigid(source[triples[n]], target[triples[n]])
        agree = np.linalg.norm(source @ motion[:3, :3].T + motion[:3, 3] - target, axis=1) < within
        if agree.sum() > most:
            best, most = _rigid(source[agree], target[agree]), int(agree.sum())
    return best


def _rigid(source: Float64, target: Float64) -> Float64:
    """Least-squares rotation and shift (Kabsch) of (N, 3) points."""
    linear, _ = similarity(source[None], target[None])
    turn = linear[0] / np.cbrt(np.linalg.det(linear[0]))
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn, target.mean(axis=0) - turn @ source.mean(axis=0)
    return out


def _refined(
    a: o3d.geometry.PointCloud, b: o3d.geometry.PointCloud, start: Float64, within: float
) -> GeometricAlignment:
    import open3d as o3d

    registration = o3d.pipelines.registration
    to_plane = registration.TransformationEstimationPointToPlane()
    for reach in (2 * within, within):
        start = registration.registration_icp(a, b, reach, start, to_plane).transformation
    told = registration.evaluate_registration(a, b, within, start)
    return GeometricAlignment(np.asarray(start, np.float64), float(told.fitness), float(told.inlier_rmse))
