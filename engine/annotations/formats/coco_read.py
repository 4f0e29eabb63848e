"""COCO's masks in photos, lifted to voxels; a voxel is what most of the pixels that show it say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.annotations.formats.content import Incoming, malformed, read_json
from engine.annotations.formats.rle import of_runs, runs_of_text
from engine.annotations.palette import fresh_colour
from engine.annotations.said import Said
from engine.annotations.strokes import ViewHits, lifted, view_hits
from engine.annotations.things import of_json
from engine.api.annotations import LabelClass
from engine.api.jobs import Job, Progress, told_as

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.captures.capture import View
    from engine.grid.radiance import RadianceGrid

Bool = NDArray[np.bool_]

SAME = 0.5
"""Masks of two photos are of one instance where so large a share of the smaller one's voxels are the other's."""
MOST_SIDE = 1 << 15


class _Mask(NamedTuple):
    image: int
    label: int
    instance: int | None
    segmentation: Any


def read_coco(path: Path, capture: Capture, grid: RadianceGrid) -> Job[Incoming]:
    """Read masks of this capture's photos, which are found by their names.

    Raises:
        AnnotationError: it cannot be read, is malformed, or is of none of the photos.
    """
    expected = "COCO's images, categories and annotations with segmentation"
    told = read_json(path)
    try:
        images, classes, masks = _parse(told)
        views = _views(images, capture)
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise malformed(path, e, expected) from e
    if not views:
        names = ", ".join(name for name, _, _ in list(images.values())[:3])
        raise malformed(path, f"images {names or 'of no name'}", "images that are named as this capture's photos are")
    votes: list[tuple[NDArray[np.int64], int, int]] = []  # voxels, class, instance
    said: list[Said] = []
    by_class: dict[int, list[tuple[int, set[int]]]] = {}
    joined = 0
    fresh = max((m.instance or 0 for m in masks), default=0)
    for done, (image, view) in enumerate(views.items()):
        progress = Progress(done, len(views), "photos", "lifting masks")
        hits = yield from told_as(view_hits(grid, view.camera), progress)
        _, width, height = images[image]
        for mask in (m for m in masks if m.image == image):
            yield progress
            try:
                pixels = _pixels(mask.segmentation, height, width)
            except (KeyError, TypeError, ValueError, OverflowError, cv2.error) as e:
                raise malformed(path, e, expected) from e
            rows = lifted(hits, _undistorted(view, hits, pixels))
            instance = mask.instance
            if instance is None and len(rows):
                voxels = set(rows.tolist())
                known = by_class.setdefault(mask.label, [])
                same = next((k for k in known if _share(k[1], voxels) >= SAME), None)
                if same is None:
                    fresh += 1
                    same = (fresh, set())
                    known.append(same)
                else:
                    joined += 1
                same[1].update(voxels)
                instance = same[0]
            votes.append((rows, mask.label, instance or 0))
            if len(rows):
                said.append(Said.of(view.index, mask.label, rows, mask=True))
    labels, instances = _elected(votes, len(grid.index))
    lost = ["Masks were lifted from photos: voxels that no photo of the file shows have no label."]
    missing = len(images) - len(views)
    if missing:
        lost.append(f"{missing} images of the file are no photos of this capture.")
    if joined:
        lost.append(f"{joined} masks do not say which instance they are of; they were joined to those they overlap.")
    return Incoming(path, classes, labels, instances, None, said=tuple(said), lost=tuple(lost))


def _parse(told: Any) -> tuple[dict[int, tuple[str, int, int]], tuple[LabelClass, ...], list[_Mask]]:
    """Raises:
    ValueError: and others, where it makes no sense.
    """
    images = {int(i["id"]): (str(i["file_name"]), int(i["width"]), int(i["height"])) for i in told["images"]}
    if any(not (0 < w <= MOST_SIDE and 0 < h <= MOST_SIDE) for _, w, h in images.values()):
        raise ValueError("an image whose size makes no sense")
    names = {int(c["id"]): str(c["name"]) for c in told["categories"]}
    made: list[LabelClass] = []
    of_id: dict[int, int] = {}
    for n, (id, name) in enumerate(names.items(), start=1):
        colour = next((c.get("color") for c in told["categories"] if c["id"] == id), None)
        found = of_json("class", {"id": n, "name": name, "rgb": colour or fresh_colour(n)})
        assert isinstance(found, LabelClass)
        made.append(found)
        of_id[id] = n
    masks: list[_Mask] = []
    for a in told["annotations"]:
        given = a.get("instance_id")
        instance = 0 if a.get("iscrowd") and given is None else given
        if instance is not None and not 0 <= int(instance) <= 0xFFFFFFFF:
            raise ValueError(f"the instance {instance!r:.40}")
        if int(a["category_id"]) not in of_id:
            raise ValueError(f"an annotation of the unknown category {a['category_id']}")
        instance = None if instance is None else int(instance)
        masks.append(_Mask(int(a["image_id"]), of_id[int(a["category_id"])], instance, a["segmentation"]))
    return images, tuple(made), masks


def _views(images: dict[int, tuple[str, int, int]], capture: Capture) -> dict[int, View]:
    by_name = {v.name: v for v in capture.views}
    last = {Path(v.name).name: v for v in capture.views}
    unique = len(last) == len(capture.views)
    out: dict[int, View] = {}
    for id, (name, width, height) in images.items():
        view = by_name.get(name) or (last.get(Path(name).name) if unique else None)
        if view is None:
            continue
        if abs(width / height - view.camera.width / view.camera.height) > 0.02:
            raise ValueError(f"{name} of {width} × {height}, but the photo has another shape")
        out[id] = view
    return out


def _pixels(segmentation: Any, height: int, width: int) -> Bool:
    """(h, w) of polygons, runs, or compressed runs.

    Raises:
        ValueError: and others, where it makes no sense.
    """
    if isinstance(segmentation, list):
        out = np.zeros((height, width), np.uint8)
        for polygon in segmentation:
            points = np.array(polygon, np.float64).reshape(-1, 2)
            if not np.isfinite(points).all():
                raise ValueError("a polygon that is not finite")
            fixed = np.rint((np.clip(points, -MOST_SIDE, MOST_SIDE) - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(out, [fixed], 1, cv2.LINE_8, 4)
        return out.astype(np.bool_)
    runs = segmentation["counts"]
    runs = runs_of_text(runs) if isinstance(runs, str) else [int(n) for n in runs]
    if [int(n) for n in segmentation["size"]] != [height, width]:
        raise ValueError(f"a mask of {segmentation['size']} for an image of {height} × {width}")
    return of_runs(runs, height, width)


def _undistorted(view: View, hits: ViewHits, pixels: Bool) -> Bool:
    """The mask of a photo's file, as the view without lens sees it, at the size of its hits."""
    small = hits.camera
    at = view.distort_px(small.pixel_grid() * [view.camera.width / small.width, view.camera.height / small.height])
    rel = at / [view.camera.width, view.camera.height]
    inside = ((rel >= 0) & (rel < 1)).all(axis=1)
    column, row = (np.where(inside[:, None], rel, 0) * pixels.shape[::-1]).astype(np.int64).T
    return (inside & pixels[row, column]).reshape(small.height, small.width)


def _share(a: set[int], b: set[int]) -> float:
    return len(a & b) / max(1, min(len(a), len(b)))


def _elected(
    votes: list[tuple[NDArray[np.int64], int, int]], voxels: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """What most masks say of each voxel (V,); of a tie the lower class and instance."""
    labels, instances = np.zeros(voxels, np.uint16), np.zeros(voxels, np.uint32)
    if not votes:
        return labels, instances
    kinds = sorted({(label, instance) for _, label, instance in votes})
    place = {kind: n for n, kind in enumerate(kinds)}
    rows = np.concatenate([r for r, _, _ in votes])
    kind = np.concatenate([np.full(len(r), place[label, instance]) for r, label, instance in votes])
    both, count = np.unique(rows * len(kinds) + kind, return_counts=True)
    order = np.lexsort((both % len(kinds), -count, both // len(kinds)))
    row, first = np.unique(both[order] // len(kinds), return_index=True)
    chosen = np.array(kinds)[both[order][first] % len(kinds)]
    labels[row], instances[row] = chosen[:, 0], chosen[:, 1]
    return labels, instances
