"""``condense prompt``: words in, places in scenes and single photos out, with pictures."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.api.errors import CaptureError, QueryError, WeightsError
from engine.api.replies import PromptFound, PromptReply
from engine.api.requests import THRESHOLD, EncodeViews, FitGrid, NameScene, PromptQuery
from engine.api.scene import UInt8
from engine.captures.photos import SUFFIXES, decode, image_size
from engine.cli import Prompt
from engine.driving import drive, open_session, run_job
from engine.storage import write_atomic

if TYPE_CHECKING:
    from engine.encoders.classes import ClassNetwork
    from engine.encoders.clip import TextImageEncoder
    from engine.queries.prompt import Answer, Vocabulary

PICTURE_SIDE = 640
DARK = 0.35
"""What is left of the light of what a prompt did not find."""
FADE = 0.1
"""Relevancy over which a picture brightens, up to the threshold."""


def prompt(command: Prompt) -> dict[str, Any]:
    """Ask all targets; captures that were not fitted yet are.

    Raises:
        QueryError: nothing to look for, or a threshold that is none.
        CaptureError: a target cannot be read, or has no photos.
    """
    wanted = [p.strip() for p in command.prompts if p.strip()]
    if not wanted:
        raise QueryError(
            "nothing to look for", expected='--prompts with some words, such as --prompts "blue sofa" lamp'
        )
    if command.threshold is not None and not 0 < command.threshold < 1:
        raise QueryError("no such threshold", found=str(command.threshold), expected="between 0 and 1")
    if command.open_vocabulary is not None:
        _speaker(command.open_vocabulary, command.device)  # refused before anything is fitted
    rows: list[dict[str, Any]] = []
    for target in command.targets:
        path = Path(target)
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            rows += _ask_photo(command, path, wanted)
        else:
            rows += _ask_capture(command, target, wanted)
    return {"rows": rows, "folder": None if command.out is None else str(command.out)}


def highlighted(rgb: UInt8, relevancy: UInt8, threshold: float, title: str) -> Image.Image:
    """A photo (H, W, 3), bright where relevancy (h, w), of 255, is over the threshold, with a line of text on top."""
    photo = Image.fromarray(rgb)
    photo.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    level = np.asarray(Image.fromarray(relevancy).resize(photo.size, Image.Resampling.BICUBIC), np.float32) / 255
    light = np.clip((level - threshold + FADE) / FADE, 0, 1)
    shown = np.asarray(photo, np.float32) * (DARK + (1 - DARK) * light)[..., None]
    bar = np.full((24, photo.width, 3), 24, np.uint8)
    out = Image.fromarray(np.concatenate([bar, np.round(shown).astype(np.uint8)]))
    font = ImageFont.load_default(13)
    ImageDraw.Draw(out).text((8, 4), title, fill=(235, 235, 235), font=font)
    return out


def _ask_capture(command: Prompt, target: str, wanted: list[str]) -> list[dict[str, Any]]:
    session = open_session(command, target)
    capture = session.scene.capture
    if not capture.views:
        mend = "choose a capture with photos, or a photo"
        raise CaptureError("there are no photos", path=capture.path, found=capture.format, mend=mend)
    for request in (FitGrid(), EncodeViews(encoder=command.open_vocabulary or "default"), NameScene()):
        drive(session, request)
    threshold = THRESHOLD if command.threshold is None else command.threshold
    query = PromptQuery(prompts=tuple(wanted), negatives=command.without, thresholds=(threshold,) * len(wanted))
    (reply,) = (r for r in drive(session, query) if isinstance(r, PromptReply))
    rows: list[dict[str, Any]] = []
    for found in reply.found:
        row = {"target": capture.name, **_row(found, bool(found.regions))}
        if command.out is not None:
            view = max(found.views, key=lambda v: int((found.views[v] >= 255 * threshold).sum()))
            rgb = capture.read(view, max_side=PICTURE_SIDE).rgb
            row["view"] = view
            row["picture"] = _write(command, capture.name, found, rgb, found.views[view], threshold)
        rows.append(row)
    return rows


def _row(found: PromptFound, there: bool) -> dict[str, Any]:
    return {
        "prompt": found.prompt,
        "found": there,
        "best": round(found.best, 3),
        "known": found.within,
        "nearest": [name for name, _ in found.nearest],
        "regions": [
            {"centre": [round(x, 3) for x in r.centre_w], "size": round(r.size, 3), "score": round(r.score, 3)}
            for r in found.regions
        ],
    }


def _write(command: Prompt, name: str, found: PromptFound, rgb: UInt8, relevancy: UInt8, threshold: float) -> str:
    assert command.out is not None
    path = command.out / f"{_safe(name)}-{_safe(found.prompt)}.jpg"
    says = f"best {found.best:.2f}" if found.within else "not a word it knows"
    picture = highlighted(rgb, relevancy, threshold, f"“{found.prompt[:50]}”   {says}")
    write_atomic(path, lambda tmp: picture.save(tmp, format="JPEG", quality=88))
    return str(path)


class _Told(NamedTuple):
    """Answers on the (h, w) ``cells`` of a photo, and from which relevancy on they count as found."""

    cells: tuple[int, int]
    answers: list[Answer]
    threshold: float


def _by_classes(command: Prompt, name: str, rgb: UInt8, wanted: list[str]) -> _Told:
    """By the image classifier."""
    from engine.photo_names import cell_chances
    from engine.prompting import PHOTO_THRESHOLD
    from engine.queries.prompt import Namer, answers

    network, vocabulary = _classifier(command.device)
    chances = cell_chances(run_job(f"Naming {name}", network.slices(rgb)))
    flat = chances.reshape(-1, chances.shape[2])
    given = answers([Namer(vocabulary, flat)], wanted, command.without)
    return _Told((chances.shape[0], chances.shape[1]), given, PHOTO_THRESHOLD)


def _openly(command: Prompt, encoder_name: str, name: str, rgb: UInt8, wanted: list[str]) -> _Told:
    """In a space with texts."""
    from engine.open_words import OpenWords

    encoder = _speaker(encoder_name, command.device)
    cells = run_job(f"Encoding {name}", encoder.encode_slices(rgb))
    words = OpenWords(encoder, cells.reshape(-1, encoder.dim))
    return _Told((cells.shape[0], cells.shape[1]), [words.answer(t, command.without) for t in wanted], THRESHOLD)


@cache
def _speaker(name: str, device: str) -> TextImageEncoder:
    from engine.encoders import load_encoder
    from engine.encoders.clip import TextImageEncoder
    from engine.runtime import resolve_device

    encoder = load_encoder(name, resolve_device(device))
    if not isinstance(encoder, TextImageEncoder):
        raise WeightsError(
            "this encoder knows no words", found=name, expected="clip:… or siglip:… and a hub id or folder"
        )
    return encoder


@cache
def _classifier(device: str) -> tuple[ClassNetwork, Vocabulary]:
    """The image classifier, once for all photos of a command."""
    from engine.encoders.classes import load_classes
    from engine.prompting import classes_path, words
    from engine.queries.prompt import Vocabulary
    from engine.runtime import resolve_device

    network = load_classes(classes_path()).to(resolve_device(device))
    return network, Vocabulary(network.names, words(), network.kinds)


def _ask_photo(command: Prompt, path: Path, wanted: list[str]) -> list[dict[str, Any]]:
    """A photo alone, cell by cell."""
    from engine.photo_names import PHOTO_SIDE

    size = image_size(path)
    scale = min(1.0, max(PHOTO_SIDE, PICTURE_SIDE) / max(size))
    small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    rgb = np.asarray(decode(path, size, small).convert("RGB"))
    told = (
        _by_classes(command, path.name, rgb, wanted)
        if command.open_vocabulary is None
        else _openly(command, command.open_vocabulary, path.name, rgb, wanted)
    )
    threshold = told.threshold if command.threshold is None else command.threshold
    rows: list[dict[str, Any]] = []
    for text, answer in zip(wanted, told.answers, strict=True):
        level = np.round(255 * answer.relevancy).astype(np.uint8).reshape(told.cells)
        found = PromptFound(
            prompt=text, relevancy=level, views={}, best=float(answer.relevancy.max()), known=answer.text.known,
            unknown=answer.text.unknown, nearest=answer.nearest, within=answer.within, spelled=(), regions=(),
        )  # fmt: skip
        row = {"target": path.name, **_row(found, found.best >= threshold)}
        if command.out is not None:
            row["picture"] = _write(command, path.stem, found, rgb, level, threshold)
        rows.append(row)
    return rows


def _safe(text: str) -> str:
    return re.sub(r"[^\w-]+", "-", text)[:60].strip("-") or "prompt"
