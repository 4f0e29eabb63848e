"""The keypoint head: shapes, size, what it does not depend on, and its weights' file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.errors import QueryError, WeightsError
from engine.keypoints.network import LOCAL_DIM, KeypointDetector, KeypointNet, load_keypoints
from engine.storage import write_tensors


@pytest.fixture(scope="module")
def detector() -> KeypointDetector:
    torch.manual_seed(0)
    return KeypointDetector(KeypointNet(), torch.device("cpu"))


def picture(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((10, 10, 1), np.uint8))


def test_shapes_and_size(detector: KeypointDetector) -> None:
    assert sum(p.numel() for p in detector.net.parameters()) <= 150_000
    for size, (h, w) in (((60, 80), (336, 448)), ((70, 50), (448, 320)), ((30, 450), (32, 448))):
        logits, local = detector.maps(np.zeros((*size, 3), np.uint8))
        assert logits.shape == (h, w)
        assert local.shape == (h // 4, w // 4, LOCAL_DIM)
        assert torch.isfinite(logits).all()
    scores = detector.scores(picture())
    assert 0 <= scores.min() < scores.max() <= 1


def test_detections_are_relative_ranked_and_the_same_each_time(detector: KeypointDetector) -> None:
    found = detector.detect(picture(), 40)
    assert found.rel.shape == (40, 2)
    assert (found.rel > 0).all()
    assert (found.rel < 1).all()
    assert (np.diff(found.score) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.local, axis=1), 1, rtol=1e-5)
    again = detector.detect(picture(), 40)
    np.testing.assert_array_equal(found.rel, again.rel)
    features = np.eye(40, 64, dtype=np.float32)
    joined = detector.joined(features, found.local)
    assert joined.shape == (40, 64 + LOCAL_DIM)
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, rtol=1e-5)


def test_exposure_says_nothing(detector: KeypointDetector) -> None:
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        logits, _ = detector.net(image)
        darker, _ = detector.net(0.4 * image + 0.1)
    torch.testing.assert_close(logits, darker, rtol=0.1, atol=0.2)
    assert torch.corrcoef(torch.stack([logits.flatten(), darker.flatten()]))[0, 1] > 0.99


def test_only_images_of_bytes(detector: KeypointDetector) -> None:
    with pytest.raises(QueryError):
        detector.detect(np.zeros((10, 10), np.uint8), 5)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    net = KeypointNet()
    good = {name: t.detach().half().numpy() for name, t in net.state_dict().items()}
    write_tensors(file, good, {})
    again = load_keypoints(torch.device("cpu"), file)
    torch.testing.assert_close(again.net.score.weight, net.score.weight.half().float())
    assert again.id
    write_tensors(file, {"x": np.zeros(3, np.float32)}, {})
    with pytest.raises(WeightsError, match="keypoint head"):
        load_keypoints(torch.device("cpu"), file)


def test_the_shipped_head_finds_corners() -> None:
    """Corners of a black square on white, before anything else."""
    head = load_keypoints(torch.device("cpu"))
    image = np.full((336, 448, 3), 230, np.uint8)
    image[100:220, 150:290] = 30
    found = head.detect(image, 8).rel * [448, 336]
    corners = np.array([[150, 100], [290, 100], [150, 220], [290, 220]])
    distance = np.linalg.norm(found[:, None] - corners, axis=2).min(axis=0)
    assert (distance <= 5).all()
