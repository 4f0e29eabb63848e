"""Naming a scene: blocks, smoothing, what photos see of it, what is stored; and prompts through the session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.camera import look_at
from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.api.replies import JobFinished, PromptReply, Reply, SceneNamed
from engine.api.requests import EncodeViews, FitGrid, NameScene, OpenCapture, PromptQuery, Request
from engine.api.scene import UInt8
from engine.captures import open_capture
from engine.encoders.classes import ClassNetwork
from engine.encoders.names import NameNetwork
from engine.encoders.volume import VolumeConfig
from engine.encoders.words import WordEncoder
from engine.grid import GridSpec, RadianceGrid
from engine.naming import NamedScene, ask_photos, name_blocks, name_scene, parent_seen, smoothed
from engine.prompting import regions
from engine.queries.prompt import Vocabulary
from engine.results import ResultStore
from engine.session import Session
from engine.training.rooms.grid import fused_grid
from tests.conftest import write_tiny_capture

WORDS = WordEncoder(("chair", "lamp"), np.eye(2, dtype=np.float32), "hand-made")
VOCABULARY = Vocabulary(["chair", "lamp"], WORDS)


def network() -> NameNetwork:
    torch.manual_seed(0)
    return NameNetwork(VolumeConfig(dim=64, widths=(8, 8), blocks=1), VOCABULARY.names).eval()


def grid_of(index: list[list[int]], side: int = 12) -> RadianceGrid:
    n, grey = len(index), np.full((1, 1, 3), 0.5)
    spec = GridSpec(np.zeros(3), 0.5, (side, side, side))
    return RadianceGrid.of(spec, np.array(index, np.int32), np.full((n, 3), 0.5), np.full(n, 9.0), grey)


def test_a_block_is_mixed_with_those_that_touch_it() -> None:
    grid = grid_of([[1, 1, 1], [2, 2, 1], [9, 9, 9]])
    chances = np.array([[1, 0], [0, 1], [0.25, 0.75]], np.float32)
    np.testing.assert_allclose(smoothed(grid, chances), [[0.5, 0.5], [0.5, 0.5], [0.25, 0.75]])


def test_pixels_know_the_block_their_ray_ends_in() -> None:
    wall = grid_of([[x, 6, z] for x in range(12) for z in range(12)])
    parent = (wall.index[:, 0] >= 6).astype(np.int64)
    camera = look_at([3, -4, 3], [3, 3, 3], [0, 0, 1], fov_y=20, width=20, height=10)
    seen = parent_seen(wall, parent, camera)
    assert seen.shape == (10, 20)
    assert (seen[:, :9] == 0).all()
    assert (seen[:, 11:] == 1).all()
    away = look_at([3, -4, 3], [3, -9, 3], [0, 0, 1], fov_y=30, width=4, height=4)
    assert (parent_seen(wall, parent, away) == -1).all()


def test_regions_are_connected_parts_the_largest_first() -> None:
    rows = [[x, 1, 1] for x in range(4)] + [[x, 9, 9] for x in range(7, 10)] + [[1, 10, 1], [11, 1, 11]]
    grid = grid_of(rows)
    named = NamedScene(grid, grid, np.arange(len(rows)), (), {})
    relevancy = np.array([0.9] * 4 + [0.6] * 3 + [0.9, 0.1], np.float32)
    found = regions(named, relevancy, 0.5)
    assert [round(r.size * 7) for r in found] == [4, 3]  # one block alone is no region
    np.testing.assert_allclose(found[0].lo_w, [0, 0.5, 0.5])
    np.testing.assert_allclose(found[0].hi_w, [2, 1, 1])
    np.testing.assert_allclose(found[0].centre_w, [1, 0.75, 0.75])
    assert found[0].score == pytest.approx(0.9)
    assert regions(named, relevancy, 0.95) == ()


def chances_of(named: NamedScene, namer: int = 0) -> UInt8:
    return named.namers[namer].chances


def test_named_once_and_read_back(tmp_path: Path) -> None:
    capture = open_capture(write_tiny_capture(tmp_path / "tiny"))
    grid = finish(fused_grid(capture))
    grid.meta["capture"] = capture.fingerprint
    store = ResultStore.of(capture.fingerprint, capture.path, tmp_path / "cache")
    given = (grid, capture, None, network(), VOCABULARY, store)
    first = finish(name_scene(*given, "one"))
    assert chances_of(first).shape == (len(first.coarse.index), 2)
    assert np.abs(chances_of(first).sum(axis=1, dtype=int) - 255).max() <= 2
    assert set(first.views) == {v.index for v in capture.views}
    stored = tmp_path / "cache" / capture.fingerprint / "names.safetensors"
    stamp = stored.stat().st_mtime_ns
    again = finish(name_scene(*given, "one"))
    np.testing.assert_array_equal(chances_of(again), chances_of(first))
    assert stored.stat().st_mtime_ns == stamp
    finish(name_scene(*given, "another network"))
    assert stored.stat().st_mtime_ns != stamp
    np.testing.assert_array_equal(finish(name_blocks(grid, None, network())).chances, chances_of(first))
    half = first.in_view(capture.views[0].index, np.full(len(first.coarse.index), 7, np.uint8))
    assert half.max() == 7
    assert half.dtype == np.uint8


def test_photos_are_asked_once_and_read_back(tmp_path: Path) -> None:
    capture = open_capture(write_tiny_capture(tmp_path / "tiny"))
    grid = finish(fused_grid(capture))
    grid.meta["capture"] = capture.fingerprint
    store = ResultStore.of(capture.fingerprint, capture.path, tmp_path / "cache")
    torch.manual_seed(0)
    classes = ClassNetwork(["chair", "lamp"], [(), ()]).eval()
    named = finish(name_scene(grid, capture, None, network(), VOCABULARY, store, "one"))
    known: dict[int, UInt8] = {}
    first = finish(ask_photos(named, capture, classes, VOCABULARY, store, "one", known))
    assert set(known) == {v.index for v in capture.views}
    assert chances_of(first, 1).shape == chances_of(first).shape
    np.testing.assert_array_equal(chances_of(first), chances_of(named))
    shown = np.unique(np.concatenate([rows.ravel() for rows in named.views.values()]))
    hidden = np.setdiff1d(np.arange(len(named.coarse.index)), shown)
    assert not chances_of(first, 1)[hidden].any()
    assert chances_of(first, 1)[shown[shown >= 0]].any()
    path = tmp_path / "cache" / capture.fingerprint / "classes.safetensors"
    stamp = path.stat().st_mtime_ns
    again = finish(ask_photos(named, capture, classes, VOCABULARY, store, "one", {}))
    np.testing.assert_array_equal(chances_of(again, 1), chances_of(first, 1))
    assert path.stat().st_mtime_ns == stamp
    path.write_bytes(path.read_bytes()[:-40])  # what is damaged is made again
    mended = finish(ask_photos(named, capture, classes, VOCABULARY, store, "one", known))
    np.testing.assert_array_equal(chances_of(mended, 1), chances_of(first, 1))


def ask(session: Session, request: Request) -> list[Reply]:
    return [r for r in session.handle(request) if r is not None]


@dataclass
class Asked:
    session: Session
    named: SceneNamed


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    capture = write_tiny_capture(tmp_path_factory.mktemp("prompts") / "tiny")
    session = Session(device="cpu", cache=tmp_path_factory.mktemp("cache"), threads=1)
    for _ in session.start():
        pass
    ask(session, OpenCapture(path=str(capture)))
    with pytest.raises(QueryError, match="no radiance grid"):
        ask(session, NameScene())
    ask(session, FitGrid(seconds=2.0))
    with pytest.raises(QueryError, match="no names yet"):
        ask(session, PromptQuery(prompts=("chair",)))
    ask(session, EncodeViews())
    replies = ask(session, NameScene())
    assert isinstance(replies[-1], JobFinished)
    rooms, all_named = (r for r in replies if isinstance(r, SceneNamed))
    assert set(rooms.vocabulary) < set(all_named.vocabulary)
    return Asked(session, all_named)


def test_prompts_are_answered_over_voxels_and_photos(asked: Asked) -> None:
    assert asked.named.photos
    (reply,) = ask(asked.session, PromptQuery(prompts=("floor", "couch", "democracy"), negatives=("lamp",)))
    assert isinstance(reply, PromptReply)
    assert reply.version == asked.named.version == asked.session.scene.version
    floor, couch, democracy = reply.found
    grid = asked.session.scene.grid
    assert grid is not None
    assert floor.relevancy.shape == (len(grid.index),)
    assert floor.best == pytest.approx(floor.relevancy.max() / 255, abs=1 / 255)
    assert set(floor.views) == {v.index for v in asked.session.scene.capture.views}
    assert floor.within
    assert "sofa" in dict(couch.nearest)
    assert couch.nearest[0][0] == "studio couch"
    assert not democracy.within
    assert not democracy.relevancy.any()
    assert len(democracy.nearest) == 3


@pytest.mark.parametrize("prompt", ["", "🛋️🛋️", "כורסה", "x" * 10_000, "--"])
def test_prompts_that_say_nothing_find_nothing(asked: Asked, prompt: str) -> None:
    (reply,) = ask(asked.session, PromptQuery(prompts=(prompt,), thresholds=(0.0,)))
    assert isinstance(reply, PromptReply)
    assert reply.found[0].known == ()
    assert not reply.found[0].relevancy.any()
    assert reply.found[0].regions == ()


def test_negatives_alone_and_too_many(asked: Asked) -> None:
    (reply,) = ask(asked.session, PromptQuery(prompts=(), negatives=("chair",)))
    assert isinstance(reply, PromptReply)
    assert reply.found == ()
    with pytest.raises(QueryError, match="too many"):
        ask(asked.session, PromptQuery(prompts=("chair",) * 17))
