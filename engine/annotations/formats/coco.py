"""COCO: masks of instances in every photo, and its panoptic form.

What is labelled on voxels is marched into each photo, and brought through its lens to the pixels of the photo's file.
An annotation is one instance in one photo; what has a class and no instance is one annotation with ``iscrowd`` 1.
``instance_id`` is ours, and the same for a thing in all photos; other readers pass over it.

Lost: what no photo shows, how exactly voxels end, boxes, lines, landmarks, notes, keys of classes. So an import from
COCO is near to what was exported, not the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.annotations.formats.content import Content
from engine.annotations.formats.ply import lost_things
from engine.annotations.formats.rle import to_runs
from engine.annotations.strokes import ViewHits, seen_values, view_hits
from engine.api.errors import CaptureError
from engine.api.jobs import Job, Progress, told_as
from engine.storage import write_atomic, write_json

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.captures.capture import View
    from engine.grid.radiance import RadianceGrid

Bool = NDArray[np.bool_]
Ints = NDArray[np.int64]

SIDE = 960
"""Pixels along the long side at which labels are marched."""
ROWS = 256
LEAST_PIXELS = 4
"""Smaller specks of a photo are left out."""


def write_coco(path: Path, content: Content, capture: Capture, grid: RadianceGrid) -> Job[list[str]]:
    """Write ``path``, and beside it ``STEM_panoptic.json`` with a folder ``STEM_panoptic`` of PNGs; what is lost.

    Raises:
        CaptureError: the capture has no photos.
        CacheError: a file cannot be written.
    """
    if not capture.views:
        raise CaptureError("there are no photos to make masks of", path=capture.path, found=capture.format)
    state = content.state
    both = np.stack([state.labels.astype(np.int64), state.instances.astype(np.int64)], axis=1)
    kinds, kind_of_voxel = np.unique(np.where(both[:, :1] > 0, both, 0), axis=0, return_inverse=True)
    kind_of_voxel = kind_of_voxel.ravel()
    categories = [
        {"id": c.id, "name": c.name, "supercategory": "", "color": list(c.rgb), "isthing": 1} for c in state.palette
    ]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    folder = path.with_name(f"{path.stem}_panoptic")
    shown: set[int] = set()
    for done, view in enumerate(capture.views):
        progress = Progress(done, len(capture.views), "photos", "writing masks")
        yield progress
        hits = yield from told_as(view_hits(grid, view.camera, SIDE), progress)
        found = yield from told_as(file_values(view, hits, kind_of_voxel + 1, progress), progress)
        image_id, name = view.index + 1, f"{view.index:05}.png"
        size = {"width": view.camera.width, "height": view.camera.height}
        images.append({"id": image_id, "file_name": view.name, **size})
        segments: list[dict[str, Any]] = []
        segment_of = np.zeros(len(kinds) + 1, np.int64)
        for n in np.unique(found):
            label, instance = (0, 0) if n == 0 else kinds[n - 1].tolist()
            if not label:
                continue
            mask = found == n
            area = int(mask.sum())
            if area < LEAST_PIXELS:
                continue
            shown.add(int(n) - 1)
            told = {
                "category_id": label, "iscrowd": int(instance == 0), "area": area, "bbox": _box(mask),
                "instance_id": instance,
            }  # fmt: skip
            runs = {"size": list(mask.shape), "counts": to_runs(mask)}
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **told, "segmentation": runs})
            segments.append({"id": len(segments) + 1, **told})
            segment_of[n] = len(segments)
            yield progress
        _write_png(folder / name, segment_of[found])
        panoptic.append({"image_id": image_id, "file_name": name, "segments_info": segments})
    info = {"info": {"description": content.capture, "version": "1.0"}, "images": images}
    write_json(path, {**info, "licenses": [], "categories": categories, "annotations": annotations})
    write_json(
        path.with_name(f"{path.stem}_panoptic.json"), {**info, "categories": categories, "annotations": panoptic}
    )
    return _lost(content, kinds, kind_of_voxel, shown)


def file_values(view: View, hits: ViewHits, values: Ints, progress: Progress) -> Job[Ints]:
    """(H, W) values (V,) of the voxels at each pixel of a photo's file, 0 where there is none."""
    seen = seen_values(hits, values)
    height, width = view.camera.height, view.camera.width
    out = np.zeros((height, width), np.int64)
    for part in _rows(height):
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(part.start, part.stop) + 0.5)
        at = view.undistort_px(np.stack([x.ravel(), y.ravel()], axis=1))
        out[part] = _sampled(seen, at / [width, height]).reshape(-1, width)
        yield progress
    return out


def _rows(height: int) -> Iterator[slice]:
    for start in range(0, height, ROWS):
        yield slice(start, min(start + ROWS, height))


def _sampled(values: Ints, rel: NDArray[np.float64]) -> Ints:
    """(N,) the nearest values of (h, w) at relative places (N, 2); 0 outside and for NaN."""
    inside = (rel >= 0).all(axis=1) & (rel < 1).all(axis=1)
    h, w = values.shape
    column, row = (np.where(inside[:, None], rel, 0) * [w, h]).astype(np.int64).T
    return np.where(inside, values[row, column], 0)


def _box(mask: Bool) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y, x = int(rows[0]), int(columns[0])
    return [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]


def _write_png(path: Path, segments: Ints) -> None:
    rgb = np.stack([segments & 0xFF, segments >> 8 & 0xFF, segments >> 16 & 0xFF], axis=2).astype(np.uint8)

    def write(tmp: Path) -> None:
        Image.fromarray(rgb).save(tmp, format="PNG")

    write_atomic(path, write)


def _lost(content: Content, kinds: Ints, kind_of_voxel: Ints, shown: set[int]) -> list[str]:
    lost = lost_things(content)
    labelled = kinds[:, 0] > 0
    unseen = [n for n in range(len(kinds)) if labelled[n] and n not in shown]
    if unseen:
        voxels = int(np.isin(kind_of_voxel, unseen).sum())
        lost.append(f"{len(unseen)} instances of {voxels} voxels are not in the file: no photo shows them.")
    lost.append("Masks are pixels of photos: what no photo shows of an instance is not in the file.")
    return lost
