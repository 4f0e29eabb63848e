"""A small furnished room and an engine that answers about it at once, without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from fake_annotations import FakeAnnotations
from fake_prompts import named, prompted
from fake_repository import FakeRepository

from app.controller import Controller
from engine.api.annotating import AnnotationRequest
from engine.api.camera import Camera, look_at
from engine.api.client import OnReply
from engine.api.replies import (
    CaptureOpened,
    EngineReady,
    Failed,
    JobCancelled,
    JobFinished,
    JobPaused,
    JobProgress,
    MatchReply,
    PhotoLoaded,
    Reply,
    SceneKeypoints,
    ViewCompared,
    ViewFeatures,
    ViewMatch,
    VolumeUpdated,
    VoxelFeatures,
)
from engine.api.repository import RepositoryRequest
from engine.api.requests import (
    CancelJob,
    CompareViews,
    EncodeViews,
    FindKeypoints,
    FitGrid,
    HoverQuery,
    LoadPhoto,
    MatchQuery,
    NameScene,
    OpenCapture,
    PauseJob,
    PixelSource,
    PromptQuery,
    Request,
)
from engine.api.scene import PointCloud, SceneInfo, ViewInfo, Volume

T = TypeVar("T")
ROOM_LO, ROOM_HI = np.array([0.0, 0.0, 0.0]), np.array([5.0, 4.0, 2.6])
BOXES = (  # lowest corner, highest corner, colour
    ((0.4, 0.3, 0.0), (2.3, 1.1, 0.75), (205, 92, 66)),
    ((2.9, 2.6, 0.0), (4.3, 3.5, 0.72), (156, 116, 74)),
    ((3.3, 2.9, 0.72), (3.65, 3.25, 1.25), (66, 138, 190)),
    ((4.2, 0.3, 0.0), (4.75, 1.5, 1.9), (232, 222, 200)),
    ((0.5, 3.0, 0.0), (1.1, 3.6, 0.5), (88, 150, 92)),
)


def room_volume(voxel: float = 0.05, version: int = 1) -> Volume:
    """The room's shell and boxes as voxels one or two thick."""
    lo = ROOM_LO - 2 * voxel
    dims = tuple(int(n) for n in np.ceil((ROOM_HI - ROOM_LO) / voxel) + 4)
    centres = [lo[a] + (np.arange(dims[a]) + 0.5) * voxel for a in range(3)]
    x, y, z = np.meshgrid(*centres, indexing="ij")
    p = np.stack([x, y, z], axis=-1)
    rgba = np.zeros((*dims, 4), np.uint8)
    outside = ((p < ROOM_LO) | (p > ROOM_HI)).any(axis=-1)
    checker = (np.floor(x / 0.5) + np.floor(y / 0.5)) % 2
    floor = np.stack([150 + 25 * checker, 118 + 20 * checker, 86 + 16 * checker], axis=-1)
    wall = np.stack([200 + 12 * np.sin(3 * x + y), 205 + 0 * x, 196 + 14 * np.cos(2 * z + y)], axis=-1)
    rgba[outside, :3] = np.where((z < ROOM_LO[2])[..., None], floor, wall)[outside]
    rgba[outside, 3] = 250
    for low, high, colour in BOXES:
        inside = ((p >= np.array(low)) & (p <= np.array(high))).all(axis=-1)
        core = ((p >= np.array(low) + 2 * voxel) & (p <= np.array(high) - 2 * voxel)).all(axis=-1)
        shade = (0.82 + 0.18 * (z - low[2]) / (high[2] - low[2]))[..., None] * np.array(colour)
        skin = inside & ~core
        rgba[skin, :3] = shade[skin]
        rgba[skin, 3] = 250
    index = np.argwhere(rgba[..., 3] > 0).astype(np.int32)
    return Volume(lo, voxel, (dims[0], dims[1], dims[2]), index, rgba[tuple(index.T)], version)


def room_views(count: int = 16, width: int = 640, height: int = 480) -> tuple[ViewInfo, ...]:
    """Cameras on a ring inside the room, looking across it."""
    centre = (ROOM_LO + ROOM_HI) / 2
    views: list[ViewInfo] = []
    for i in range(count):
        a = 2 * np.pi * i / count
        eye = centre + np.array([1.7 * np.cos(a), 1.3 * np.sin(a), 0.35])
        target = centre - np.array([1.2 * np.cos(a + 0.35), 1.0 * np.sin(a + 0.35), 0.6])
        camera = look_at(eye, target, [0, 0, 1], fov_y=58, width=width, height=height)
        views.append(ViewInfo(i, f"frame_{i:03}.jpg", camera, i % 8 == 7, True))
    return tuple(views)


def room_scene(count: int = 16, path: str = "room") -> SceneInfo:
    volume = room_volume(0.1)
    points = PointCloud(volume.centres_w()[::3], volume.rgba[::3, :3])
    return SceneInfo(
        "room", path, "nerfstudio", room_views(count), points, np.stack([ROOM_LO, ROOM_HI]), np.array([0, 0, 1.0]), ()
    )


def cast_photo(camera: Camera, max_side: int = 256) -> np.ndarray:
    """(h, w, 3) uint8: the room ray-cast through a camera."""
    camera = camera.fitted(max_side)
    o = camera.centre_w
    d = camera.ray_z(camera.pixel_grid())
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(d > 0, (ROOM_HI - o) / d, (ROOM_LO - o) / d)
        axis = far.argmin(axis=1)
        t = far.min(axis=1)
        p = o + d * t[:, None]
        checker = (np.floor(p[:, 0] / 0.5) + np.floor(p[:, 1] / 0.5)) % 2
        floor = np.stack([150 + 25 * checker, 118 + 20 * checker, 86 + 16 * checker], axis=1)
        wall = np.stack(
            [
                200 + 12 * np.sin(3 * p[:, 0] + p[:, 1]),
                np.full(len(p), 205.0),
                196 + 14 * np.cos(2 * p[:, 2] + p[:, 1]),
            ],
            axis=1,
        )
        rgb = np.where(((axis == 2) & (d[:, 2] < 0))[:, None], floor, wall)
        for low, high, colour in BOXES:
            a, b = (np.array(low) - o) / d, (np.array(high) - o) / d
            near, end = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
            hit = (near < end) & (near > 0) & (near < t)
            z = (o + d * near[:, None])[:, 2]
            shade = 0.82 + 0.18 * (z - low[2]) / (high[2] - low[2])
            rgb = np.where(hit[:, None], shade[:, None] * np.array(colour), rgb)
            t = np.where(hit, near, t)
    return np.clip(rgb, 0, 255).astype(np.uint8).reshape(camera.height, camera.width, 3)


def cast_depth(camera: Camera, pos_px: np.ndarray) -> np.ndarray:
    """(N,) z-depth of the room at (N, 2) pixels."""
    o, d = camera.centre_w, camera.ray_z(pos_px)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(d > 0, (ROOM_HI - o) / d, (ROOM_LO - o) / d).min(axis=1)
        for low, high, _ in BOXES:
            a, b = (np.array(low) - o) / d, (np.array(high) - o) / d
            near, end = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
            t = np.where((near < end) & (near > 0) & (near < t), near, t)
    return t


def with_warnings(scene: SceneInfo, *warnings: str) -> SceneInfo:
    return replace(scene, warnings=warnings)


THINGS = {"chair": BOXES[0][:2], "table": BOXES[1][:2]}


class FakeEngine:
    """Answers requests about the room on the caller's thread, or when told to.

    Args:
        count: views of the room.
        held: keep requests in ``requests`` without answering until ``answer`` is called.
        failure: OpenCapture fails with this message.
        jobs_end: fit and encode run to their end at once; otherwise they stay at half.
    """

    def __init__(
        self, *, count: int = 16, held: bool = False, failure: str | None = None, jobs_end: bool = True
    ) -> None:
        self.requests: list[Request] = []
        self.started = self.closed = False
        self.held = held
        self.failure = failure
        self.jobs_end = jobs_end
        self.scene = room_scene(count)
        self.volume = room_volume()
        self.repository = FakeRepository()
        self.annotations = FakeAnnotations(self.scene, self.volume, [b[:2] for b in BOXES], cast_depth)
        self._on_reply: OnReply | None = None
        self._photos: dict[tuple[int, int], np.ndarray] = {}

    def start(self, on_reply: OnReply) -> None:
        self.started = True
        self._on_reply = on_reply
        on_reply(EngineReady(id=0, device="cpu", encoders=("default", "raw")))
        if not self.held:
            for request in list(self.requests):
                self.answer(request)

    def send(self, request: Request) -> None:
        self.requests.append(request)
        if self.started and not self.held:
            self.answer(request)

    def close(self) -> None:
        self.closed = True

    def reply(self, reply: Reply) -> None:
        assert self._on_reply is not None
        self._on_reply(reply)

    def sent(self, kind: type[T]) -> list[T]:
        """All requests of a kind so far."""
        return [r for r in self.requests if type(r) is kind]

    def answer(self, request: Request) -> None:
        match request:
            case OpenCapture() if self.failure is not None:
                self.reply(Failed(id=request.id, what=self.failure.splitlines()[0], text=self.failure))
            case OpenCapture():
                path = request.path if self.scene.path == "room" else self.scene.path
                self.reply(CaptureOpened(id=request.id, scene=replace(self.scene, path=path)))
            case LoadPhoto():
                self.reply(
                    PhotoLoaded(id=request.id, view=request.view, rgb=self.photo(request.view, request.max_side))
                )
            case FitGrid():
                self._fit(request)
            case EncodeViews():
                self._encode(request)
            case CompareViews():
                for view in self.scene.views:
                    self.reply(self.compared(view.index, request.id))
                self.reply(JobFinished(id=request.id, title=request.title, seconds=0.1))
            case NameScene():
                self.reply(named(self.volume, request.id))
                self.reply(JobFinished(id=request.id, title=request.title, seconds=0.1))
            case PromptQuery():
                self.reply(prompted(self.scene, self.volume, request, THINGS))
            case FindKeypoints():
                self.reply(self.keypoints(request.id))
                self.reply(JobFinished(id=request.id, title=request.title, seconds=0.1))
            case CancelJob():
                title = next((r.title for r in self.requests if r.id == request.job_id), "")
                self.reply(JobCancelled(id=request.job_id, title=title))
            case PauseJob():
                self.reply(JobPaused(id=request.id, job_id=request.job_id, paused=request.paused))
            case MatchQuery():
                self.reply(self.match(request))
            case AnnotationRequest():
                self.annotations.answer(request, self.reply)
            case RepositoryRequest():
                self.repository.answer(request, self.reply)
            case _:
                pass

    def photo(self, view: int, max_side: int) -> np.ndarray:
        key = (view, max_side)
        if key not in self._photos:
            self._photos[key] = cast_photo(self.scene.views[view].camera, 640 if max_side > 256 else 128)
        return self._photos[key]

    def compared(self, view: int, id: int = 0) -> ViewCompared:
        """Agreement that falls from left to right; less in views of even number."""
        small = self.scene.views[view].camera.fitted(56)
        best = 0.9 - 0.05 * view if view % 2 else 0.5 - 0.05 * view
        cosine = np.tile(np.linspace(best, 0, small.width, dtype=np.float32), (small.height, 1))
        cosine[0] = np.nan
        px = small.pixel_grid()
        rgb = pseudo_features(small.unproject(px, cast_depth(small, px))).reshape(small.height, small.width, 3)
        return ViewCompared(
            id=id, view=view, rgb=rgb, cosine=cosine, mean=best / 2, low=0.02, centred=best / 3,
            worst=((600.0, 240.0, 0.01),),
        )  # fmt: skip

    def keypoints(self, id: int = 0, count: int = 600) -> SceneKeypoints:
        """Every so many voxels, the first ones best; seen where they project and nothing is before them."""
        pos_w = self.volume.centres_w()[:: max(1, len(self.volume.index) // count)][:count]
        seen = np.zeros((len(pos_w), len(self.scene.views)), bool)
        for n, view in enumerate(self.scene.views):
            px, depth = view.camera.project(pos_w.astype(np.float64))
            good = (depth > 0) & view.camera.contains(np.nan_to_num(px, nan=-1.0))
            good[good] = depth[good] <= cast_depth(view.camera, px[good]) + 0.1
            seen[:, n] = good
        order = np.argsort(-seen.sum(axis=1), kind="stable")
        score = np.linspace(0.9, 0.1, len(pos_w)).astype(np.float32)
        return SceneKeypoints(
            id=id, encoder="default", pos_w=pos_w[order], score=score, rgb=pseudo_features(pos_w[order]),
            features=np.eye(8, dtype=np.float32)[np.arange(len(pos_w)) % 8], seen=seen[order],
        )  # fmt: skip

    def _fit(self, request: FitGrid) -> None:
        progress = JobProgress(
            id=request.id, title=request.title, done=0.5, total=1.0, unit="s", rate=1.0, eta=0.5, note="24.0 dB"
        )
        self.reply(progress)
        self.reply(VolumeUpdated(id=request.id, volume=self.volume, psnr=28.4, seconds=4.2))
        if self.jobs_end:
            self.reply(JobFinished(id=request.id, title=request.title, seconds=4.2, metrics={"psnr": 28.4}))

    def _encode(self, request: EncodeViews) -> None:
        n = len(self.scene.views)
        title = request.title
        for v in self.scene.views[: n if self.jobs_end else n // 2]:
            self.reply(ViewFeatures(id=request.id, encoder=request.encoder, view=v.index, rgb=self._pca(v.camera)))
            self.reply(
                JobProgress(
                    id=request.id,
                    title=title,
                    done=v.index + 1,
                    total=n,
                    unit="photos",
                    rate=9.5,
                    eta=(n - v.index) / 9.5,
                )
            )
        if self.jobs_end:
            p = self.volume.centres_w()
            self.reply(
                VoxelFeatures(
                    id=request.id, encoder=request.encoder, version=self.volume.version, rgb=pseudo_features(p),
                    spread=(0.5 + 0.5 * np.sin(3 * p[:, 0])).astype(np.float32),
                )
            )  # fmt: skip
            self.reply(JobFinished(id=request.id, title=title, seconds=1.7))

    def _pca(self, camera: Camera) -> np.ndarray:
        small = camera.fitted(56)
        px = small.pixel_grid()
        pos_w = small.unproject(px, cast_depth(small, px))
        return pseudo_features(pos_w).reshape(small.height, small.width, 3)

    def match(self, request: MatchQuery) -> MatchReply:
        """Heat falls off with the true distance in the scene; matches lie three pixels off the truth."""
        s = request.source
        if isinstance(s, PixelSource):
            camera = self.scene.views[s.view].camera
            px = np.array([[s.x, s.y]])
            pos_w = camera.unproject(px, cast_depth(camera, px))[0]
        else:
            pos_w = np.array(s.pos_w)
        heat: dict[int, np.ndarray] = {}
        matches: list[ViewMatch] = []
        for v in self.scene.views:
            small = v.camera.fitted(56)
            grid = small.pixel_grid()
            there = small.unproject(grid, cast_depth(small, grid))
            heat[v.index] = cosine(there, pos_w).reshape(small.height, small.width)
            if isinstance(s, PixelSource) and s.view == v.index:
                continue
            px, depth = v.camera.project(pos_w[None])
            seen = bool(depth[0] > 0 and v.camera.contains(px)[0] and cast_depth(v.camera, px)[0] > depth[0] - 0.05)
            best = np.unravel_index(heat[v.index].argmax(), heat[v.index].shape)
            x, y = (best[1] + 0.5) * v.camera.width / small.width, (best[0] + 0.5) * v.camera.height / small.height
            if seen:
                x, y = min(float(px[0, 0]) + 3, v.camera.width - 1), float(px[0, 1])
            score = float(heat[v.index].max())
            point = v.camera.unproject(np.array([[x, y]]), cast_depth(v.camera, np.array([[x, y]])))[0]
            matches.append(
                ViewMatch(
                    v.index, float(x), float(y), score, seen, (float(point[0]), float(point[1]), float(point[2])),
                    (float(px[0, 0]), float(px[0, 1])) if seen else None,
                )
            )  # fmt: skip
        matches.sort(key=lambda m: -m.score)
        return MatchReply(
            id=request.id, source=s, source_pos_w=(float(pos_w[0]), float(pos_w[1]), float(pos_w[2])),
            source_px=(s.x, s.y) if isinstance(s, PixelSource) else None, version=self.volume.version,
            voxel_heat=cosine(self.volume.centres_w(), pos_w), view_heat=heat, matches=tuple(matches),
            milliseconds=12.0, hover=isinstance(request, HoverQuery),
        )  # fmt: skip


def cosine(pos_w: np.ndarray, source_w: np.ndarray) -> np.ndarray:
    """A stand-in for similarity: 1 at the source, falling off over half a metre."""
    return (0.15 + 0.85 * np.exp(-((pos_w - source_w) ** 2).sum(axis=1) / 0.12)).astype(np.float32)


def pseudo_features(pos_w: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 colours that differ by place, as PCA colours do."""
    x, y, z = np.asarray(pos_w, np.float64).T
    rgb = np.stack([np.sin(1.3 * x + z), np.cos(1.1 * y - 0.5 * x), np.sin(1.7 * z + y)], axis=1)
    return (127.5 + 100 * rgb).astype(np.uint8)


def featured(controller: Controller, version: int = 1, encoder: str = "default") -> None:
    """A volume of that version and features on it arrive."""
    volume = room_volume(0.2, version)
    controller.receive(VolumeUpdated(id=0, volume=volume, psnr=None, seconds=1.0))
    grey, spread = np.zeros((len(volume.index), 3), np.uint8), np.zeros(len(volume.index), np.float32)
    controller.receive(VoxelFeatures(id=0, encoder=encoder, version=version, rgb=grey, spread=spread))
