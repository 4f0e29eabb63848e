"""What the window does, without one: talk to the engine, draw the canvas, save a picture."""

from __future__ import annotations

import queue
import sys
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app import colormaps
from app.prompt_state import Prompt, added
from app.snapshot import LAYERS, render_snapshot
from engine.api.client import EngineClient
from engine.api.errors import CondenseError, QueryError
from engine.api.replies import (
    CaptureOpened,
    Failed,
    JobFinished,
    MatchReply,
    Notice,
    PhotoLoaded,
    PromptReply,
    Reply,
    VolumeUpdated,
    VoxelFeatures,
)
from engine.api.requests import (
    EncodeViews,
    FitGrid,
    LoadPhoto,
    MatchQuery,
    NameScene,
    OpenCapture,
    PixelSource,
    PromptQuery,
    Request,
)
from engine.api.scene import SceneInfo

R = TypeVar("R", bound=Reply)
SILENCE = 600.0  # seconds without any reply after which the engine counts as lost
THUMBNAIL = 256


class Conversation:
    """Asks the engine one thing after another and waits for the answers."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._inbox: queue.Queue[Reply] = queue.Queue()
        self.volume: VolumeUpdated | None = None
        self.voxels: VoxelFeatures | None = None
        client.start(self._inbox.put)

    def ask(self, request: Request, answer: type[R]) -> R:
        """Send ``request`` and wait for its answer of type ``answer``; newer volumes and features are kept.

        Raises:
            CondenseError: the engine could not do it, in its words.
        """
        self._client.send(request)
        while True:
            try:
                reply = self._inbox.get(timeout=SILENCE)
            except queue.Empty:
                raise QueryError("the engine does not answer") from None
            match reply:
                case Failed() if reply.id == request.id:
                    raise CondenseError(reply.text)
                case VolumeUpdated():
                    self.volume = reply
                case VoxelFeatures():
                    self.voxels = reply
                case Notice():
                    print(f"warning: {reply.text}", file=sys.stderr)
                case _:
                    pass
            if isinstance(reply, answer) and reply.id == request.id:
                return reply

    def open(self, path: str) -> SceneInfo:
        """Open a capture; its warnings go to stderr."""
        scene = self.ask(OpenCapture(path=path), CaptureOpened).scene
        for warning in scene.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        return scene

    def close(self) -> None:
        self._client.close()


def snapshot(
    client: EngineClient,
    capture: str,
    *,
    layer: str,
    view: str,
    size: tuple[int, int],
    theme: str,
    seconds: float,
    pixel: tuple[float, float] | None,
    query_view: int,
    cameras: bool,
    prompts: tuple[str, ...] = (),
) -> NDArray[np.uint8]:
    """Open, fit and encode as far as ``layer`` needs it, and draw: (height, width, 4) uint8, opaque.

    Raises:
        CondenseError: bad input, or nothing to draw with.
    """
    if layer not in LAYERS:
        raise QueryError("there is no such layer", found=layer, expected=", ".join(LAYERS))
    if not (16 <= size[0] <= 8192 and 16 <= size[1] <= 8192):
        raise QueryError("the picture's size is not usable", found=f"{size[0]} {size[1]}", expected="16 to 8192")
    talk = Conversation(client)
    try:
        return _draw(talk, capture, layer, view, size, theme, seconds, pixel, query_view, cameras, prompts)
    finally:
        talk.close()


def _draw(
    talk: Conversation,
    capture: str,
    layer: str,
    view: str,
    size: tuple[int, int],
    theme: str,
    seconds: float,
    pixel: tuple[float, float] | None,
    query_view: int,
    cameras: bool,
    prompts: tuple[str, ...],
) -> NDArray[np.uint8]:
    scene = talk.open(capture)
    if scene.views:
        talk.ask(FitGrid(seconds=seconds), JobFinished)
    voxel_rgb, voxel_heat, source = None, None, None
    if layer in ("features", "spread", "heat") or prompts:
        if not scene.views:
            raise QueryError("bare geometry has no features to show", mend="use --layer points")
        talk.ask(EncodeViews(), JobFinished)
        if talk.voxels is None:
            raise QueryError("no features could be lifted onto the scene")
        spread = np.round(np.clip(talk.voxels.spread, 0, 1) * 255).astype(np.uint8)
        if layer in ("features", "spread"):
            voxel_rgb = talk.voxels.rgb if layer == "features" else colormaps.table(colormaps.SPREAD)[spread]
    if layer == "heat":
        answer = talk.ask(MatchQuery(source=_source(scene, query_view, pixel)), MatchReply)
        voxel_heat, source = answer.voxel_heat, answer.source_pos_w
    asked = added((), ",".join(prompts))
    found = _ask(talk, asked) if asked else None
    photos = _photos(talk, scene, layer, view, max(size), cameras)
    try:
        return render_snapshot(
            scene,
            volume=None if talk.volume is None else talk.volume.volume,
            voxel_rgb=voxel_rgb,
            voxel_heat=voxel_heat,
            prompts=found,
            photos=photos,
            layer=layer,
            view=view,
            size=size,
            theme=theme,
            source_pos_w=source,
        )
    except ValueError as e:
        raise QueryError(str(e)) from e
    except RuntimeError as e:
        raise QueryError(
            "the picture cannot be drawn",
            found=str(e),
            mend="install libegl1 and libgl1-mesa-dri (software GL will do)",
        ) from e


def _ask(talk: Conversation, asked: tuple[Prompt, ...]) -> list[tuple[Prompt, NDArray[np.uint8]]]:
    """Relevancies (V,) of those that are wanted; what was not found is said."""
    wanted = [p for p in asked if not p.negative]
    if not wanted:
        raise QueryError("nothing to look for", found="only what is not meant", expected="some words without a minus")
    talk.ask(NameScene(), JobFinished)
    query = PromptQuery(
        prompts=tuple(p.text for p in wanted),
        negatives=tuple(p.text for p in asked if p.negative),
        thresholds=tuple(p.threshold for p in wanted),
    )
    reply = talk.ask(query, PromptReply)
    for one in reply.found:
        if not one.regions:
            why = "nothing here looks like that" if one.within else "not in its vocabulary"
            print(f"warning: {one.prompt}: {why} (best {one.best:.2f})", file=sys.stderr)
    return [(p, one.relevancy) for p, one in zip(wanted, reply.found, strict=True)]


def _source(scene: SceneInfo, view: int, pixel: tuple[float, float] | None) -> PixelSource:
    if not 0 <= view < len(scene.views):
        raise QueryError("there is no such view", found=f"view {view}", expected=f"0 to {len(scene.views) - 1}")
    camera = scene.views[view].camera
    x, y = pixel or (camera.width / 2, camera.height / 2)
    return PixelSource(view, x, y)


def _photos(
    talk: Conversation, scene: SceneInfo, layer: str, view: str, side: int, cameras: bool
) -> dict[int, NDArray[np.uint8]]:
    """The photo looked through, or thumbnails for the frusta; one that cannot be read is left out."""
    if view.isdigit():
        wanted = [int(view)] if layer == "photo" and int(view) < len(scene.views) else []
    else:
        wanted, side = [v.index for v in scene.views] if cameras else [], THUMBNAIL
    photos: dict[int, NDArray[np.uint8]] = {}
    for index in wanted:
        try:
            photos[index] = talk.ask(LoadPhoto(view=index, max_side=side), PhotoLoaded).rgb
        except CondenseError as e:
            print(f"warning: {e.text()}", file=sys.stderr)
    return photos
