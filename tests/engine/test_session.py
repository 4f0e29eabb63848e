"""The session on a real, tiny capture: jobs, stored results, clicks; and through the real thread."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from engine.api.errors import CacheError, QueryError
from engine.api.replies import (
    CaptureOpened,
    Failed,
    JobCancelled,
    JobFinished,
    MatchReply,
    Notice,
    PhotoLoaded,
    Reply,
    SceneKeypoints,
    ViewCompared,
    ViewFeatures,
    ViewRendered,
    VolumeUpdated,
    VoxelFeatures,
)
from engine.api.requests import (
    CancelJob,
    CompareViews,
    EncodeViews,
    FindKeypoints,
    FitGrid,
    LoadPhoto,
    MatchQuery,
    NameScene,
    OpenCapture,
    PixelSource,
    PointSource,
    RenderView,
    Request,
    SaveAgreement,
    SaveKeypoints,
)
from engine.session import Session
from engine.storage import read_tensors, write_tensors
from engine.worker import EngineThread
from tests.conftest import cast_cube_on_plane, write_tiny_capture

R = TypeVar("R", bound=Reply)


def ask(session: Session, request: Request) -> list[Reply]:
    return [r for r in session.handle(request) if r is not None]


def only(replies: list[Reply], kind: type[R]) -> R:
    (found,) = [r for r in replies if isinstance(r, kind)]
    return found


def last(replies: list[Reply], kind: type[R]) -> R:
    return [r for r in replies if isinstance(r, kind)][-1]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("session") / "tiny")


@pytest.fixture(scope="module")
def ready(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session with the capture open, fitted and encoded."""
    session = Session(device="cpu", cache=tmp_path_factory.mktemp("cache"), threads=1)
    for _ in session.start():
        pass
    ask(session, OpenCapture(path=str(capture)))
    ask(session, FitGrid(seconds=8))
    ask(session, EncodeViews())
    return session


def again(ready: Session) -> Session:
    """Another session on the same cache."""
    session = Session(device="cpu", cache=ready._cache, threads=1)
    for _ in session.start():
        pass
    return session


def test_nothing_open_is_said(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no capture is open"):
        ask(Session(cache=tmp_path), FitGrid())


def test_second_open_shows_what_is_stored(ready: Session, capture: Path) -> None:
    session = again(ready)
    opened = ask(session, OpenCapture(path=str(capture)))
    assert isinstance(opened[0], CaptureOpened)
    stored = only(opened, VolumeUpdated)
    assert stored.stored
    assert stored.psnr is not None
    assert stored.psnr > 11  # a grey picture gets 10; a busy machine gets little further than fusion in its seconds
    assert len(stored.volume.index) > 1000
    fitted = ask(session, FitGrid())
    assert [type(r) for r in fitted] == [JobFinished]  # nothing to do
    encoded = ask(session, EncodeViews())
    assert only(encoded, JobFinished).metrics["encoded"] == 0
    assert len([r for r in encoded if isinstance(r, ViewFeatures)]) == 8
    features = only(encoded, VoxelFeatures)
    assert features.version == stored.volume.version
    assert features.rgb.shape == (len(stored.volume.index), 3)
    assert 0 <= features.spread.min() <= features.spread.max() <= 1


def test_click_on_a_pixel(ready: Session) -> None:
    views = ready.scene.capture.views
    reply = only(ask(ready, MatchQuery(source=PixelSource(0, 48.0, 40.0))), MatchReply)
    _, z = cast_cube_on_plane(views[0].camera)
    truth = views[0].camera.unproject([[48.0, 40.0]], [float(z[40, 48])])[0]
    assert reply.source_pos_w is not None
    np.testing.assert_allclose(reply.source_pos_w, truth, atol=0.15)
    assert reply.voxel_heat is not None
    assert ready.scene.grid is not None
    assert len(reply.voxel_heat) == len(ready.scene.grid.index)
    assert sorted(reply.view_heat) == list(range(8))
    assert [m.view for m in sorted(reply.matches, key=lambda m: m.view)] == [1, 2, 3, 4, 5, 6, 7]
    # The hottest voxels lie about the clicked point.
    hottest = ready.scene.grid.centres_w()[np.argsort(reply.voxel_heat)[-5:]]
    assert np.median(np.linalg.norm(hottest - truth, axis=1)) < 0.5
    for m in reply.matches:
        if m.true_px is not None:
            px, _ = views[m.view].camera.project([truth])
            np.testing.assert_allclose(m.true_px, px[0], atol=6)


def test_click_on_a_point(ready: Session) -> None:
    top = (0.0, 0.0, 1.0)
    reply = only(ask(ready, MatchQuery(source=PointSource(top))), MatchReply)
    assert reply.source_px is None
    assert reply.source_pos_w == top
    assert len(reply.matches) == 8
    assert reply.matches[0].score > 0.7
    seen = [m for m in reply.matches if m.true_px is not None]
    assert len(seen) == 8  # every camera looks down on the cube


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (PixelSource(8, 1, 1), "no such view"),
        (PixelSource(-1, 1, 1), "no such view"),
        (PixelSource(0, 96, 1), "outside the photo"),
        (PixelSource(0, float("nan"), 1), "outside the photo"),
        (PointSource((float("inf"), 0, 0)), "not finite"),
    ],
)
def test_impossible_clicks_are_refused(ready: Session, source: PixelSource | PointSource, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        ask(ready, MatchQuery(source=source))


def test_click_before_anything_is_encoded(capture: Path, tmp_path: Path) -> None:
    session = Session(device="cpu", cache=tmp_path, threads=1)
    ask(session, OpenCapture(path=str(capture)))
    reply = only(ask(session, MatchQuery(source=PixelSource(3, 10, 10))), MatchReply)
    assert sorted(reply.view_heat) == [3]  # it was encoded for the click
    assert reply.matches == ()
    assert reply.voxel_heat is None


def test_photo_and_rendered_views(ready: Session) -> None:
    photo = only(ask(ready, LoadPhoto(view=2, max_side=48)), PhotoLoaded)
    assert photo.rgb.shape == (36, 48, 3)
    camera = ready.scene.capture.views[2].camera
    for layer in ("colour", "features", "depth"):
        picture = only(ask(ready, RenderView(camera=camera, layer=layer)), ViewRendered)
        assert picture.rgba.shape == (72, 96, 4)
        assert picture.rgba[..., 3].max() > 50  # how opaque depends on how far a busy machine got in its seconds
        assert picture.rgba[..., :3].std() > 5
    assert np.isfinite(picture.depth_z).all()
    assert picture.depth_z.max() > 1  # the cameras stand three units away


def test_refit_keeps_the_features_on_the_new_voxels(ready: Session, capture: Path) -> None:
    session = again(ready)
    ask(session, OpenCapture(path=str(capture)))
    ask(session, EncodeViews())
    replies = ask(session, FitGrid(seconds=2, refit=True))
    volumes = [r for r in replies if isinstance(r, VolumeUpdated)]
    features = {r.version: r for r in replies if isinstance(r, VoxelFeatures)}
    assert len(volumes) >= 2
    for v in volumes:
        assert len(features[v.volume.version].rgb) == len(v.volume.index)


def test_damaged_results_are_made_again(ready: Session, capture: Path) -> None:
    session = again(ready)
    folder = ready._cache / ready.scene.capture.fingerprint
    kept = {p: p.read_bytes() for p in folder.iterdir()}
    try:
        for p in kept:
            p.write_bytes(p.read_bytes()[:100])
        opened = ask(session, OpenCapture(path=str(capture)))
        assert "was not used" in only(opened, Notice).text
        assert not [r for r in opened if isinstance(r, VolumeUpdated)]
        assert only(ask(session, EncodeViews()), JobFinished).metrics["encoded"] == 8
    finally:
        for p, data in kept.items():
            p.write_bytes(data)


def test_unwritable_cache_fails_clearly_and_the_scene_stays(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    session = Session(device="cpu", cache=tmp_path / "cache", threads=1)
    ask(session, OpenCapture(path=str(capture)))
    shown: list[Reply] = []
    with pytest.raises(CacheError, match="cannot be written"):
        shown.extend(r for r in session.handle(FitGrid(seconds=1)) if r is not None)
    assert session.scene.grid is not None
    only(ask(session, MatchQuery(source=PixelSource(3, 10, 10))), MatchReply)


def test_an_unreadable_photo_is_left_out_with_a_notice(tmp_path: Path) -> None:
    folder = write_tiny_capture(tmp_path / "tiny")
    photo = folder / "images" / "002.png"
    photo.write_bytes(photo.read_bytes()[:200])
    session = Session(device="cpu", cache=tmp_path / "cache", threads=1)
    ask(session, OpenCapture(path=str(folder)))
    replies = ask(session, EncodeViews())
    assert "002.png" in only(replies, Notice).text
    assert only(replies, JobFinished).metrics["views"] == 7


class Live:
    """The real thread on the capture."""

    def __init__(self, cache: Path) -> None:
        self.inbox: queue.Queue[Reply] = queue.Queue()
        self.thread = EngineThread(Session(device="cpu", cache=cache, threads=1))
        self.thread.start(self.inbox.put)

    def until(self, request: Request, kind: type[R]) -> tuple[R, list[Reply]]:
        passed: list[Reply] = []
        while True:
            reply = self.inbox.get(timeout=120)
            if isinstance(reply, Failed):
                raise AssertionError(reply.text)
            if isinstance(reply, kind) and reply.id == request.id:
                return reply, passed
            passed.append(reply)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    live = Live(tmp_path / "cache")
    yield live
    live.thread.close()


def test_clicks_are_answered_while_a_fit_runs_and_cancel_stops_it(live: Live, capture: Path) -> None:
    opening, encode, fit = OpenCapture(path=str(capture)), EncodeViews(), FitGrid(seconds=60)
    live.thread.send(opening)
    live.until(opening, CaptureOpened)
    live.thread.send(encode)
    live.until(encode, JobFinished)
    live.thread.send(fit)
    live.until(fit, VolumeUpdated)
    for x in range(5):
        click = MatchQuery(source=PixelSource(0, 40.0 + x, 40.0))
        live.thread.send(click)
        _, passed = live.until(click, MatchReply)
        assert not any(isinstance(r, JobFinished) for r in passed)
    live.thread.send(CancelJob(job_id=fit.id))
    cancelled, _ = live.until(fit, JobCancelled)
    assert cancelled.title == "Fitting radiance grid"
    click = MatchQuery(source=PixelSource(0, 40.0, 40.0))
    live.thread.send(click)
    live.until(click, MatchReply)


def test_keypoints_are_found_once_and_saved(ready: Session, capture: Path, tmp_path: Path) -> None:
    first = again(ready)  # on what is stored, which other tests may have fitted anew
    ask(first, OpenCapture(path=str(capture)))
    ask(first, EncodeViews())
    found = only(ask(first, FindKeypoints()), SceneKeypoints)
    count = len(found.score)
    assert 100 < count <= 4096
    assert found.encoder == "default"
    assert (found.pos_w.shape, found.rgb.shape, found.seen.shape) == ((count, 3), (count, 3), (count, 8))
    assert (np.diff(found.score) <= 0).all()
    (file,) = first.scene.store.cache.glob("keypoints-*.safetensors")
    written = file.stat().st_mtime_ns

    session = again(ready)
    ask(session, OpenCapture(path=str(capture)))
    with pytest.raises(QueryError, match="no features on the scene"):
        ask(session, FindKeypoints())
    with pytest.raises(QueryError, match="no keypoints were found"):
        ask(session, SaveKeypoints(path=str(tmp_path / "k.npz"), count=5))
    ask(session, EncodeViews())
    second = only(ask(session, FindKeypoints()), SceneKeypoints)
    np.testing.assert_array_equal(second.pos_w, found.pos_w)
    np.testing.assert_array_equal(second.seen, found.seen)
    assert file.stat().st_mtime_ns == written  # read, not made again

    assert "Saved 5 keypoints" in only(ask(session, SaveKeypoints(path=str(tmp_path / "k.npz"), count=5)), Notice).text
    with np.load(tmp_path / "k.npz", allow_pickle=False) as z:
        np.testing.assert_array_equal(z["pos_w"], found.pos_w[:5])


@pytest.mark.parametrize("damage", ["truncated", "shapes", "not finite"])
def test_damaged_stored_keypoints_are_made_again(ready: Session, capture: Path, damage: str) -> None:
    session = again(ready)
    ask(session, OpenCapture(path=str(capture)))
    ask(session, EncodeViews())
    before = only(ask(session, FindKeypoints()), SceneKeypoints)
    (file,) = session.scene.store.cache.glob("keypoints-*.safetensors")
    whole = file.read_bytes()
    tensors, meta = read_tensors(file)
    if damage == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        tensors["pos_w"] = tensors["pos_w"][:-1] if damage == "shapes" else tensors["pos_w"] * np.float32("nan")
        write_tensors(file, tensors, meta)
    after = only(ask(session, FindKeypoints()), SceneKeypoints)
    np.testing.assert_array_equal(after.pos_w, before.pos_w)
    assert file.read_bytes() == whole


def test_photos_are_compared_with_the_scene_one_by_one(ready: Session, capture: Path) -> None:
    replies = ask(ready, CompareViews())
    compared = [r for r in replies if isinstance(r, ViewCompared)]
    assert sorted(r.view for r in compared) == list(range(8))
    assert isinstance(replies[-1], JobFinished)
    for r in compared:
        assert r.rgb.shape == (*r.cosine.shape, 3)
        assert r.mean is not None
        assert 0.4 < r.mean <= 1
        assert r.low is not None
        assert r.low <= r.mean
        assert not r.rgb[~np.isfinite(r.cosine)].any()
        camera = ready.scene.capture.views[r.view].camera
        assert all(0 <= x <= camera.width and 0 <= y <= camera.height for x, y, _ in r.worst)
    session = again(ready)
    ask(session, OpenCapture(path=str(capture)))
    for request in (CompareViews(), SaveAgreement(folder="nowhere")):
        with pytest.raises(QueryError, match="no features on the scene"):
            ask(session, request)


def test_the_comparison_is_written_as_a_table_and_pictures(ready: Session, tmp_path: Path) -> None:
    replies = ask(ready, SaveAgreement(folder=str(tmp_path / "new")))
    assert "8 pictures" in only(replies, Notice).text
    assert isinstance(replies[-1], JobFinished)
    assert len(list((tmp_path / "new").glob("*.png"))) == 8
    lines = (tmp_path / "new" / "consistency.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("view,name,mean")
    assert len(lines) == 9
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="cannot be written"):
        ask(ready, SaveAgreement(folder=str(tmp_path / "file")))


def test_two_windows_on_one_cache_do_not_hinder_each_other(capture: Path, tmp_path: Path) -> None:
    sessions = [Session(device="cpu", cache=tmp_path, threads=1) for _ in range(2)]
    for session in sessions:
        for _ in session.start():
            pass
        ask(session, OpenCapture(path=str(capture)))
    for make in (lambda: FitGrid(seconds=3), EncodeViews, FindKeypoints, NameScene):
        jobs = [session.handle(make()) for session in sessions]
        ended: list[Reply | None] = [None, None]
        running = [0, 1]
        while running:  # slice by slice, as two processes would
            for n in list(running):
                try:
                    ended[n] = next(jobs[n]) or ended[n]
                except StopIteration:
                    running.remove(n)
        assert all(isinstance(reply, JobFinished) for reply in ended)
    third = Session(device="cpu", cache=tmp_path, threads=1)
    for _ in third.start():
        pass
    stored = only(ask(third, OpenCapture(path=str(capture))), VolumeUpdated)
    assert stored.stored
    assert only(ask(third, EncodeViews()), JobFinished).metrics["encoded"] == 0
    assert not list(tmp_path.rglob("*.tmp"))
