"""Training on the open capture, as a job of the engine: slices, live previews, weights that are kept."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.errors import CacheError, CondenseError, QueryError
from engine.api.jobs import row_slices
from engine.api.replies import JobFinished, Notice, TrainedWeights, TrainingPreview, TrainingUpdate, VoxelFeatures
from engine.api.requests import SaveWeights, TrainEncoders
from engine.api.scene import Float32
from engine.encoders.hypercolumn import HypercolumnTrunk
from engine.encoders.mobile import (
    TRAINED_HEAD,
    TRAINED_VOLUME,
    HypercolumnHead,
    embedded_head,
    embedded_trunk,
    embedded_volume,
    load_head,
)
from engine.encoders.pca import ColourBasis
from engine.encoders.volume import VolumeEncoder, load_volume_encoder
from engine.encoders.volume.working import MOST
from engine.grid.coarse import coarsened_slices
from engine.march import render_table
from engine.runtime import resolve_device
from engine.scene_state import Replies, SceneState, report, without_replies
from engine.training.checkpoint import export
from engine.training.config import TrainConfig
from engine.training.scenes import TrainScene, prepare
from engine.training.trainer import Trainer

FOLDER = "trained"
"""Of the weights, in the capture's cache."""

PREVIEW_SECONDS = 5.0
SAVE_SECONDS = 30.0
MEASURE_EVERY = 25
SHOWN_VIEWS = 8
"""Photos that the shown 3D features are lifted from: enough for a picture."""

TUNING = TrainConfig(head_rate=0.05, frozen=0.2, bare=0.0, warm_up=20, withheld=0.15, correspondences=160)


def folder_of(scene: SceneState) -> Path:
    """Where the weights of a training of this capture lie."""
    return scene.store.write_path(FOLDER)


def train(scene: SceneState, request: TrainEncoders) -> Replies[None]:
    """Train on the open capture; what was reached is kept however it ends.

    Raises:
        QueryError: there are no photos, no geometry, or no two views that share enough.
        CacheError: the weights cannot be written.
    """
    start = time.perf_counter()
    capture, grid = scene.capture, scene.grid
    if not capture.views or (grid is None and not any(v.has_depth for v in capture.views)):
        raise QueryError("training needs photos and a fitted scene", mend="fit the radiance grid first")
    device = resolve_device(scene.device)
    config = replace(TUNING, steps=max(1, request.steps), seed=scene.seed)
    trunk = embedded_trunk(device)
    yield None
    head, network = _start(folder_of(scene), request.afresh, device)
    config = replace(config, volume=network.config)
    # The grid's depth tells the truth: it is what the canvas shows, and every view has it.
    ready = yield from report(request, prepare(capture, trunk, config, device, grid))
    if ready is None:
        raise QueryError(
            "no two photos share enough to learn from",
            path=capture.path,
            expected="views turned by 5 to 60 degrees that show 30 % of the same surface",
        )
    trainer = Trainer(config, [ready], head, network, device)
    yield from without_replies(trainer.start())
    show = _Preview(scene, ready, trainer, request.id)
    saved = time.perf_counter()
    scene.preview_view = request.view
    measures: dict[str, float] | None = None
    try:
        yield from show.pictures()
        while trainer.step < config.steps:
            last = yield from report(request, trainer.run_step())
            measures = None
            if trainer.step % MEASURE_EVERY == 0 or trainer.step == config.steps:
                found = yield from without_replies(trainer.measure([ready]))
                measures = {name: float(value) for name, value in found.items() if isinstance(value, float)}
            yield TrainingUpdate(
                id=request.id,
                step=trainer.step,
                steps=config.steps,
                losses=last.curves(),
                measures=measures,
            )
            if show.due or trainer.step == config.steps:
                yield from show.pictures()
            if trainer.step in (1, config.steps) or time.perf_counter() - saved > SAVE_SECONDS:
                saved = time.perf_counter()
                yield _save(scene, request, trainer, trunk)
    finally:
        if trainer.step:
            _save(scene, request, trainer, trunk)
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=measures or {})


def save_weights(scene: SceneState, request: SaveWeights) -> Replies[None]:
    """Copy the weights of this capture's last training.

    Raises:
        QueryError: nothing was trained on this capture yet.
        CacheError: the folder cannot be written.
    """
    source, target = folder_of(scene), Path(request.folder)
    files = [source / TRAINED_HEAD, source / TRAINED_VOLUME]
    if not all(f.is_file() for f in files):
        raise QueryError("nothing was trained on this capture yet", mend="train first")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, target / file.name)
            yield None
    except OSError as e:
        raise CacheError("cannot be written", path=target, found=str(e), mend="choose another folder") from e
    yield Notice(id=request.id, text=f"Weights saved in {target}")


def _start(folder: Path, afresh: bool, device: torch.device) -> tuple[HypercolumnHead, VolumeEncoder]:
    """The weights to start from: the last training's, if wanted and readable, else the embedded ones."""
    if not afresh:
        try:
            return load_head(folder / TRAINED_HEAD, device), load_volume_encoder(folder / TRAINED_VOLUME).to(device)
        except CondenseError:
            pass
    return embedded_head(device), embedded_volume(device)


def _save(scene: SceneState, request: TrainEncoders, trainer: Trainer, trunk: HypercolumnTrunk) -> TrainedWeights:
    folder = folder_of(scene)
    about = {"data": [scene.capture.name], "fingerprint": scene.capture.fingerprint, "seed": scene.seed}
    export(folder, trainer, trunk, about)
    return TrainedWeights(id=request.id, folder=str(folder), step=trainer.step)


class _Preview:
    """Pictures of the averaged weights, in one basis of colours from first to last."""

    def __init__(self, scene: SceneState, ready: TrainScene, trainer: Trainer, request_id: int) -> None:
        self._scene, self._ready, self._trainer, self._id = scene, ready, trainer, request_id
        self._version, self._lifted = scene.version, scene.lifted
        self._place = {view.index: n for n, view in enumerate(ready.views)}
        step = max(1, len(ready.views) // SHOWN_VIEWS)
        self._speakers = list(range(0, len(ready.views), step))[:SHOWN_VIEWS]
        self._shown = 0.0
        self._basis: ColourBasis | None = None
        self._known: Float32 | None = None
        self._parent: NDArray[np.int64] | None = None

    @property
    def due(self) -> bool:
        """Whether the last pictures are old."""
        return time.perf_counter() - self._shown > PREVIEW_SECONDS

    def pictures(self) -> Replies[None]:
        """Both branches' features of the chosen photo, and the 3D ones on the voxels."""
        ready, trainer = self._ready, self._trainer
        place = self._place.get(self._scene.preview_view, 0)
        rests = not trainer.head_learns  # then the average is the head itself, and the training keeps its maps too
        photo = ready.map(place, trainer.mean_head, keep=rests)
        yield None
        image = yield from without_replies(ready.lifted(self._speakers, trainer.mean_head, keep=rests))
        change = yield from without_replies(trainer.change(ready, image))
        basis = self._colours(photo)
        features = change.onto(image).features.cpu().numpy()
        h, w, _ = photo.shape
        camera = ready.views[place].camera.scaled(w, h)
        table = basis.apply(features).astype(np.float32) / np.float32(255)
        marched, opacity, _ = render_table(ready.grid, table, camera)
        marched = marched / np.maximum(opacity, 1e-6)[..., None]
        self._shown = time.perf_counter()
        yield TrainingPreview(
            id=self._id,
            step=trainer.step,
            view=ready.views[place].index,
            photo=basis.apply(photo),
            marched=np.round(np.clip(marched, 0, 1) * 255).astype(np.uint8),
        )
        added = change.change.cpu().numpy()
        if self._known is None:  # the scene's features hold what the 3D encoder in use adds
            shown = self._scene.features
            self._known = added if shown is not None and shown.volume is not None else np.zeros_like(added)
        yield from self._voxels(added - self._known, basis)

    def _colours(self, photo: Float32) -> ColourBasis:
        """The window's own basis where its features are of this width, so that colours go on from what was shown."""
        if self._basis is None:
            shown = self._scene.features.basis if self._scene.features is not None else None
            fits = shown is not None and len(shown.mean) == photo.shape[2]
            self._basis = shown if fits and shown is not None else ColourBasis.fit(photo.reshape(-1, photo.shape[2]))
        return self._basis

    def _voxels(self, change: Float32, basis: ColourBasis) -> Replies[None]:
        """Colours for the canvas: what the training added to each fine voxel's features."""
        grid, lifted = self._scene.grid, self._lifted
        if grid is None or lifted is None or lifted.grid is not grid or self._scene.version != self._version:
            return  # it is being fitted anew, or has no features yet
        if lifted.codes.shape[1] != change.shape[1]:
            return
        if self._parent is None:
            self._parent = (yield from without_replies(coarsened_slices(grid, MOST))).parent
        parent = self._parent
        rgb = np.empty((len(parent), 3), np.uint8)
        for part in row_slices(len(parent)):
            shown = lifted.shown[part]
            rgb[part] = basis.apply(lifted.features(shown) + change[parent[shown]])
            yield None
        yield VoxelFeatures(id=self._id, encoder="training", version=self._version, rgb=rgb, spread=lifted.spread)
