"""The commands on repositories, as the command line parses them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from engine.cli_common import Common

RepositoryPath = Annotated[Positional[str], arg(metavar="REPO")]
"""A folder, or an address in object storage."""


@dataclass(frozen=True, kw_only=True)
class IndexAdd(Common):
    """Add captures; those that are there already are passed over, so that a run that was stopped goes on."""

    repository: RepositoryPath
    """Folder of the repository, or s3://bucket/prefix; made if there is none."""
    captures: Annotated[Positional[tuple[str, ...]], arg(metavar="CAPTURE")]
    """Capture folders, or files; those not fitted and encoded yet are."""
    encoder: str = "default"
    """Of all scenes of the repository."""
    seconds: float = 60.0
    """How long to fit a capture that has no stored grid."""
    again: bool = False
    """Add captures again that are there already."""
    workers: Annotated[int, arg(metavar="N")] = 1
    """Processes that fit and encode a capture each, side by side; each takes some 2 GB of memory."""
    cluster: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Spread the captures over a Ray cluster instead, a task each on --threads cores (default: one); local: over this
    machine alone. All its machines must see captures and repository."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class IndexRemove(Common):
    """Take scenes out; the captures themselves are not touched."""

    repository: RepositoryPath
    """Folder of the repository, or s3://bucket/prefix."""
    scenes: Annotated[Positional[tuple[str, ...]], arg(metavar="SCENE")]
    """Their names or paths."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class IndexList(Common):
    """List the scenes."""

    repository: RepositoryPath
    """Folder of the repository, or s3://bucket/prefix."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """Add scenes to a repository, remove and list them."""

    what: (
        Annotated[IndexAdd, subcommand("add", prefix_name=False)]
        | Annotated[IndexRemove, subcommand("remove", prefix_name=False)]
        | Annotated[IndexList, subcommand("list", prefix_name=False)]
    )


@dataclass(frozen=True, kw_only=True)
class Search(Common):
    """Which scenes does a photo show, do words mean, or are like another one?"""

    repository: RepositoryPath
    """Folder of the repository, or s3://bucket/prefix."""
    image: Annotated[Path | None, arg(metavar="PHOTO")] = None
    """A photo."""
    text: Annotated[str | None, arg(metavar="WORDS")] = None
    """Words, such as "room with a piano"."""
    scene: Annotated[str | None, arg(metavar="SCENE")] = None
    """A scene of the repository, by its name or path."""
    focal: Annotated[float | None, arg(metavar="PX")] = None
    """Focal length of the photo in its own pixels (default: its EXIF, or looked for)."""
    encoder: str = "default"
    """That the scenes were added with."""
    count: int = 10
    """Results at most."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Duplicates(Common):
    """Which scenes are of one place, and how does one lie in the other?"""

    repository: RepositoryPath
    """Folder of the repository, or s3://bucket/prefix."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Localize(Common):
    """In which scene, and from where, was a photo taken?"""

    repository: RepositoryPath
    """Folder of the repository, or s3://bucket/prefix."""
    photo: Annotated[Positional[Path], arg(metavar="PHOTO")]
    """The photo."""
    focal: Annotated[float | None, arg(metavar="PX")] = None
    """Its focal length in its own pixels (default: its EXIF, or looked for)."""
    encoder: str = "default"
    """That the scenes were added with."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Align(Common):
    """How does one bare geometry lie in another? By its points alone; scenes with photos are compared by search."""

    source: Annotated[Positional[str], arg(metavar="A")]
    """A capture with points, such as a PLY."""
    target: Annotated[Positional[str], arg(metavar="B")]
    """Another one, of the same scale."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchRepository(Common):
    """Photos that look for their room, second scans for their first, words for a room: how often they are right."""

    rooms: Annotated[Positional[Path], arg(metavar="ROOMS")]
    """Folder of room shards: the scenes of the repository."""
    records: Annotated[Path, arg(metavar="DIR")]
    """Folder for the condensed rooms; what is there is used again."""
    rescanned: Annotated[Path | None, arg(metavar="ROOMS")] = None
    """The same rooms, or the first of them, generated with --variant rescanned."""
    elsewhere: Annotated[tuple[Path, ...], arg(metavar="ROOMS")] = ()
    """The same with --variant moved-elsewhere, and swapped-elsewhere: no duplicates."""
    changed: Annotated[tuple[Path, ...], arg(metavar="ROOMS")] = ()
    """The same with --variant moved, and swapped: the same walls, which is harder."""
    unknown: Annotated[Path | None, arg(metavar="ROOMS")] = None
    """Other rooms, whose photos must be turned away."""
    workers: int = 2
    """Processes that condense rooms."""
    json: bool = False
    """Print one JSON object on stdout."""
