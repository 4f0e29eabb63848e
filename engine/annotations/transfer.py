"""Exports and imports as jobs of the window."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.annotations.formats.content import Content, Incoming, bring
from engine.annotations.recovery import JOURNAL
from engine.annotations.store import read_annotations
from engine.api.annotating import ExportAnnotations, FileFormat, ImportAnnotations
from engine.api.errors import AnnotationError
from engine.api.replies import JobFinished, Notice
from engine.scene_state import Replies, report, without_replies

if TYPE_CHECKING:
    from engine.annotations.service import AnnotationService

BY_SUFFIX = {".json": "json", ".npz": "npz", ".ply": "ply", ".txt": "kitti"}


def export(service: AnnotationService, request: ExportAnnotations) -> Replies[None]:
    """Write a file.

    Raises:
        AnnotationError: nothing is annotated.
        CacheError: the file cannot be written.
    """
    from engine.annotations.commands import WRITERS
    from engine.annotations.formats.coco import write_coco

    start, capture, grid = time.perf_counter(), service.scene.capture, service.grid
    state, path = service.state.copy(), Path(request.path)
    if not (state.labels.any() or any(of for kind, of in state.things.items() if kind != "class")):
        raise AnnotationError("nothing is annotated yet", mend="label something first")
    rgb = np.rint(grid.rgb * 255).astype(np.uint8)
    content = Content(capture.name, capture.fingerprint, service.document.places, rgb, state)
    yield None
    if request.format == "coco":
        lost = yield from report(request, write_coco(path, content, capture, grid))
    else:
        lost = WRITERS[request.format](path, content)
    what = f"Exported {int((state.labels > 0).sum()):,} voxels to {path.name}."
    yield Notice(id=request.id, text=" ".join([what, *(f"Left out: {line}" for line in lost)]))
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)


def bring_in(service: AnnotationService, request: ImportAnnotations) -> Replies[None]:
    """Import a file, or the folder of another grid, as one step.

    Raises:
        AnnotationError: see ``bring``; or the file cannot be read.
    """
    start, document = time.perf_counter(), service.document
    incoming = yield from read(service, Path(request.path), request.format)
    fingerprint = service.scene.capture.fingerprint
    brought = bring(incoming, document.state, document.places, fingerprint, by_position=request.by_position)
    yield None
    yield service.done(request, brought.edit, brought.told)
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)


def read(service: AnnotationService, path: Path, format: FileFormat | Literal[""]) -> Replies[Incoming]:
    """What a file, or the folder of another grid, holds; ``format``: "" by the file's name.

    Raises:
        AnnotationError: it cannot be read, or its name does not tell its format.
    """
    from engine.annotations.commands import READERS
    from engine.annotations.formats.coco_read import read_coco

    if path.is_dir() and (path / JOURNAL).exists():
        places, state = read_annotations(path)
        things = tuple(t for kind, of in state.things.items() if kind != "class" for t in of.values())
        return Incoming(
            path, tuple(state.palette), state.labels, state.instances, places.centres_w, key=places.key, things=things
        )
    if not path.is_file():
        raise AnnotationError("there is no such file", path=path)
    yield None
    kind = format or BY_SUFFIX.get(path.suffix.lower())
    if kind is None:
        raise AnnotationError("the file's name does not tell its format", path=path, expected=".json, .npz or .ply")
    if kind == "coco":
        return (yield from without_replies(read_coco(path, service.scene.capture, service.grid)))
    return READERS[kind](path)
