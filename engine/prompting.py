"""Prompts on the open scene: it is named once, then every prompt is a product with the names' probabilities."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CondenseError, QueryError
from engine.api.replies import JobFinished, PromptFound, PromptReply, Region, Reply, SceneNamed
from engine.api.requests import THRESHOLD, Example, NameScene, PromptQuery
from engine.api.scene import Float32, UInt8
from engine.encoders.words import WordEncoder, load_words
from engine.grid.places import places
from engine.likeness import alike, block_features
from engine.naming import NamedScene, ask_photos, name_scene
from engine.queries.prompt import Vocabulary
from engine.runtime import asset_path, resolve_device
from engine.scene_state import report
from engine.storage import digest

if TYPE_CHECKING:
    from engine.scene_state import SceneState

PHOTO_THRESHOLD = 0.3
"""The same for a photo alone, in which other views cannot confirm it."""
LIKELY = 3
"""Names of each voxel that are told."""
MOST_PROMPTS = 16
MOST_REGIONS = 24


@cache
def words() -> WordEncoder:
    """The embedded text encoder.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return load_words(asset_path("weights/words.safetensors"))


def names_path() -> Path:
    """Of the naming network that comes along."""
    return asset_path("weights/names.safetensors")


def classes_path() -> Path:
    """Of the image classifier that comes along."""
    return asset_path("weights/classes.safetensors")


@cache
def vocabularies() -> tuple[Vocabulary, ...]:
    """Of the naming network and of the image classifier.

    Raises:
        WeightsError: one of them is missing or damaged.
    """
    from engine.encoders.classes import load_classes
    from engine.encoders.names import load_names

    classes = load_classes(classes_path())
    return Vocabulary(load_names(names_path()).names, words()), Vocabulary(classes.names, words(), classes.kinds)


def name(scene: SceneState, request: NameScene) -> Iterator[Reply | None]:
    """Name the places of the open scene: by the naming network first, then by its photos too; where the features lie
    in a space with texts, prompts are answered there from then on.

    Raises:
        QueryError: there is no grid yet.
    """
    from engine.encoders.classes import load_classes
    from engine.encoders.clip import TextImageEncoder
    from engine.encoders.names import load_names
    from engine.open_words import OpenWords

    start = time.perf_counter()
    grid = scene.grid
    if grid is None:
        raise QueryError("there is no radiance grid yet", mend="wait for the fit's first picture")
    path = names_path()
    network = load_names(path).to(resolve_device(scene.device))
    yield None
    vocabulary = Vocabulary(network.names, words())
    features = scene.features
    maps = features if features is not None and features.encoder_name == "default" and features.views() else None
    job = name_scene(grid, scene.capture, maps, network, vocabulary, scene.store, digest(path.read_bytes()))
    scene.named = yield from report(request, job)
    yield _named(scene, scene.named, request.id, photos=maps is not None)
    if scene.capture.views:
        path = classes_path()
        classes = load_classes(path).to(resolve_device(scene.device))
        yield None
        said = Vocabulary(classes.names, words(), classes.kinds)
        key = digest(path.read_bytes())
        photos = ask_photos(scene.named, scene.capture, classes, said, scene.store, key, scene.photo_classes)
        scene.named = yield from report(request, photos)
        yield _named(scene, scene.named, request.id, photos=True)
    if features is not None and scene.lifted is not None and isinstance(features.encoder, TextImageEncoder):
        open_words = OpenWords(features.encoder, block_features(scene.named, scene.lifted))
        scene.named = replace(scene.named, open=open_words, answered={})
        yield _named(scene, scene.named, request.id, photos=True)
    metrics = {"names": float(len(_vocabulary(scene.named))), "blocks": float(len(scene.named.coarse.index))}
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=metrics)


def _vocabulary(named: NamedScene) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for namer in named.namers for name in namer.vocabulary.names))


def _named(scene: SceneState, named: NamedScene, id: int, *, photos: bool) -> SceneNamed:
    vocabulary = _vocabulary(named)
    place = {name: n for n, name in enumerate(vocabulary)}
    likely: list[NDArray[np.int64]] = []
    chance: list[UInt8] = []
    for namer in named.namers:
        top = np.argpartition(namer.chances, -LIKELY, axis=1)[:, -LIKELY:]
        likely.append(np.array([place[name] for name in namer.vocabulary.names])[top])
        chance.append(np.take_along_axis(namer.chances, top, axis=1))
    all_likely, all_chance = np.concatenate(likely, axis=1), np.concatenate(chance, axis=1)
    order = np.argsort(-all_chance.astype(np.int16), axis=1, kind="stable")[:, :LIKELY]
    return SceneNamed(
        id=id, version=scene.version, vocabulary=vocabulary, photos=photos,
        likely=np.take_along_axis(all_likely, order, axis=1).astype(np.uint16)[named.parent],
        chance=np.take_along_axis(all_chance, order, axis=1)[named.parent],
        open_words="" if named.open is None else named.open.encoder.name,
    )  # fmt: skip


def prompt(scene: SceneState, request: PromptQuery) -> PromptReply:
    """Answer prompts.

    Raises:
        QueryError: the scene has no names yet, or these are too many prompts.
    """
    start = time.perf_counter()
    named = scene.named
    if named is None or scene.grid is not named.grid:
        raise QueryError("the scene has no names yet", mend="wait until it is named")
    if len(request.prompts) + len(request.negatives) > MOST_PROMPTS:
        raise QueryError("these are too many prompts at once", expected=f"at most {MOST_PROMPTS}")
    thresholds = [*request.thresholds, *[THRESHOLD] * len(request.prompts)]
    examples = [*request.examples, *[None] * len(request.prompts)]
    found = tuple(
        _found(named, text, request.negatives, threshold)
        if example is None
        else _exemplified(scene, named, text, example, threshold)
        for text, threshold, example in zip(request.prompts, thresholds, examples, strict=False)
    )
    milliseconds = (time.perf_counter() - start) * 1e3
    return PromptReply(id=request.id, version=scene.version, found=found, milliseconds=milliseconds)


def _found(named: NamedScene, text: str, negatives: tuple[str, ...], threshold: float) -> PromptFound:
    answer, relevancy = named.answer(text, negatives)
    level = np.round(255 * relevancy).astype(np.uint8)
    unknown = answer.text.unknown
    return PromptFound(
        prompt=text,
        relevancy=level[named.parent],
        views={view: named.in_view(view, level) for view in named.views},
        best=float(answer.relevancy.max(initial=0)),
        known=answer.text.known,
        unknown=unknown,
        nearest=answer.nearest,
        within=answer.within,
        spelled=tuple(words().spelled_like(unknown[0])) if unknown and not answer.within else (),
        regions=regions(named, relevancy, threshold),
    )


def _exemplified(scene: SceneState, named: NamedScene, name: str, example: Example, threshold: float) -> PromptFound:
    """The other prompts are answered even where an example cannot be."""
    trouble = ""
    try:
        relevancy = alike(scene, named, example)
    except CondenseError as e:
        relevancy, trouble = np.zeros(len(named.coarse.index), np.float32), e.what
    level = np.round(255 * relevancy).astype(np.uint8)
    return PromptFound(
        prompt=name, relevancy=level[named.parent], views={view: named.in_view(view, level) for view in named.views},
        best=float(relevancy.max(initial=0)), known=(name,), unknown=(), nearest=(), within=True, spelled=(),
        regions=regions(named, relevancy, threshold), trouble=trouble,
    )  # fmt: skip


def regions(named: NamedScene, relevancy: Float32, threshold: float) -> tuple[Region, ...]:
    """The connected parts of the blocks whose relevancy (W,) is above a threshold, the largest first."""
    coarse = named.coarse
    parts = places(coarse, relevancy, threshold)
    total = sum(len(rows) for rows in parts)
    out: list[Region] = []
    for rows in parts:
        weight = relevancy[rows]
        centre = np.average(coarse.index[rows] + 0.5, axis=0, weights=weight)
        lo, hi = coarse.index[rows].min(axis=0), coarse.index[rows].max(axis=0) + 1
        corners = coarse.spec.to_world(np.stack([centre, lo, hi]).astype(np.float64))
        out.append(Region(*map(_triple, corners), len(rows) / total, float(weight.mean())))
    return tuple(sorted(out, key=lambda r: -r.size)[:MOST_REGIONS])


def _triple(pos_w: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(pos_w[0]), float(pos_w[1]), float(pos_w[2])
