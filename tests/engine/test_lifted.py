"""What is shown on voxels: their own features, or a neighbour's where no view sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine.api.jobs import finish
from engine.captures import open_capture
from engine.encoders.pca import ColourBasis
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.encoders.volume.working import MOST, WorkingVoxels
from engine.grid import GridSpec, RadianceGrid
from engine.grid.coarse import coarsened
from engine.lifted import UNSEEN_GREY, LiftedOn, lift, make_lifted
from engine.queries.bank import FeatureBank
from engine.queries.quantise import quantise
from engine.results import ResultStore
from engine.training.rooms.grid import fused_grid
from tests.conftest import write_tiny_capture


def lifted() -> LiftedOn:
    """Five voxels: 0, 1, 2 in a row with only 1 seen; 3 far off and seen; 4 farther off and unseen."""
    index = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [6, 6, 6], [6, 0, 6]], np.int32)
    grid = RadianceGrid.of(
        GridSpec(np.zeros(3), 0.5, (8, 8, 8)), index, np.full((5, 3), 0.5), np.ones(5), np.full((1, 1, 3), 0.5)
    )
    mean = np.zeros((5, 4), np.float32)
    mean[1], mean[3] = [1, 0, 0, 0], [0, 0.6, 0.8, 0]
    weight = np.array([0, 2, 0, 1, 0], np.float32)
    basis = ColourBasis.fit(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    return finish(make_lifted(grid, basis, quantise(mean)[0], np.array([9, 0.1, 9, 0.2, 9], np.float32), weight))


def test_unseen_voxels_show_a_seen_neighbour() -> None:
    assert lifted().shown.tolist() == [1, 1, 1, 3, 4]
    np.testing.assert_allclose(lifted().spread[:4], [0.1, 0.1, 0.1, 0.2], atol=1e-6)


def test_only_voxels_with_no_seen_neighbour_are_grey() -> None:
    rgb = lifted().rgb
    np.testing.assert_array_equal(rgb[0], rgb[1])
    np.testing.assert_array_equal(rgb[2], rgb[1])
    assert rgb[4].tolist() == [UNSEEN_GREY] * 3


def test_known_voxels_and_their_centres() -> None:
    scene = lifted()
    assert scene.known.tolist() == [1, 3]
    np.testing.assert_allclose(scene.known_w, [[0.75, 0.25, 0.25], [3.25, 3.25, 3.25]])


def test_features_have_unit_length_and_their_direction() -> None:
    found = lifted().features(np.array([1, 3, 4]))
    np.testing.assert_allclose(found, [[1, 0, 0, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 0]], atol=5e-3)


def test_values_are_carried_by_place() -> None:
    scene = lifted()
    index = np.array([[1, 0, 0], [5, 5, 5], [3, 6, 0]], np.int32)
    other = RadianceGrid.of(
        GridSpec(np.zeros(3), 0.5, (8, 8, 8)), index, np.full((3, 3), 0.5), np.ones(3), np.full((1, 1, 3), 0.5)
    )
    slices = list(scene.follow(other))
    assert len(slices) == 1
    values = np.array([1, 2, 3, 4, 5], np.float32)
    assert scene.carry(other, values).tolist() == [2, 4, 0]  # its own place, the one beside it, nothing near
    assert list(scene.follow(other)) == []  # known by now
    assert scene.carry(scene.grid, values) is values


class FakeMaps:
    """What ``lift`` asks of a feature set: two views that see a wall, and a 3D encoder or none."""

    def __init__(self, volume: VolumeEncoder | None) -> None:
        self.volume, self.dim, self.id = volume, 6, f"fake-{volume is None}"
        self.key = self.id
        rng = np.random.default_rng(0)
        self.basis = ColourBasis.fit(rng.normal(size=(50, 6)).astype(np.float32))
        self.bank = FeatureBank(6)
        for view in (0, 1):
            map_ = rng.normal(size=(12, 16, 6)).astype(np.float32)
            self.bank.add_view(view, map_ / np.linalg.norm(map_, axis=2, keepdims=True))

    def views(self) -> list[int]:
        return [0, 1]


def test_what_the_3d_encoder_adds_is_added_where_photos_speak(tmp_path: Path) -> None:
    capture = open_capture(write_tiny_capture(tmp_path / "tiny", width=160, height=120))
    grid = finish(fused_grid(capture, 30_000))
    torch.manual_seed(0)
    network = VolumeEncoder(VolumeConfig(dim=6, widths=(8, 8, 8))).eval()
    torch.nn.init.normal_(network.head.weight)
    store = ResultStore.of(capture.fingerprint, capture.path, tmp_path / "cache")
    plain, changed = (
        finish(lift(grid, FakeMaps(volume), capture, store))
        for volume in (None, network)  # type: ignore[arg-type]
    )
    rows = np.flatnonzero(plain.weight > 0)
    image = np.zeros((len(grid.index), 6), np.float32)
    image[rows] = plain.features(rows)
    voxels = WorkingVoxels(coarsened(grid, MOST), network.levels, torch.device("cpu"))
    expected = finish(voxels.encode(network, torch.from_numpy(image))).features.numpy()
    found = changed.features(rows)
    assert (found * expected[rows]).sum(axis=1).min() > 0.99
    assert (found * image[rows]).sum(axis=1).mean() < 0.95
    unseen = np.flatnonzero(plain.weight <= 0)
    assert not changed.codes[unseen].any()
