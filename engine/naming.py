"""A scene whose places have names: probabilities over a vocabulary, on blocks of the grid's voxels and in photos."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress, told_as
from engine.api.scene import Float32, UInt8
from engine.captures.upright import LEVEL
from engine.carry import rows_beside
from engine.grid.coarse import Coarse, coarsened_slices
from engine.grid.lift import LiftAccumulator
from engine.grid.places import grown
from engine.march import surface_along
from engine.photo_names import CONTEXT, TEMPERATURE, asked_photos, gathered, read_cells
from engine.queries.prompt import Answer, Namer, Vocabulary, answers
from engine.results import FORMAT, ResultStore
from engine.storage import digest, write_tensors

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.encoders.classes import ClassNetwork
    from engine.encoders.names import NameNetwork
    from engine.features import ViewFeatureSet
    from engine.grid.radiance import RadianceGrid
    from engine.open_words import OpenWords

NOTE = "naming"
VIEW_CELLS = 96
"""Along the longer side of a photo, of the maps of what a prompt finds in it."""
LEAST_CHANCE = 8
"""Of 255: classes that no block has so much of are not stored."""
MOST_ANSWERED = 64
SMOOTHING = 0.5
"""Share of a block's probabilities that its neighbours say: one block alone is often wrong."""


class NamedBlocks(NamedTuple):
    """A grid in W blocks, the block ``parent`` (V,) of each voxel, and ``chances`` (W, K), 255 times the probability of
    each name."""

    coarse: RadianceGrid
    parent: NDArray[np.int64]
    chances: UInt8


@dataclass(frozen=True, eq=False)
class NamedScene:
    """Names on one grid.

    Attributes:
        grid: of V voxels.
        coarse: the grid in W blocks, and ``parent`` (V,) the block of each voxel.
        namers: who names the W blocks: the naming network, and what photos say if they were asked.
        views: per view (h, w) int64, the block that its cells' rays end in, -1 for none.
        open: answers prompts instead of the namers, where the scene's features lie in a space with texts.
        answered: what was asked lately: of each prompt with its negatives the answer and its grown relevancies. One
            more letter, or a moved threshold, asks all other prompts again.
    """

    grid: RadianceGrid
    coarse: RadianceGrid
    parent: NDArray[np.int64]
    namers: tuple[Namer, ...]
    views: dict[int, NDArray[np.int64]]
    open: OpenWords | None = None
    answered: dict[tuple[str, tuple[str, ...]], tuple[Answer, Float32]] = field(default_factory=dict)

    def answer(self, text: str, negatives: tuple[str, ...]) -> tuple[Answer, Float32]:
        """What is like ``text``, and its places whole."""
        key = (text, negatives)
        if key not in self.answered:
            if len(self.answered) >= MOST_ANSWERED:
                self.answered.clear()
            if self.open is not None:
                answer = self.open.answer(text, negatives)
            else:
                (answer,) = answers(self.namers, [text], negatives)
            self.answered[key] = answer, grown(self.coarse, answer.relevancy)
        return self.answered[key]

    def in_view(self, view: int, values: NDArray[Any]) -> NDArray[Any]:
        """(h, w) of values (W,) of the blocks, 0 where a ray ends in none."""
        rows = self.views[view]
        return np.where(rows >= 0, values[np.maximum(rows, 0)], 0).astype(values.dtype)


def name_scene(
    grid: RadianceGrid,
    capture: Capture,
    maps: ViewFeatureSet | None,
    network: NameNetwork,
    vocabulary: Vocabulary,
    store: ResultStore,
    id: str,
) -> Job[NamedScene]:
    """Name the blocks of a grid, or read back what was named before.

    Args:
        grid: of the scene.
        capture: whose photos look at it.
        maps: features of the photos by the encoder that the network learnt with; None: names by geometry alone.
        network: the naming network.
        vocabulary: of its names.
        store: of results.
        id: of the network's weights.

    Raises:
        CacheError: the result cannot be stored.
    """
    from engine.encoders.volume.working import MOST

    coarse, parent = yield from coarsened_slices(grid, MOST)
    yield Progress(0, 1, "views", NOTE)
    views = [] if maps is None else maps.views()
    of = "bare" if maps is None else maps.key
    key = digest(grid.index.tobytes(), grid.sigma.tobytes(), ",".join(map(str, views)), of, id)
    kept = _Kept(store, "names.safetensors", capture.fingerprint, key, least=0)
    chances = kept.read(len(coarse.index), len(vocabulary.names))
    if chances is None:
        image = None if maps is None else (yield from _lifted(grid, capture, maps))
        chances = yield from _chances(Coarse(coarse, parent), image, network)
        if grid.meta.get("capture") == capture.fingerprint:
            kept.write(chances)
    cells: dict[int, NDArray[np.int64]] = {}
    for n, view in enumerate(capture.views):
        yield Progress(n, len(capture.views), "views", NOTE)
        cells[view.index] = parent_seen(grid, parent, view.camera.fitted(VIEW_CELLS))
    return NamedScene(grid, coarse, parent, (Namer(vocabulary, chances),), cells)


def ask_photos(
    named: NamedScene,
    capture: Capture,
    network: ClassNetwork,
    vocabulary: Vocabulary,
    store: ResultStore,
    id: str,
    known: dict[int, UInt8],
) -> Job[NamedScene]:
    """Let photos say what they show too, or read back what they said before.

    Args:
        named: the scene.
        capture: whose photos look at it.
        network: the image classifier.
        vocabulary: of its classes.
        store: of results.
        id: of the network's weights.
        known: what photos said already, kept by the caller: it does not depend on the grid.

    Raises:
        CaptureError: a photo cannot be read.
        CacheError: the result cannot be stored.
    """
    grid, blocks, count = named.grid, len(named.coarse.index), len(vocabulary.names)
    views = ",".join(map(str, asked_photos(capture)))
    key = digest(grid.index.tobytes(), grid.sigma.tobytes(), views, id, str((TEMPERATURE, CONTEXT, LEVEL)))
    kept = _Kept(store, "classes.safetensors", capture.fingerprint, key, LEAST_CHANCE)
    chances = kept.read(blocks, count)
    if chances is None:
        yield from read_cells(capture, network, known)
        chances = yield from gathered({v: known[v] for v in asked_photos(capture)}, named.views, blocks)
        if grid.meta.get("capture") == capture.fingerprint:
            kept.write(chances)
    return replace(named, namers=(named.namers[0], Namer(vocabulary, chances)), answered={})


def name_blocks(grid: RadianceGrid, lifted: LiftAccumulator | None, network: NameNetwork) -> Job[NamedBlocks]:
    """One pass of the network over a grid in blocks.

    Args:
        grid: of V voxels.
        lifted: what photos say of them; None: geometry and colour alone.
        network: the naming network.
    """
    from engine.encoders.volume.working import MOST

    coarse = yield from coarsened_slices(grid, MOST)
    return NamedBlocks(coarse.grid, coarse.parent, (yield from _chances(coarse, lifted, network)))


def parent_seen(grid: RadianceGrid, parent: NDArray[np.int64], camera: Camera) -> NDArray[np.int64]:
    """(h, w) the block in which each pixel's ray ends, -1 for none."""
    pos_w, _ = surface_along(grid, *camera.rays(camera.pixel_grid()))
    ends = np.isfinite(pos_w).all(axis=1)
    rows = np.full(len(pos_w), -1, np.int64)
    rows[ends] = rows_beside(grid.spec.to_grid(pos_w[ends]), grid.lut)
    return np.where(rows >= 0, parent[np.maximum(rows, 0)], -1).reshape(camera.height, camera.width)


def smoothed(coarse: RadianceGrid, chances: Float32) -> Float32:
    """(W, K) probabilities, each block's mixed with the mean of those that touch it."""
    total = np.zeros_like(chances)
    count = np.zeros(len(chances), np.float32)
    lut = np.pad(coarse.lut, 1, constant_values=-1)
    for offset in itertools.product((0, 1, 2), repeat=3):
        if offset == (1, 1, 1):
            continue
        rows = lut[tuple((coarse.index + np.array(offset)).T)]
        beside = rows >= 0
        total[beside] += chances[rows[beside]]
        count += beside
    near = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], chances)
    return (1 - SMOOTHING) * chances + SMOOTHING * near


def _lifted(grid: RadianceGrid, capture: Capture, maps: ViewFeatureSet) -> Job[LiftAccumulator]:
    accumulator = LiftAccumulator(grid, maps.dim)
    views = maps.views()
    for n, view in enumerate(views):
        slices = accumulator.add_slices(capture.views[view].camera, maps.bank.map(view))
        yield from told_as(slices, Progress(n, len(views), "views", NOTE))
    return accumulator


def _chances(coarse: Coarse, lifted: LiftAccumulator | None, network: NameNetwork) -> Job[UInt8]:
    import torch

    from engine.encoders.volume.working import WorkingVoxels
    from engine.runtime import without_gradient

    done = Progress(0, 1, "layers", NOTE)
    device = next(network.parameters()).device
    blocks = WorkingVoxels(coarse, network.volume.levels, device)
    yield done
    dim = network.volume.config.dim
    image = torch.zeros(len(coarse.grid.index), dim, device=device)
    if lifted is not None:
        image = yield from blocks.pool(lambda part: torch.from_numpy(lifted.part(part)[0]), dim)
    logits = yield from without_gradient(blocks.logits(network, image))
    with torch.no_grad():
        found = logits.softmax(dim=1).cpu().numpy()
    yield done
    return np.round(255 * smoothed(coarse.grid, found)).astype(np.uint8)


class _Kept(NamedTuple):
    """Chances as they are stored: of the names alone of which some block has at least ``least``."""

    store: ResultStore
    file: str
    capture: str
    key: str
    least: int

    def read(self, blocks: int, names: int) -> UInt8 | None:
        """(W, K), or None when there are none, or others."""
        stored = self.store.read(self.file, self.capture)
        if stored is None or stored[1].get("key") != self.key:
            return None
        which, some = stored[0].get("names"), stored[0].get("chances")
        if which is None or some is None or which.dtype != np.int64 or some.dtype != np.uint8:
            return None
        if which.ndim != 1 or some.shape != (blocks, len(which)) or not ((which >= 0) & (which < names)).all():
            return None
        chances = np.zeros((blocks, names), np.uint8, order="F")
        chances[:, which] = some
        return chances

    def write(self, chances: UInt8) -> None:
        """Raises:
        CacheError: the file cannot be written.
        """
        which = np.flatnonzero(chances.max(axis=0, initial=0) >= self.least)
        tensors = {"names": which, "chances": np.ascontiguousarray(chances[:, which])}
        meta = {"format": FORMAT, "capture": self.capture, "key": self.key}
        write_tensors(self.store.write_path(self.file), tensors, meta)
