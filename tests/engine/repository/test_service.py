"""The repository as the window asks it: listed, changed, asked, decided on; and what is refused."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from engine.api.camera import look_at
from engine.api.errors import CondenseError, QueryError, RepositoryError
from engine.api.replies import JobFinished, Reply
from engine.api.repository import (
    DecidePair,
    DuplicatesFound,
    FindAlike,
    FindByPhoto,
    FindByWords,
    FindDuplicates,
    OpenRepository,
    PairAligned,
    PairDecision,
    PhotoEvidence,
    RemoveScenes,
    RepositoryListed,
    RepositoryRequest,
    RestoreScenes,
    ScenesFound,
    SceneThumbnails,
    ShowPair,
)
from engine.captures import open_capture
from engine.repository.answers import evidence, nearest_view
from engine.repository.decisions import Decisions
from engine.repository.photo import PhotoQuery
from engine.repository.pose import mutual_nearest, place
from engine.repository.record import NamedPlace, SceneRecord, decode, encode
from engine.repository.search import Ranked
from engine.repository.service import RepositoryService, thumbnail
from engine.repository.store import FILE, open_store
from tests.conftest import write_tiny_capture
from tests.engine.repository.made import record, unit
from tests.engine.repository.test_align import moved

T = TypeVar("T", bound=Reply)


def picture(width: int = 8, height: int = 6, kind: str = "WEBP") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 40, 40)).save(out, kind)
    return out.getvalue()


@pytest.fixture
def service(tmp_path: Path) -> RepositoryService:
    """Four rooms, of which the last is a second scan of the first."""
    store = open_store(tmp_path / "repo", make=True)
    first = replace(record(0, keypoints=120, places=(NamedPlace("sofa", 0.9, (1.0, 2.0, 3.0)),)), thumbnail=picture())
    for scene in (first, record(1, keypoints=120), record(2, keypoints=120), moved(first, 5, kept=90)[0]):
        store.add(scene)
    made = RepositoryService(device="cpu", cache=tmp_path / "cache", seed=0)
    list(made.handle(OpenRepository(path=str(tmp_path / "repo"))))
    return made


def said(replies: Iterator[Reply | None], kind: type[T]) -> list[T]:
    return [r for r in replies if isinstance(r, kind)]


def ask(service: RepositoryService, request: RepositoryRequest, kind: type[T]) -> T:
    (reply,) = said(service.handle(request), kind)
    assert reply.id == request.id
    return reply


def test_scenes_are_listed_with_the_thumbnails_that_can_be_read(service: RepositoryService, tmp_path: Path) -> None:
    replies = list(service.handle(OpenRepository(path=str(tmp_path / "repo"))))
    listed = next(r for r in replies if isinstance(r, RepositoryListed))
    assert [s.name for s in listed.scenes] == ["room 0", "room 1", "room 2", "again 5"]
    assert listed.writable
    assert not listed.scenes[0].there  # /rooms/0 is nowhere
    (pictures,) = said(iter(replies), SceneThumbnails)
    assert list(pictures.rgb) == [listed.scenes[0].key, "again-5"]  # the others' are none
    assert pictures.rgb["print-0"].shape == (6, 8, 3)


def test_what_is_no_thumbnail_is_none() -> None:
    assert thumbnail(b"") is None
    assert thumbnail(picture(kind="JPEG")) is not None  # as older versions wrote them
    assert thumbnail(picture(kind="PNG")) is None
    assert thumbnail(picture()[:40]) is None
    assert thumbnail(picture(2000, 10)) is None


def test_a_removed_scene_can_be_put_back_whole(service: RepositoryService) -> None:
    before = service.store.load(service.row("print-1").id)
    listed = ask(service, RemoveScenes(keys=("print-1",)), RepositoryListed)
    assert [s.key for s in listed.scenes] == ["print-0", "print-2", "again-5"]
    with pytest.raises(RepositoryError, match="no such scene"):
        list(service.handle(RemoveScenes(keys=("print-1",))))
    listed = ask(service, RestoreScenes(keys=("print-1",)), RepositoryListed)
    assert [s.key for s in listed.scenes] == ["print-0", "print-2", "again-5", "print-1"]
    after = service.store.load(service.row("print-1").id)
    assert (after.codes == before.codes).all()
    with pytest.raises(RepositoryError, match="not kept"):
        list(service.handle(RestoreScenes(keys=("print-1",))))


def test_a_second_scan_is_found_alike_and_as_a_duplicate_and_aligned(service: RepositoryService) -> None:
    found = ask(service, FindAlike(scene="print-0"), ScenesFound)
    assert not found.rejected
    assert found.results[0].card.key == "again-5"
    assert found.results[0].inliers >= 80
    assert ask(service, FindAlike(scene="print-1"), ScenesFound).rejected
    replies = list(service.handle(FindDuplicates()))
    (pair,) = said(iter(replies), DuplicatesFound)[0].pairs
    assert {pair.a, pair.b} == {"print-0", "again-5"}
    assert isinstance(replies[-1], JobFinished)
    shown = ask(service, ShowPair(a="print-0", b="again-5"), PairAligned)
    assert shown.a.rgb is None  # no grid is stored, so keypoints stand for the scene
    near = np.linalg.norm(shown.a.pos_w[:90] - shown.b.pos_w[:90], axis=1)
    assert np.median(near) < 0.05 * 6.9 * 1.7
    assert np.allclose(np.linalg.norm(shown.b.facing_w, axis=1), 1, atol=1e-5)
    with pytest.raises(RepositoryError, match="cannot be aligned"):
        list(service.handle(ShowPair(a="print-1", b="again-5")))


def test_decisions_stay_in_the_folder_and_can_be_taken_back(service: RepositoryService, tmp_path: Path) -> None:
    listed = ask(service, DecidePair(a="print-0", b="again-5", decision="duplicate"), RepositoryListed)
    assert listed.decisions == (PairDecision("again-5", "print-0", "duplicate"),)
    other = RepositoryService(device="cpu", cache=tmp_path, seed=0)
    again = next(iter(said(other.handle(OpenRepository(path=str(tmp_path / "repo"))), RepositoryListed)))
    assert again.decisions == listed.decisions
    listed = ask(service, DecidePair(a="again-5", b="print-0", decision="different"), RepositoryListed)
    assert listed.decisions == (PairDecision("again-5", "print-0", "different"),)
    listed = ask(service, DecidePair(a="again-5", b="print-0", decision=None), RepositoryListed)
    assert listed.decisions == ()


def test_damaged_decisions_and_folders_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="nothing can be written"):
        Decisions(tmp_path, writable=False).decide("a", "b", "duplicate")
    (tmp_path / "decisions.sqlite").write_bytes(os.urandom(4096))
    with pytest.raises(RepositoryError, match="cannot be read"):
        Decisions(tmp_path, writable=True).all()


def test_records_that_were_tampered_with_do_no_harm(service: RepositoryService) -> None:
    nowhere = (NamedPlace("sofa", 0.9, (float("nan"), 0.0, 0.0)), NamedPlace("piano", float("inf"), (0.0, 0.0, 0.0)))
    odd = replace(record(7, places=nowhere), name="<img src=x>" * 40, path="/x" * 40_000)
    service.store.add(odd)
    listed = ask(service, RestoreScenes(keys=()), RepositoryListed)
    assert listed.scenes[-1].name == odd.name
    assert not listed.scenes[-1].there
    for text in ("sofa", "piano"):
        found = ask(service, FindByWords(text=text), ScenesFound)
        assert all(np.isfinite([p.chance, *p.pos_w]).all() for r in found.results for p in r.places)
        assert "print-7" not in {r.card.key for r in found.results}


def test_words_lead_to_places(service: RepositoryService) -> None:
    found = ask(service, FindByWords(text="room with a sofa"), ScenesFound)
    (result,) = [r for r in found.results if r.card.key == "print-0"]
    assert result.places[0].name == "sofa"
    assert result.places[0].pos_w == pytest.approx((1.0, 2.0, 3.0))
    with pytest.raises(QueryError, match="vocabulary"):
        list(service.handle(FindByWords(text="qqqq")))


@pytest.mark.parametrize("request_", [FindByWords(text="sofa"), FindDuplicates(), RemoveScenes(keys=("a",))])
def test_nothing_is_asked_of_no_repository(request_: RepositoryRequest, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no repository is open"):
        list(RepositoryService(device="cpu", cache=tmp_path, seed=0).handle(request_))


def test_a_repository_that_is_not_there_newer_or_damaged_is_refused(service: RepositoryService, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="there is no repository"):
        list(service.handle(OpenRepository(path=str(tmp_path / "nowhere"))))
    assert len(service.repository.rows) == 4  # the one before is still open
    with sqlite3.connect(tmp_path / "repo" / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(RepositoryError, match="newer version"):
        list(service.handle(OpenRepository(path=str(tmp_path / "repo"))))
    (tmp_path / "repo" / FILE).write_bytes(os.urandom(9000))
    with pytest.raises(RepositoryError, match="cannot be read"):
        list(service.handle(OpenRepository(path=str(tmp_path / "repo"))))


def test_photos_are_compared_by_the_scenes_weights_alone(service: RepositoryService, tmp_path: Path) -> None:
    photo = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(photo)
    with pytest.raises(RepositoryError, match="other weights"):
        list(service.handle(FindByPhoto(path=str(photo))))
    with pytest.raises(CondenseError, match=r"gone\.png"):
        list(service.handle(FindByPhoto(path=str(tmp_path / "gone.png"))))


def tiny_record(folder: Path) -> tuple[SceneRecord, PhotoQuery]:
    """The cube on its plane, whose corners are the keypoints, and a photo that sees them from near view 1."""
    capture = open_capture(write_tiny_capture(folder, width=192, height=144))
    x, y, z = np.meshgrid([-0.5, 0.0, 0.5], [-0.5, 0.0, 0.5], [0.0, 0.5, 1.0])
    pos_w = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    described = unit(np.random.default_rng(1), len(pos_w))
    base = record(3, keypoints=len(pos_w))
    scene = replace(
        base, fingerprint=capture.fingerprint, path=str(folder), pos_w=pos_w, codes=encode(described), extent_w=4.0,
        cameras=np.stack([v.camera.c2w for v in capture.views]).astype(np.float32), thumbnail=picture(),
    )  # fmt: skip
    a = 2 * np.pi / 8 + 0.1
    camera = look_at([3 * np.cos(a), 3 * np.sin(a), 1.7], [0, 0, 0.4], [0, 0, 1], fov_y=50, width=320, height=240)
    px, _ = camera.project(pos_w.astype(np.float64))
    return scene, PhotoQuery(px, decode(scene.codes), (320, 240), float(camera.intrinsics[0, 0]))


def test_matches_are_shown_in_the_photo_from_nearest_by(service: RepositoryService, tmp_path: Path) -> None:
    scene, photo = tiny_record(tmp_path / "tiny")
    service.store.add(scene)
    pose = place(
        photo.pos_px, scene.pos_w, mutual_nearest(photo.descriptors, decode(scene.codes)), photo.size, photo.focal
    )
    assert pose is not None
    ranked = Ranked(service.row(scene.fingerprint), scene, 1.0, pose)
    request = FindByPhoto(path="photo.png")
    found = evidence(request, photo, ranked)
    assert found.view == "images/001.png"
    assert found.rgb.shape == (144, 192, 3)
    assert found.inliers.all()
    view = open_capture(tmp_path / "tiny").views[1].camera
    px, _ = view.project(scene.pos_w[pose.matched[:, 1]].astype(np.float64))
    np.testing.assert_allclose(found.view_px, px)
    (tmp_path / "tiny" / "transforms.json").unlink()
    gone = evidence(request, photo, ranked)
    assert isinstance(gone, PhotoEvidence)
    assert gone.view == ""
    assert gone.rgb.shape == (6, 8, 3)
    assert np.isnan(gone.view_px).all()


def test_nearest_view_needs_the_points_in_sight(tmp_path: Path) -> None:
    capture = open_capture(write_tiny_capture(tmp_path / "tiny"))
    points = np.array([[0.0, 0.0, 0.5], [0.1, 0.0, 0.4]])
    assert nearest_view(capture, capture.views[3].camera, points, 4.0) == 3
    behind = look_at([3.0, 0.0, 1.8], [9.0, 0.0, 1.8], [0, 0, 1], fov_y=50, width=96, height=72)
    assert nearest_view(capture, behind, points, 4.0) in range(8)
