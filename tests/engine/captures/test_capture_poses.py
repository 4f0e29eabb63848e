from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.captures.poses import rigid_pose

coordinates = st.floats(-100, 100)
quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(v * v for v in q) > 0.01)


@given(quaternions, st.tuples(*[coordinates] * 3), st.booleans())
def test_rigid_poses_pass_unchanged(q: tuple[float, ...], t: tuple[float, ...], short: bool) -> None:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(q).as_matrix()
    pose[:3, 3] = t
    out, mended = rigid_pose((pose[:3] if short else pose).tolist())
    np.testing.assert_allclose(out, pose, atol=1e-12)
    assert not mended


@given(quaternions, st.integers(0, 2**31))
def test_slightly_bent_poses_become_the_nearest_rotation(q: tuple[float, ...], seed: int) -> None:
    r = Rotation.from_quat(q).as_matrix()
    pose = np.eye(4)
    pose[:3, :3] = r + np.random.default_rng(seed).uniform(-0.01, 0.01, (3, 3))
    out, _ = rigid_pose(pose)
    np.testing.assert_allclose(out[:3, :3] @ out[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(out[:3, :3]) == pytest.approx(1)
    # No rotation is nearer to what the file held; the true one certainly is not.
    bent = pose[:3, :3]
    assert np.linalg.norm(bent - out[:3, :3]) <= np.linalg.norm(bent - r) + 1e-12


def test_a_bend_worth_mentioning_is_mentioned() -> None:
    assert rigid_pose(np.diag([1.01, 1, 1, 1]))[1]
    assert not rigid_pose(np.diag([1.0001, 1, 1, 1]))[1]


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        (None, "neither 3×4 nor 4×4"),
        ("identity", "not a matrix"),
        ([[1, 0], [0]], "not a matrix"),
        ([["a"] * 4] * 4, "not a matrix"),
        ({"r": 1}, "not a matrix"),
        ([[10**400, 0, 0, 0]] + [[0] * 4] * 3, "not a matrix"),
        (np.eye(3), "neither"),
        (np.zeros((4, 4)), "not rigid"),
        (np.zeros((3, 4)), "not rigid"),
        (np.diag([1.0, 1, -1, 1]), "not rigid"),
        (np.diag([2.0, 2, 2, 1]), "not rigid"),
        (np.diag([1.0, 1, 1, 0]), "not rigid"),
        (np.full((4, 4), np.nan), "not finite"),
        (np.diag([1, 1, 1, np.inf]), "not finite"),
        (np.array([[1, 0, 0, 1e30], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "not finite"),
    ],
)
def test_what_is_no_pose_is_refused(pose: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rigid_pose(pose)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=3), st.lists, max_leaves=20))
def test_anything_else_is_a_value_error_or_a_pose(thing: object) -> None:
    try:
        out, _ = rigid_pose(thing)
    except ValueError:
        return
    assert out.shape == (4, 4)
