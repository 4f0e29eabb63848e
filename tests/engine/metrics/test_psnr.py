"""PSNR by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.metrics.psnr import CEILING_DB, mse, psnr, psnr_of_mse


def test_a_tenth_everywhere_is_twenty_decibels() -> None:
    truth = np.full((4, 5, 3), 0.5)
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0)
    assert mse(truth + 0.1, truth) == pytest.approx(0.01)


def test_only_valid_pixels_count() -> None:
    truth = np.zeros((2, 2, 3))
    image = truth.copy()
    image[0, 0] = 1.0
    image[1, 1] = 0.1
    valid = np.array([[False, True], [True, True]])
    assert mse(image, truth, valid) == pytest.approx(0.01 / 3)
    assert np.isnan(mse(image, truth, np.zeros((2, 2), np.bool_)))


def test_identical_images_score_the_ceiling() -> None:
    truth = np.random.default_rng(0).random((3, 3, 3))
    assert psnr(truth, truth) == CEILING_DB
    assert psnr_of_mse(1.0) == 0.0
