"""The commands of tasks, as the command line parses them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from engine.cli_common import Common
from engine.tasks import Up


@dataclass(frozen=True, kw_only=True)
class TaskClassify(Common):
    """What kind of object is it? A head on the 3D encoder, learnt from class folders, and how often it is right."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """Folder of CLASS/train and CLASS/test, or of train/CLASS and test/CLASS."""
    init: Annotated[str | None, arg(metavar="NAME|FILE")] = None
    """condense-s, scratch, or weights of a 3D encoder (default: condense-s, and scratch beside it)."""
    mode: Literal["probe", "finetune"] = "probe"
    """Learn a linear head alone, or the encoder too."""
    labels: Annotated[str, arg(metavar="SHARE")] = "100%"
    """Of the training objects of each class: a share such as 1% or 10%, or a number such as 5-shot."""
    seeds: Annotated[int, arg(metavar="N")] = 3
    """Times everything random is drawn anew: which labels, views, and the numbers of scratch."""
    steps: Annotated[int | None, arg(metavar="N")] = None
    """Of fine-tuning (default: by the number of objects)."""
    up: Up = "auto"
    """The axis that points up in the files; auto: y in OBJ and GLB, else z."""
    save: Annotated[Path | None, arg(metavar="FILE")] = None
    """Save the head, with its encoder, of the first row and seed."""
    predict: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Objects to name with that head, too."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class TaskPredict(Common):
    """Name objects with a saved head."""

    head: Annotated[Positional[Path], arg(metavar="HEAD")]
    """That condense task classify --save wrote."""
    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE")]
    """Objects: OFF, PCD, PLY, OBJ, GLB, STL or NPZ."""
    up: Up = "auto"
    """As for classify."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Put the 3D encoder to work on labelled data."""

    what: (
        Annotated[TaskClassify, subcommand("classify", prefix_name=False)]
        | Annotated[TaskPredict, subcommand("predict", prefix_name=False)]
    )
