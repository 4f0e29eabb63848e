"""Examples in place of words: hand-made features, and a session that answers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.api.replies import PromptFound, PromptReply
from engine.api.requests import (
    EncodeViews,
    Example,
    FitGrid,
    NameScene,
    OpenCapture,
    PictureExample,
    PromptQuery,
    RegionExample,
)  # fmt: skip
from engine.likeness import ALIKE, _in_picture, _told_apart
from engine.session import Session
from tests.conftest import write_tiny_capture


def test_a_place_is_told_apart_from_what_it_shares_with_all() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.05, (300, 6)).astype(np.float32)
    features[:, 0] += 1  # what all have in common
    features[:, 1] += rng.normal(0, 1, 300)  # what differs everywhere and says nothing
    features[:40, 2] += 0.5  # what the place and those like it have
    features[-10:] = 0  # never seen
    found = _told_apart(features, np.arange(20))
    assert found[:20].mean() == pytest.approx(1, abs=0.1)
    assert (found[20:40] > 0.5).all()
    assert (found[40:290] < 0.5).all()
    assert not found[290:].any()
    assert not _told_apart(np.zeros((5, 6), np.float32), np.arange(2)).any()
    assert np.isfinite(_told_apart(np.ones((5, 6), np.float32), np.arange(2))).all()  # nothing stands out


def test_in_a_picture_the_nearest_cell_counts() -> None:
    features = np.eye(4, dtype=np.float32)[[0, 1, 2, 2, 2, 2]]
    features[5] = 0
    cells = np.eye(4, dtype=np.float32)[:2]
    np.testing.assert_allclose(_in_picture(features, cells), [1, 1, 0, 0, 0, 0])
    halfway = np.array([[ALIKE / 2, np.sqrt(1 - ALIKE**2 / 4), 0, 0]], np.float32)
    assert _in_picture(np.concatenate([features, halfway]), cells[:1])[-1] == pytest.approx(0.5, abs=1e-6)
    assert not _in_picture(np.zeros((3, 4), np.float32), cells).any()


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Session:
    capture = write_tiny_capture(tmp_path_factory.mktemp("capture") / "tiny")
    session = Session(device="cpu", cache=tmp_path_factory.mktemp("cache"), threads=1)
    for _ in session.start():
        pass
    for request in (OpenCapture(path=str(capture)), FitGrid(seconds=8), EncodeViews(), NameScene()):
        list(session.handle(request))
    return session


def asked(session: Session, **examples: Example) -> dict[str, PromptFound]:
    query = PromptQuery(prompts=("wall", *examples), examples=(None, *examples.values()), thresholds=(0.02,))
    (reply,) = session.handle(query)
    assert isinstance(reply, PromptReply)
    return {f.prompt: f for f in reply.found}


def test_places_and_pictures_are_found_beside_words(named: Session, tmp_path: Path) -> None:
    first = asked(named)["wall"]
    assert first.regions
    photo = named.scene.capture.read(0).rgb
    Image.fromarray(photo[8:40, 8:40]).save(tmp_path / "crop.png")
    place = RegionExample("wall", first.regions[0].centre_w, 0.02)
    found = asked(named, place=place, picture=PictureExample(str(tmp_path / "crop.png")))
    for name in ("place", "picture"):
        assert found[name].trouble == ""
        assert found[name].within
        assert found[name].best > 0.5
        assert found[name].relevancy.shape == first.relevancy.shape
        assert set(found[name].views) == set(first.views)
    again = asked(named, place=RegionExample(place, found["place"].regions[0].centre_w, 0.5))
    assert again["place"].best > 0.5


@pytest.mark.parametrize("size", [(1, 1), (900, 1)])
def test_slivers_are_looked_at(named: Session, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (90, 20, 20)).save(tmp_path / "sliver.png")
    assert asked(named, picture=PictureExample(str(tmp_path / "sliver.png")))["picture"].trouble == ""


def test_what_cannot_be_looked_for_is_said_and_the_rest_is_answered(named: Session, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    gone = RegionExample("wall", (0.0, 0.0, 0.0), 0.99)
    found = asked(named, gone=gone, broken=PictureExample(str(tmp_path / "broken.png")))
    assert found["wall"].best > 0
    assert "is gone" in found["gone"].trouble
    assert "cannot be read" in found["broken"].trouble
    assert not found["gone"].relevancy.any()
    assert not found["broken"].regions
