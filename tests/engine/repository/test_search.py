"""Ranking against the plain formula, poses by hand, words, and photos that show nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.api.camera import look_at
from engine.api.errors import QueryError, RepositoryError
from engine.api.jobs import Job, Progress, finish
from engine.encoders.words import WordEncoder
from engine.queries.prompt import Vocabulary
from engine.repository.photo import PhotoQuery, film_focal, read_photo
from engine.repository.pose import mutual_nearest, place
from engine.repository.record import NamedPlace, decode
from engine.repository.search import CONFIDENT, Repository, find_photo, thing
from engine.repository.store import open_store
from tests.engine.repository.made import record, unit


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    store = open_store(tmp_path, make=True)
    for seed in range(20):
        store.add(record(seed, keypoints=40 + seed))
    return Repository(store)


def test_scores_are_the_mean_best_cosine(repository: Repository) -> None:
    query = unit(np.random.default_rng(99), 33)
    expected = [(query @ decode(repository.store.load(r.id).codes).T).max(axis=1).mean() for r in repository.rows]
    np.testing.assert_allclose(repository.scores(query), expected, atol=5e-3)


def test_changes_of_another_process_are_followed(repository: Repository) -> None:
    assert len(repository.rows) == 20
    repository.store.add(record(77))
    assert repository.rows[-1].name == "room 77"
    repository.store.remove(repository.rows[0].id)
    assert len(repository.scores(unit(np.random.default_rng(0), 5))) == 20


def photo_of(seed: int, focal: float | None, noise_px: float = 0.3) -> tuple[PhotoQuery, np.ndarray]:
    """What a camera sees of a made-up scene, with a third of the keypoints of something else."""
    rng = np.random.default_rng(1000 + seed)
    scene = record(seed, keypoints=64)
    camera = look_at([6.0, 1.0, 2.0], [0, 0, 0], [0, 0, 1], fov_y=45, width=640, height=480)
    pos_px, _ = camera.project(scene.pos_w.astype(np.float64))
    pos_px = pos_px + rng.normal(0, noise_px, pos_px.shape)
    others = rng.uniform(0, 480, (32, 2))
    descriptors = np.concatenate([decode(scene.codes), unit(rng, 32)])
    known = float(camera.intrinsics[0, 0]) if focal is not None else None
    return PhotoQuery(np.concatenate([pos_px, others]), descriptors, (640, 480), known), camera.c2w


@pytest.mark.parametrize("focal", [1.0, None])
def test_a_photo_finds_its_scene_and_its_place(tmp_path: Path, focal: float | None) -> None:
    store = open_store(tmp_path, make=True)
    for seed in range(12):
        store.add(record(seed))
    photo, c2w = photo_of(5, focal)
    ranked = Repository(store).by_photo(photo)
    assert ranked[0].row.name == "room 5"
    assert ranked[0].confidence > 0.99
    pose = ranked[0].pose
    assert pose is not None
    assert np.linalg.norm(pose.camera.c2w[:3, 3] - c2w[:3, 3]) < (0.05 if focal else 0.6)
    assert pose.camera.intrinsics[0, 0] == pytest.approx(240 / np.tan(np.radians(22.5)), rel=1e-6 if focal else 0.12)


def test_a_photo_of_nothing_here_is_not_believed(repository: Repository) -> None:
    rng = np.random.default_rng(5)
    photo = PhotoQuery(rng.uniform(0, 480, (512, 2)), unit(rng, 512), (640, 480), None)
    assert all(r.confidence < 0.5 for r in repository.by_photo(photo))


def test_a_photo_is_found_however_it_lies_and_told_as_it_lies_if_it_is_not(repository: Repository) -> None:
    rng = np.random.default_rng(5)
    strange = [PhotoQuery(rng.uniform(0, 480, (99, 2)), unit(rng, 99), (640, 480), None) for _ in range(4)]
    scene = repository.store.load(repository.rows[19].id)
    camera = look_at([6.0, 1.0, 2.0], [0, 0, 0], [0, 0, 1], fov_y=45, width=640, height=480)
    pos_px, _ = camera.project(scene.pos_w.astype(np.float64))
    there = PhotoQuery(pos_px, decode(scene.codes), (640, 480), float(camera.intrinsics[0, 0]))
    asked: list[int] = []

    def describe(turns: int, right: int | None) -> Job[PhotoQuery]:
        asked.append(turns)
        yield Progress(0, 1, "photos")
        return there if turns == right else strange[turns]

    for right, tried in ((0, [0]), (1, [0, 1]), (2, [0, 1, 3, 2]), (3, [0, 1, 3]), (None, [0, 1, 3, 2])):
        asked.clear()
        photo, ranked = finish(find_photo(repository, partial(describe, right=right)))
        assert asked == tried
        assert photo is (strange[0] if right is None else there)
        assert (ranked[0].confidence >= CONFIDENT) == (right is not None)


def test_nothing_in_nothing_out(repository: Repository) -> None:
    photo = PhotoQuery(np.zeros((0, 2)), np.zeros((0, 64), np.float32), (640, 480), None)
    assert all(r.pose is None for r in repository.by_photo(photo))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.6, 1.6))
def test_exact_matches_give_the_exact_camera(seed: int, relative: float) -> None:
    rng = np.random.default_rng(seed)
    eye = rng.normal(size=3)
    eye = eye / np.linalg.norm(eye) * rng.uniform(4, 8)
    fov = float(np.degrees(2 * np.arctan(240 / (relative * 640))))
    camera = look_at(eye, [0, 0, 0], [0.1, 0.2, 1], fov_y=fov, width=640, height=480)
    pos_w = rng.uniform(-1, 1, (30, 3)).astype(np.float32)
    pos_px, _ = camera.project(pos_w.astype(np.float64))
    matched = np.stack([np.arange(30)] * 2, axis=1)
    pose = place(pos_px, pos_w, matched, (640, 480), float(camera.intrinsics[0, 0]))
    assert pose is not None
    assert pose.count == 30
    np.testing.assert_allclose(pose.camera.c2w, camera.c2w, atol=1e-3)


def test_mutual_nearest_by_hand() -> None:
    photo = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 0]], np.float32)
    scene = np.array([[1, 0], [0, 1]], np.float32)
    assert mutual_nearest(photo, scene).tolist() == [[0, 0], [2, 1]]


def test_words_find_scenes_and_places(tmp_path: Path) -> None:
    words = WordEncoder(("lamp", "piano"), np.eye(2, dtype=np.float32), "hand-made")
    store = open_store(tmp_path, make=True)
    store.add(record(0, places=(NamedPlace("lamp", 0.4, (0.0, 0.0, 1.0)),)))
    store.add(record(1, places=(NamedPlace("piano", 0.9, (1.0, 0.0, 0.0)),)))
    store.add(record(2, places=(NamedPlace("lamp", 0.7, (0.0, 2.0, 0.0)), NamedPlace("piano", 0.2, (0.0, 0.0, 0.0)))))
    found = Repository(store).by_words("a room with a lamp", [Vocabulary(["lamp", "piano"], words)])
    assert [w.row.name for w in found] == ["room 2", "room 0"]
    assert found[0].places[0].pos_w == (0.0, 2.0, 0.0)
    assert found[0].score == pytest.approx(0.7)
    assert thing("room with a piano").strip() == "a piano"


def test_other_weights_are_refused(repository: Repository) -> None:
    repository.check_weights("w")
    with pytest.raises(RepositoryError, match="other weights") as e:
        repository.check_weights("new")
    assert e.value.mend


def save(path: Path, rgb: np.ndarray) -> Path:
    Image.fromarray(rgb.astype(np.uint8)).save(path)
    return path


def test_photos_that_show_nothing_are_refused(tmp_path: Path) -> None:
    black = save(tmp_path / "black.png", np.zeros((200, 300, 3)))
    tiny = save(tmp_path / "tiny.png", np.random.default_rng(0).integers(0, 255, (8, 300, 3)))
    with pytest.raises(QueryError, match="shows nothing"):
        read_photo(black)
    with pytest.raises(QueryError, match="too small"):
        read_photo(tiny)


@pytest.mark.parametrize("told", [1, 3, 6, 8, 0, 99])
def test_a_photo_is_turned_upright_as_its_exif_says(tmp_path: Path, told: int) -> None:
    upright = np.zeros((90, 120, 3), np.uint8)
    upright[:45, :60] = 200  # bright at the upper left
    turns = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
    image = Image.fromarray(upright)
    stored = image.transpose(turns[told]) if told in turns else image
    exif = Image.Exif()
    exif[0x0112] = told
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    rgb, _ = read_photo(tmp_path / "a.jpg")
    assert rgb.shape == upright.shape
    assert np.abs(rgb.astype(int) - upright).mean() < 4


def test_the_focal_length_is_read_from_exif(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    image.save(tmp_path / "a.jpg", exif=exif)
    assert film_focal(tmp_path / "a.jpg") == 28
    rgb, focal = read_photo(tmp_path / "a.jpg")
    assert focal == pytest.approx(28 / 36 * 120)
    assert rgb.shape == (90, 120, 3)
    exif.get_ifd(0x8769)[0xA405] = 0
    image.save(tmp_path / "b.jpg", exif=exif)
    assert film_focal(tmp_path / "b.jpg") is None
