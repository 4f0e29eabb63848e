"""The commands on annotations, as the command line parses them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from engine.cli_common import CapturePath, Common

FileFormat = Literal["auto", "json", "npz", "ply", "coco", "labelcloud", "kitti", "scannet"]


@dataclass(frozen=True, kw_only=True)
class AnnotateExport(Common):
    """Write what is annotated to a file that other tools read."""

    capture: CapturePath
    """A capture folder or file."""
    out: Annotated[Positional[Path], arg(metavar="FILE")]
    """The file to write."""
    format: FileFormat = "auto"
    """By default by the file's name: .json ours (lossless), .npz, .ply, .aggregation.json ScanNet; coco, labelcloud and
    kitti are to be named."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class AnnotateImport(Common):
    """Bring annotations from a file onto a capture, as one step that can be undone."""

    capture: CapturePath
    """A capture folder or file; one that was not fitted yet is."""
    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """The file, or a folder of annotations of another grid."""
    format: FileFormat = "auto"
    """As for export."""
    by_position: bool = False
    """Of another capture or grid: label the voxels at the same places."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class AnnotateStats(Common):
    """How far the annotation of a capture is, class by class."""

    capture: CapturePath
    """A capture folder or file."""
    other: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file by another annotator: how do the two differ?"""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class AnnotateDiff(Common):
    """How two annotations of a capture differ: IoU of each class, and how much is labelled alike."""

    capture: CapturePath
    """A capture folder or file; one that was not fitted yet is."""
    a: Annotated[Positional[Path], arg(metavar="A")]
    """A file, or a folder of annotations."""
    b: Annotated[Positional[Path], arg(metavar="B")]
    """Another one."""
    format: FileFormat = "auto"
    """Of both, as for export."""
    by_position: bool = False
    """Of another capture or grid: compare the voxels at the same places."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Annotate:
    """Export and import annotations, and look over them."""

    what: (
        Annotated[AnnotateExport, subcommand("export", prefix_name=False)]
        | Annotated[AnnotateImport, subcommand("import", prefix_name=False)]
        | Annotated[AnnotateStats, subcommand("stats", prefix_name=False)]
        | Annotated[AnnotateDiff, subcommand("diff", prefix_name=False)]
    )


@dataclass(frozen=True, kw_only=True)
class BenchSelect(Common):
    """Smart select by simulated clicks in rooms whose things are known, beside a region grower by colour and geometry;
    and how a label made in one photo is seen in the others."""

    rooms: Annotated[Positional[tuple[str, ...]], arg(metavar="ROOMS")]
    """Folders of room shards."""
    weights: Annotated[Path | None, arg(metavar="FILE")] = None
    """Of smart select; by default the built-in ones."""
    json: bool = False
    """Print one JSON object on stdout."""
