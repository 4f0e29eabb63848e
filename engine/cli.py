"""The command line: ``condense …``.

Every command is a dataclass here; those that open a window or draw with GL are handled by ``app``, which passes its
handlers to ``main`` (the engine never imports the window). ``--json`` prints one object on stdout and nothing else
there; progress and warnings go to stderr. A user's mistake prints one message and exits with code 2.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import tyro
from tyro.conf import FlagCreatePairsOff, OmitSubcommandPrefixes, Positional, arg, subcommand

from engine.annotations.cli import Annotate, BenchSelect
from engine.api.errors import CondenseError
from engine.bare.cli import Photograph
from engine.cli_common import CapturePath, Common
from engine.repository.cli import Align, BenchRepository, Duplicates, Index, Localize, Search
from engine.tasks.cli import Task

Handlers = Mapping[type, Callable[[Any], dict[str, Any] | None]]


@dataclass(frozen=True, kw_only=True)
class View(Common):
    """Open the window."""

    capture: Annotated[Positional[str | None], arg(metavar="CAPTURE")] = None
    """A capture folder or file; none opens an empty window."""
    log_replies: bool = False
    """Print what the engine answers, for finding faults."""


@dataclass(frozen=True, kw_only=True)
class Snapshot(Common):
    """Draw the canvas without a window and save it as PNG."""

    capture: CapturePath
    """A capture folder or file."""
    out: Annotated[Positional[Path], arg(metavar="OUT.png")]
    """The PNG to write."""
    layer: str = "colour"
    """colour, features, spread, heat, points or photo."""
    view: str = "home"
    """home, top, front, or the number of a photo."""
    pixel: tuple[float, float] | None = None
    """With --layer heat: the clicked pixel of --query-view."""
    query_view: int = 0
    """With --layer heat: the photo that --pixel belongs to."""
    prompts: tuple[str, ...] = ()
    """Words to light up over it, each in its colour: "sofa", or "chair -armchair"."""
    cameras: bool = False
    """Draw the cameras with their photos."""
    size: tuple[int, int] = (1280, 720)
    """Width and height in pixels."""
    seconds: float = 30.0
    """How long to fit when there is no stored grid."""
    theme: str = "dark"
    """dark or light."""


@dataclass(frozen=True, kw_only=True)
class Fit(Common):
    """Fit the radiance grid and store it."""

    capture: CapturePath
    """A capture folder or file."""
    seconds: float = 60.0
    """Time budget; stops earlier when it no longer improves."""
    voxels: int | None = None
    """Cells of the finest grid, all of them (default: chosen from the capture)."""
    reference: bool = False
    """Use the plain torch path instead of the fast kernels (for comparisons)."""
    ship: bool = False
    """Write into the capture's own folder (results/) instead of the cache."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Encode(Common):
    """Encode all photos, lift the features onto the voxels, store both."""

    capture: CapturePath
    """A capture folder or file."""
    encoder: str = "default"
    """default, raw, condense-vitg:<file>; dinov2:, clip: or siglip: and a hub id or folder."""
    ship: bool = False
    """Write the photos' features into the capture's own folder (results/)."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Keypoints(Common):
    """Find the few points that stand for a scene, decorate them, and write them to a file."""

    capture: CapturePath
    """A capture folder or file; one that was not fitted yet is."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """Where to: .ply, .npz or .txt (COLMAP's points3D); keypoints.npz in the cache otherwise."""
    count: Annotated[int, arg(aliases=["-k"])] = 1024
    """How many at most."""
    radius: float = 2.5
    """None lies nearer than so many voxels to a better one."""
    encoder: str = "default"
    """As for encode."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Consistency(Common):
    """Where the photos' features and the scene's disagree: photo by photo, those that agree least first."""

    capture: CapturePath
    """A capture folder or file; one that was not fitted yet is."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Write consistency.csv, and a picture of each photo: photo, its features, the scene's, their cosine."""
    encoder: str = "default"
    """As for encode."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Prompt(Common):
    """Where in scenes and photos are things of these words? Photos alone know an image classifier's words; scenes
    those of furniture in rooms, too."""

    targets: Annotated[Positional[tuple[str, ...]], arg(metavar="CAPTURE|PHOTO")]
    """Captures, which are fitted if they were not yet, and photos."""
    prompts: Annotated[tuple[str, ...], arg(metavar="WORDS")]
    """What to look for, each prompt in quotes."""
    without: Annotated[tuple[str, ...], arg(metavar="WORDS")] = ()
    """What is not meant."""
    open_vocabulary: str | None = None
    """clip: or siglip: and a hub id or folder: any words will do, in its space."""
    threshold: float | None = None
    """From which relevancy on a place counts as found (default: 0.5 in captures, 0.3 in photos alone)."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Write a picture for each prompt: the photo that shows most of it, dark where it is not."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Train(Common):
    """Train the 2D head and the 3D encoder together: checkpoints, weights and TensorBoard logs."""

    scenes: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCENES")]
    """Captures with depth, and folders of room shards."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder for checkpoint, weights and logs."""
    config: Annotated[Path | None, arg(metavar="FILE")] = None
    """Settings as JSON (default: those of the embedded weights)."""
    steps: int | None = None
    """Steps, instead of the configuration's."""
    held_out: Annotated[tuple[Path, ...], arg(metavar="SCENES")] = ()
    """Captures or shards to measure consistency on, instead of on SCENES."""
    voxels: Annotated[tuple[Path, ...], arg(metavar="FOLDER")] = ()
    """Rooms packed by engine.training.voxels, to learn from bare voxels of many."""
    start: Annotated[Path | None, arg(metavar="FILE")] = None
    """Weights of a 3D encoder to start from."""
    devices: Annotated[int, arg(metavar="N")] = 1
    """Processes on this machine, one GPU each; on CPUs they share the cores."""
    nodes: Annotated[int, arg(metavar="M")] = 1
    """Machines; each runs the same command with MASTER_ADDR, MASTER_PORT and its NODE_RANK in the environment."""
    resume: bool = False
    """Go on from the checkpoint in --out, exactly as if it had not stopped."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Match(Common):
    """Where else is this pixel? Best match in every other view."""

    capture: CapturePath
    """A capture folder or file."""
    view: Annotated[int, arg(metavar="I")]
    """Number of the photo, from 0."""
    pixel: Annotated[tuple[float, float], arg(metavar="X Y")]
    """x and y in the photo file's pixels; the first pixel's centre is 0.5 0.5."""
    encoder: str = "default"
    """As for encode."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchClicks(Common):
    """Clicks through the real window and queue while a fit runs: latency, and how late the GUI is meanwhile."""

    capture: CapturePath
    """A capture folder or file."""
    clicks: int = 60
    """How many."""
    training: bool = False
    """While a training runs, instead of a fit."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchLatency(Common):
    """The window while a training runs: prompts, thresholds, hovering, a moving camera, and how late the GUI is."""

    capture: CapturePath
    """A capture folder or file."""
    rounds: int = 24
    """Prompts and thresholds."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchCorrespondence(Common):
    """Recall of true correspondences by nearest neighbour: our encoder beside the raw trunk, RGB and SIFT."""

    capture: CapturePath
    """A capture folder or file."""
    pixels: int = 500
    """Random pixels of the small protocol; the 40-pair protocol runs too."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchConsistency(Common):
    """Recall and margin of 2D features, of their lifted means and of 3D features, rendered, with disjoint cameras."""

    captures: Annotated[Positional[tuple[str, ...]], arg(metavar="CAPTURE")]
    """Capture folders or files."""
    encoders: tuple[str, ...] = ("raw", "default")
    """As for encode; the last one's features are what --volume is given."""
    volume: Annotated[Path | None, arg(metavar="FILE")] = None
    """Weights of a 3D encoder, to be measured with and without photos."""
    pairs: int = 40
    """Pairs of views of each capture."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchKeypoints(Common):
    """Repeatability and matching score of sparse keypoints at 3 px: ours beside random points and SIFT."""

    captures: Annotated[Positional[tuple[str, ...]], arg(metavar="CAPTURE")]
    """Capture folders or files."""
    pairs: int = 40
    """Pairs of views of each capture."""
    count: int = 512
    """Keypoints of every method in every view."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class BenchPrompts(Common):
    """How well prompts point in rooms whose things are known: names taught, other words for them, and false alarms."""

    rooms: Annotated[Positional[tuple[str, ...]], arg(metavar="ROOMS")]
    """Folders of room shards."""
    bare: bool = False
    """By geometry and colour alone."""
    weights: Annotated[Path | None, arg(metavar="FILE")] = None
    """Of a naming network; by default the built-in one."""
    words: Annotated[Path | None, arg(metavar="FILE")] = None
    """Of a text encoder; by default the built-in one."""
    json: bool = False
    """Print one JSON object on stdout."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure."""

    what: (
        Annotated[BenchClicks, subcommand("clicks", prefix_name=False)]
        | Annotated[BenchCorrespondence, subcommand("correspondence", prefix_name=False)]
        | Annotated[BenchConsistency, subcommand("consistency", prefix_name=False)]
        | Annotated[BenchKeypoints, subcommand("keypoints", prefix_name=False)]
        | Annotated[BenchLatency, subcommand("latency", prefix_name=False)]
        | Annotated[BenchPrompts, subcommand("prompts", prefix_name=False)]
        | Annotated[BenchRepository, subcommand("repository", prefix_name=False)]
        | Annotated[BenchSelect, subcommand("select", prefix_name=False)]
    )


Command = (
    Annotated[View, subcommand("view", prefix_name=False)]
    | Annotated[Snapshot, subcommand("snapshot", prefix_name=False)]
    | Annotated[Fit, subcommand("fit", prefix_name=False)]
    | Annotated[Encode, subcommand("encode", prefix_name=False)]
    | Annotated[Match, subcommand("match", prefix_name=False)]
    | Annotated[Keypoints, subcommand("keypoints", prefix_name=False)]
    | Annotated[Consistency, subcommand("consistency", prefix_name=False)]
    | Annotated[Prompt, subcommand("prompt", prefix_name=False)]
    | Annotated[Photograph, subcommand("photograph", prefix_name=False)]
    | Annotated[Train, subcommand("train", prefix_name=False)]
    | Annotated[Index, subcommand("index", prefix_name=False)]
    | Annotated[Search, subcommand("search", prefix_name=False)]
    | Annotated[Duplicates, subcommand("duplicates", prefix_name=False)]
    | Annotated[Localize, subcommand("localize", prefix_name=False)]
    | Annotated[Align, subcommand("align", prefix_name=False)]
    | Annotated[Annotate, subcommand("annotate", prefix_name=False)]
    | Annotated[Task, subcommand("task", prefix_name=False)]
    | Annotated[Bench, subcommand("bench", prefix_name=False)]
)
NAMES = (
    "view", "snapshot", "fit", "encode", "match", "keypoints", "consistency", "prompt", "photograph", "train", "index",
    "search", "duplicates", "localize", "align", "annotate", "task", "bench",
)  # fmt: skip

ABOUT = (
    "ConDense Studio: dense 2D and 3D features that agree, live. `condense CAPTURE` opens the window; the other "
    "commands do the same without one. A capture is a folder or file of nerfstudio / instant-ngp, Blender, COLMAP, "
    "LLFF or RGB-D data, or bare geometry (PLY, OBJ, GLB)."
)


def parse(argv: Sequence[str]) -> Any:
    """Arguments to a command; a first argument that is no command's name is a capture to view."""
    args = list(argv)
    if not args or (args[0] not in NAMES and not args[0].startswith("-")):
        args.insert(0, "view")
    command = tyro.cli(
        OmitSubcommandPrefixes[FlagCreatePairsOff[Command]],  # type: ignore[valid-type]
        prog="condense",
        description=ABOUT,
        args=args,
    )
    return command.what if isinstance(command, Bench | Index | Annotate | Task) else command


@contextlib.contextmanager
def stdout_kept_clean() -> Iterator[TextIO]:
    """Within, whatever prints to stdout (C libraries too) goes to stderr; yields the real stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as real, contextlib.redirect_stdout(sys.stderr):
            yield real
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def main(argv: Sequence[str] | None = None, window: Handlers | None = None) -> int:
    """Run one command; returns the exit code. ``window``: handlers of the commands that draw."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    command = parse(sys.argv[1:] if argv is None else argv)
    wants_json = bool(getattr(command, "json", False))
    try:
        if not wants_json:
            answer = _run(command, window or {})
            if answer is not None:
                from engine.commands import describe

                print(describe(command, answer))
            return 0
        with stdout_kept_clean() as real:
            answer = _run(command, window or {})
            print(json.dumps(answer, allow_nan=False), file=real)
        return 0
    except CondenseError as e:
        print(f"condense: {e.text()}", file=sys.stderr)
        return 2
    except MemoryError:
        print("condense: out of memory\n  to mend:  fit with fewer --voxels", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("condense: stopped; what was finished is kept", file=sys.stderr)
        return 130


def _run(command: Any, window: Handlers) -> dict[str, Any] | None:
    if type(command) in window:
        return window[type(command)](command)
    from engine import commands

    return commands.run(command)


if __name__ == "__main__":
    sys.exit(main())
