"""Views of objects: what is drawn where, the nearest in front; what is seen of them is kept, and stands beside 3D."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.api.tasks import CONDENSE, SCRATCH
from engine.api.tasks import VIEWS as VIEWS_INIT
from engine.encoders.classes import ClassNetwork, load_classes
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.prompting import classes_path
from engine.tasks import classify as classifying
from engine.tasks import looks as looking
from engine.tasks.classifier import ShapeClassifier, pooled, seen_of
from engine.tasks.classify import Labels, Run, classify, predicted
from engine.tasks.folders import read_classes
from engine.tasks.looks import DIM, FILL, SIDE, VIEWS, drawn, looked_at, looks_of
from engine.tasks.saved import Saved, load_head, save_head
from engine.tasks.segment import segmenter_of
from engine.tasks.shapes import Shape, shape_of, voxels_of
from tests.engine.tasks.made import class_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def eyes() -> ClassNetwork:
    return load_classes(classes_path())


def ball(rgb: tuple[int, int, int] = (200, 30, 30), count: int = 2000) -> Shape:
    x = np.random.default_rng(0).normal(size=(count, 3))
    return shape_of(x / np.linalg.norm(x, axis=1, keepdims=True), np.tile(np.uint8(rgb), (count, 1)))


def test_a_ball_is_a_whole_disc_on_white_in_every_view() -> None:
    pictures = drawn(ball())
    assert pictures.shape == (VIEWS, SIDE, SIDE, 3)
    assert (pictures[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    within = np.hypot(x, y) < 0.95 * FILL * SIDE / 2
    beyond = np.hypot(x, y) > FILL * SIDE / 2 + SIDE / 12  # the rim's points are drawn as discs, too
    for picture in pictures:
        red = picture[..., 0].astype(int) - picture[..., 1] > 20
        assert red[within].mean() > 0.995
        assert (picture[beyond] == 255).all()


def test_what_is_nearer_hides_what_is_behind() -> None:
    """A wall of two skins, red to the outside and blue behind: the first view, from between x and y, sees one of them
    alone, the opposite view the other."""
    rng = np.random.default_rng(1)
    side = rng.uniform(-1, 1, (3000, 2))
    along, across = np.array([-1, 1, 0]) / np.sqrt(2), np.array([1, 1, 0]) / np.sqrt(2)
    skin = side[:, :1] * along + side[:, 1:] * np.array([0, 0, 1])
    pos = np.concatenate([skin + 0.2 * across, skin - 0.2 * across])
    rgb = np.repeat(np.uint8([[220, 0, 0], [0, 0, 220]]), 3000, axis=0)
    pictures = drawn(shape_of(pos, rgb)).astype(int)
    red = [((p[..., 0] > p[..., 2] + 20).mean(), (p[..., 2] > p[..., 0] + 20).mean()) for p in pictures]
    assert red[0][0] > 4 * red[0][1]
    assert red[VIEWS // 2][1] > 4 * red[VIEWS // 2][0]


@pytest.mark.parametrize("stretch", [(1, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 1)])
def test_flat_and_thin_things_can_be_drawn(stretch: tuple[int, int, int], eyes: ClassNetwork) -> None:
    pos = np.random.default_rng(2).normal(size=(40, 3)) * stretch
    found = finish(looks_of(shape_of(pos, np.full((40, 3), 90, np.uint8)), eyes))
    assert found.shape == (DIM,)
    assert np.isfinite(found).all()


def test_looks_are_the_mean_and_maximum_over_the_views(eyes: ClassNetwork) -> None:
    """Parity with each picture by itself."""
    shape = ball()
    x = torch.from_numpy(drawn(shape)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        each = torch.cat([eyes(one[None]).mean(dim=(2, 3)) for one in x])
    want = torch.cat([each.mean(dim=0), each.amax(dim=0)])
    torch.testing.assert_close(torch.from_numpy(finish(looks_of(shape, eyes))).float(), want, atol=5e-3, rtol=5e-3)


def looks(shape: Shape) -> np.ndarray:
    assert shape.looks is not None
    return shape.looks


def test_what_was_seen_is_read_back_unless_it_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [ball(), ball((20, 200, 20))]
    first = finish(looked_at(some, CPU, "two balls", tmp_path))
    assert not np.array_equal(looks(first[0]), looks(first[1]))
    (kept,) = (tmp_path / "tasks").glob("looks-*.safetensors")
    with monkeypatch.context() as m:
        m.setattr(looking, "load_classes", None)  # nobody looks again
        again = finish(looked_at(some, CPU, "two balls", tmp_path))
        assert finish(looked_at(again, CPU)) == again
    assert np.array_equal(looks(again[1]), looks(first[1]))
    kept.write_bytes(kept.read_bytes()[:100])
    mended = finish(looked_at(some, CPU, "two balls", tmp_path))
    assert np.array_equal(looks(mended[1]), looks(first[1]))


def test_looks_stand_beside_what_the_voxels_say() -> None:
    torch.manual_seed(0)
    config = VolumeConfig(dim=4, widths=(4, 6, 8), blocks=1)
    network = ShapeClassifier(VolumeEncoder(config).eval(), 3, looks=True)
    some = np.arange(DIM, dtype=np.float16) / DIM
    batch = [voxels_of(replace(ball(), looks=some))]
    with torch.no_grad():
        found = network.beside(finish(pooled(network.encoder, batch)), batch)
    assert found.shape == (1, network.top.head.in_features)
    assert torch.equal(found[0, -DIM:], torch.from_numpy(some.astype(np.float32)))
    with pytest.raises(ValueError, match="nobody has looked"):
        seen_of([voxels_of(ball())])


def test_a_head_with_views_is_learnt_saved_and_names_new_objects(tmp_path: Path) -> None:
    data = finish(read_classes(class_folder(tmp_path / "data"), "z", tmp_path))
    found = finish(classify(data, Run(VIEWS_INIT, "probe", Labels.of("100%"), 0), CPU, tmp_path))
    assert found.accuracy > 0.7
    save_head(tmp_path / "head.safetensors", Saved(found.network, data.names), {})
    loaded = load_head(tmp_path / "head.safetensors").network
    assert isinstance(loaded, ShapeClassifier)
    assert loaded.looks
    tested = [data.shapes[n] for n in np.flatnonzero(data.test)]  # nobody has looked at these
    np.testing.assert_allclose(finish(predicted(loaded, tested)), found.chances, atol=2e-2)


def test_views_beside_an_encoder_do_not_ask_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered gives the same answers."""
    data = finish(read_classes(class_folder(tmp_path / "data"), "z", tmp_path))
    remembered = classifying.Remembered()
    first = finish(classify(data, Run(VIEWS_INIT, "probe", Labels.of("100%"), 0), CPU, tmp_path, remembered))
    alone = finish(classify(data, Run(CONDENSE, "probe", Labels.of("100%"), 0), CPU, tmp_path))

    def asked(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(classifying, "features", asked)
    again = finish(classify(data, Run(CONDENSE, "probe", Labels.of("100%"), 0), CPU, tmp_path, remembered))
    assert np.array_equal(again.chances, alone.chances)
    assert not np.array_equal(again.chances, first.chances)
    with pytest.raises(AssertionError, match="asked again"):
        finish(classify(data, Run(SCRATCH, "probe", Labels.of("100%"), 0), CPU, tmp_path, remembered))


def test_scans_are_not_drawn() -> None:
    with pytest.raises(QueryError, match="only whole objects"):
        segmenter_of(Run(VIEWS_INIT, "probe", Labels.of("1%"), 0), 2, "scene", CPU)
