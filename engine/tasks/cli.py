"""The commands of tasks, as the command line parses them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from engine.cli_common import Common
from engine.tasks import Up


@dataclass(frozen=True, kw_only=True)
class Learnt(Common):
    """What every task that is learnt has."""

    init: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """condense-s, scratch, pointnet, weights of a 3D encoder or, for classify, condense-s+views, which draws the
    objects and has the image classifier look at them, too (default: each, pointnet when all of it learns)."""
    mode: Literal["probe", "finetune"] = "probe"
    """Learn a linear head alone, or the encoder too."""
    seeds: Annotated[int, arg(metavar="N")] = 3
    """Times everything random is drawn anew: which labels, views, and the numbers of scratch."""
    steps: Annotated[int | None, arg(metavar="N")] = None
    """Of fine-tuning (default: by how much there is to learn from)."""
    save: Annotated[Path | None, arg(metavar="FILE")] = None
    """Save the head, with its encoder, of the first row and seed."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class TaskClassify(Learnt):
    """What kind of object is it? A head on the 3D encoder, learnt from class folders, and how often it is right."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Folder of CLASS/train and CLASS/test, or of train/CLASS and test/CLASS, or with ScanObjectNN's HDF5 files."""
    labels: Annotated[str, arg(metavar="SHARE")] = "100%"
    """Of the training objects of each class: a share such as 1% or 10%, or a number such as 5-shot."""
    up: Up = "auto"
    """The axis that points up in the files; auto: y in OBJ, GLB and ScanObjectNN, else z."""
    predict: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Objects to name with that head, too."""


@dataclass(frozen=True, kw_only=True)
class TaskSegment(Learnt):
    """What is each point of? A head on the 3D encoder, learnt from labelled scans, and how well it fits (mIoU)."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Folder of S3DIS, ScanNet or ShapeNetPart, or of train/ and test/ with room shards or exported annotations."""
    labels: Annotated[str, arg(metavar="SHARE")] = "100%"
    """Of the training points of each class: a share such as 1% or 10%, or a number such as 5-shot."""
    colour: Literal["on", "off"] = "on"
    """Off: all points are grey, as if the scans had no colour."""


@dataclass(frozen=True, kw_only=True)
class TaskPredict(Common):
    """Name objects, or the points of captures, with a saved head."""

    head: Annotated[Positional[Path], arg(metavar="HEAD")]
    """That condense task classify or segment --save wrote."""
    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE")]
    """Objects: OFF, PCD, PLY, OBJ, GLB, STL or NPZ. For a head of segment: any captures; those with photos are fitted
    if they were not yet."""
    up: Up = "auto"
    """As for classify."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Of segment: write NAME.ply, points in the colours of their classes, with labels that annotate import takes."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Put the 3D encoder to work on labelled data."""

    what: (
        Annotated[TaskClassify, subcommand("classify", prefix_name=False)]
        | Annotated[TaskSegment, subcommand("segment", prefix_name=False)]
        | Annotated[TaskPredict, subcommand("predict", prefix_name=False)]
    )
