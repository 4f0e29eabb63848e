"""Similarity transforms against the truth, and duplicates among scenes that are alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.api.camera import look_at
from engine.api.jobs import finish
from engine.repository.align import align, similarity
from engine.repository.pose import place
from engine.repository.record import SceneRecord, decode, encode
from engine.repository.search import Repository
from engine.repository.store import open_store
from tests.engine.repository.made import record, unit


def moved(scene: SceneRecord, seed: int, *, kept: int, scale: float = 1.7) -> tuple[SceneRecord, np.ndarray]:
    """A second scan: other axes and scale, a bit of noise, and only the first ``kept`` keypoints the same."""
    rng = np.random.default_rng(seed)
    transform = np.eye(4)
    transform[:3, :3] = scale * Rotation.random(random_state=seed).as_matrix()
    transform[:3, 3] = rng.normal(size=3)
    pos = scene.pos_w @ transform[:3, :3].T + transform[:3, 3] + rng.normal(0, 0.01 * scale, scene.pos_w.shape)
    described = decode(scene.codes) + 0.05 * unit(rng, len(scene))
    described /= np.linalg.norm(described, axis=1, keepdims=True)
    described[kept:] = unit(rng, len(scene) - kept)
    pos[kept:] = rng.uniform(-3, 3, (len(scene) - kept, 3))
    other = replace(
        scene, fingerprint=f"again-{seed}", name=f"again {seed}", path=f"/again/{seed}", pos_w=pos.astype(np.float32),
        codes=encode(described), extent_w=scene.extent_w * scale,
    )  # fmt: skip
    return other, transform


@settings(max_examples=30)
@given(st.integers(0, 100_000), st.floats(0.1, 10))
def test_similarity_is_found_exactly(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(2, 7, 3))
    rotation = Rotation.random(random_state=seed).as_matrix()
    target = scale * source @ rotation.T + [1.0, -2.0, 0.5]
    linear, shift = similarity(source, target)
    np.testing.assert_allclose(linear, np.stack([scale * rotation] * 2), atol=1e-6 * max(scale, 1))
    np.testing.assert_allclose(shift, [[1.0, -2.0, 0.5]] * 2, atol=1e-5)


def test_mirrored_points_are_turned_not_mirrored() -> None:
    source = np.random.default_rng(0).normal(size=(1, 9, 3))
    linear, _ = similarity(source, source * [1, 1, -1])
    assert np.linalg.det(linear[0]) > 0


def test_a_second_scan_is_aligned() -> None:
    scene = record(3, keypoints=120)
    other, transform = moved(scene, 5, kept=80)
    found = align(scene, other)
    assert found is not None
    assert found.confidence > 0.9
    assert found.count >= 70
    assert 0.6 < found.overlap <= 1
    there = scene.pos_w @ found.a_to_b[:3, :3].T + found.a_to_b[:3, 3]
    truth = scene.pos_w @ transform[:3, :3].T + transform[:3, 3]
    assert np.linalg.norm(there - truth, axis=1).max() < 0.05 * other.extent_w
    assert align(scene, other) is not found
    again = align(scene, other)
    assert again is not None
    assert (again.a_to_b == found.a_to_b).all()


def test_two_scans_without_overlap_are_not_one_place() -> None:
    scene = record(3, keypoints=120)
    other, _ = moved(scene, 5, kept=0)
    found = align(scene, other)
    assert found is None or found.confidence < 0.5


def test_duplicates_are_found_and_nothing_else(tmp_path: Path) -> None:
    store = open_store(tmp_path, make=True)
    for seed in range(8):
        store.add(record(seed, keypoints=100))
    other, _ = moved(record(2, keypoints=100), 9, kept=70)
    store.add(other)
    (pair,) = finish(Repository(store).duplicates())
    assert (pair.a.name, pair.b.row.name) == ("room 2", "again 9")
    assert pair.b.alignment is not None
    assert pair.b.alignment.a_to_b[0, :3] @ pair.b.alignment.a_to_b[0, :3] == pytest.approx(1.7**2, rel=0.05)
    (best, *rest) = Repository(store).by_scene(other)
    assert best.row.name == "room 2"
    assert "again 9" not in [r.row.name for r in rest]


def test_what_was_moved_between_scans_is_told() -> None:
    scene = record(3, keypoints=200)
    again, _ = moved(scene, 5, kept=200)
    found = align(scene, again)
    assert found is not None
    assert found.agreement > 0.8
    assert not found.changed
    rng = np.random.default_rng(0)
    described = decode(again.codes)
    described[:40] = unit(rng, 40)  # a fifth of the places shows other things
    refurnished = align(scene, replace(again, codes=encode(described)))
    assert refurnished is not None
    assert refurnished.count > 100
    assert refurnished.changed
    back = align(replace(again, codes=encode(described)), scene)
    assert back is not None
    assert abs(back.agreement - refurnished.agreement) < 0.05


def symmetric(seed: int) -> SceneRecord:
    """A scene that looks the same turned by half a turn about its third axis."""
    half = record(seed, keypoints=100)
    pos_w = np.concatenate([half.pos_w, half.pos_w * np.array([-1, -1, 1], np.float32)])
    return replace(half, pos_w=pos_w, codes=np.concatenate([half.codes, half.codes]))


def test_a_room_that_looks_the_same_from_two_sides_is_told() -> None:
    scene = symmetric(3)
    rng = np.random.default_rng(1)

    def scanned_again(of: SceneRecord) -> SceneRecord:
        described = decode(of.codes) + 0.05 * unit(rng, len(of))
        described /= np.linalg.norm(described, axis=1, keepdims=True)
        return replace(of, fingerprint="again", codes=encode(described))

    found = align(scene, scanned_again(scene))
    assert found is not None
    assert found.confidence > 0.9  # it is the place; how it lies is another matter
    assert found.ambiguous
    plain = record(3, keypoints=200)
    other = align(plain, scanned_again(plain))
    assert other is not None
    assert not other.ambiguous


def test_a_photo_that_fits_from_two_sides_is_told() -> None:
    scene = symmetric(5)
    camera = look_at([6.0, 1.0, 2.0], [0, 0, 0], [0, 0, 1], fov_y=45, width=640, height=480)
    pos_px, _ = camera.project(scene.pos_w.astype(np.float64))
    rows = np.arange(100)
    turned = np.where(rows < 55, rows, rows + 100)  # of twins either is as like, so some are matched the other way
    found = place(pos_px[:100], scene.pos_w, np.stack([rows, turned], axis=1), (640, 480), camera.intrinsics[0, 0])
    assert found is not None
    assert (found.count, found.rival) == (55, 45)
    assert found.ambiguous
    sure = place(pos_px[:100], scene.pos_w, np.stack([rows, rows], axis=1), (640, 480), camera.intrinsics[0, 0])
    assert sure is not None
    assert not sure.ambiguous
