"""Poses from files: shape, finiteness and rigidity checked, converted to OpenCV camera axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

GL_TO_CV: Float64 = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL camera axes (x right, y up, z backward) to OpenCV's (x right, y down, z forward): c2w_cv = c2w_gl @ this."""

SLIGHT, GROSS = 1e-3, 0.1
"""Distance of a 3×3 from the nearest rotation (Frobenius): below SLIGHT it is rounding, above GROSS no rotation."""

MAX_COORDINATE = 1e9


def rigid_pose(matrix: Any) -> tuple[Float64, bool]:
    """Check a camera-to-world matrix as a file states it.

    Args:
        matrix: nested lists or an array, 3×4 or 4×4.

    Returns:
        ((4, 4) float64 with an exact rotation, whether the rotation had to be mended). The rotation is the nearest
        in the Frobenius norm, U Vᵀ of the singular value decomposition (orthogonal Procrustes).

    Raises:
        ValueError: says what is wrong: shape, NaN, or no rotation (a reflection, zeros, a shear).
    """
    try:
        m = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        raise ValueError("the pose is not a matrix of numbers") from e
    if m.shape not in ((3, 4), (4, 4)):
        raise ValueError("the pose is neither 3×4 nor 4×4")
    if not np.isfinite(m).all() or np.abs(m).max() > MAX_COORDINATE:
        raise ValueError("the pose is not finite")
    if m.shape == (4, 4) and np.abs(m[3] - [0, 0, 0, 1]).max() > SLIGHT:
        raise ValueError("the pose is not rigid")
    u, _, vt = np.linalg.svd(m[:3, :3])
    r = u @ vt
    off = float(np.linalg.norm(m[:3, :3] - r))
    if np.linalg.det(r) < 0 or off > GROSS:
        raise ValueError("the pose is not rigid")
    out = np.eye(4)
    out[:3, :3] = r
    out[:3, 3] = m[:3, 3]
    return out, off > SLIGHT
