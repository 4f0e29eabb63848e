"""What is shown on voxels: their own features, or a neighbour's where no view sees them."""

from __future__ import annotations

import numpy as np

from engine.encoders.pca import ColourBasis
from engine.features import UNSEEN_GREY, LiftedOn
from engine.grid import GridSpec, RadianceGrid
from engine.grid.lift import LiftedFeatures
from engine.queries.quantise import cosines


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
    return LiftedOn(grid, LiftedFeatures(mean, np.zeros(5, np.float32), weight), basis)


def test_unseen_voxels_show_a_seen_neighbour() -> None:
    assert lifted().nearest_known.tolist() == [1, 1, 1, 3, 4]


def test_only_voxels_with_no_seen_neighbour_are_grey() -> None:
    rgb = lifted().colours
    np.testing.assert_array_equal(rgb[0], rgb[1])
    np.testing.assert_array_equal(rgb[2], rgb[1])
    assert rgb[4].tolist() == [UNSEEN_GREY] * 3


def test_known_voxels_and_their_centres() -> None:
    rows, centres_w = lifted().known
    assert rows.tolist() == [1, 3]
    np.testing.assert_allclose(centres_w, [[0.75, 0.25, 0.25], [3.25, 3.25, 3.25]])


def test_cosines_with_codes_are_those_with_the_features() -> None:
    scene = lifted()
    query = np.array([0, 0.8, 0.6, 0], np.float32)
    np.testing.assert_allclose(cosines(*scene.codes, query), scene.features.mean @ query, atol=5e-3)
