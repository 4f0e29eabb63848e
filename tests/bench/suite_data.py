"""What ``make bench`` measures is described by these, and what there is to measure it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.api.errors import CondenseError
from engine.captures import open_capture

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """Of a table: the key of a row, what it is called, and digits of a number (0: whole)."""

    key: str
    name: str
    digits: int = 3


@dataclass(frozen=True)
class Measurement:
    """One section of the page.

    Attributes:
        name: of its JSON file.
        title: of the section.
        about: protocol, in a sentence or two.
        command: arguments of ``python -m``; None: see ``absent``.
        data: what it ran on, in words.
        columns: of its table.
        minutes: on two quiet cores, measured or guessed; for the run's ETA.
        rows: of the table, from the answer.
        rival: rows that a rival would have, if it is missing: how to find them, and what to say.
        needs: rooms that must be made first.
        absent: why it cannot run here.
        asked: run only when it is named.
    """

    name: str
    title: str
    about: str
    command: tuple[str, ...]
    data: str
    columns: tuple[Column, ...]
    minutes: float
    rows: Callable[[Mapping[str, Any]], list[Row]] = lambda answer: list(answer["rows"])
    rival: tuple[tuple[str, str, str], ...] = ()
    needs: tuple[str, ...] = ()
    absent: str | None = None
    asked: bool = False


@dataclass(frozen=True)
class Data:
    """What there is to measure on.

    Attributes:
        out: folder of the results; rooms are made in it.
        captures: folders of captures with photos, beside the demo.
        models: catalogues for rooms; empty: furniture made of boxes.
        photos: folder of pictures for walls.
        rooms: how many rooms.
        graf: folder of the two photos of a painted wall and their homography.
        source: the folder that all these captures lie in.
    """

    out: Path
    captures: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    photos: Path = Path("assets/demo/images")
    rooms: int = 4
    graf: Path | None = None
    source: Path | None = None

    def said(self, arguments: Sequence[str]) -> str:
        """A command as one types it, without this machine's folders."""
        words = ["condense", *arguments[1:]] if arguments[:1] == ("app",) else ["python -m", *arguments]
        text = " ".join(words)
        for folder, name in ((self.source, "CAPTURES"), *((m.parent, "MODELS") for m in self.models)):
            text = text if folder is None else text.replace(f"{folder}/", f"{name}/")
        return text

    def folder(self, kind: str) -> Path:
        """Of rooms of a kind; of ``scans/test`` within that of ``scans``."""
        first, *rest = kind.split("/")
        real = "models" if self.models else "boxes"
        return (self.out / f"{first}-{real}-{self.rooms}").joinpath(*rest)

    def catalogues(self) -> tuple[Path, ...]:
        """For the rooms."""
        return self.models or (self.out / "boxes",)

    def generate(self, kind: str) -> tuple[str, ...]:
        """The command that makes ``rooms``, ``rescanned`` or ``unknown`` rooms, those of ``scans/train`` and
        ``scans/test``, or ``classes`` of single models."""
        if kind == "classes":
            folder = str(self.folder(kind))
            return ("tests.bench.classify_data", "--models", str(self.catalogues()[0]), "--out", folder, "--taught")
        seed, count = {
            "unknown": (4, max(2, self.rooms // 2)), "scans/train": (5, 2 * self.rooms), "scans/test": (6, self.rooms)
        }.get(kind, (3, self.rooms))  # fmt: skip
        made = ("--models", *map(str, self.catalogues()), "--photos", str(self.photos))
        split = ("--split", "train" if kind == "scans/train" else "held-out")
        variant = ("--variant", kind) if seed == 3 and kind != "rooms" else ()
        rest = ("--objects", "0", "--seed", str(seed), "--rooms", str(count), *variant)
        return ("engine.training.rooms.generate", *made, *split, *rest, "--out", str(self.folder(kind)))

    def rooms_said(self) -> str:
        """The rooms in words."""
        kind = "models that no training saw" if self.models else "boxes, which no training saw"
        return f"{self.rooms} made rooms with furniture of {kind} (seed 3)"


def found_data(out: Path, folder: Path | None, models: Sequence[Path], rooms: int) -> Data:
    """What lies in a folder of captures, each in a folder of its own."""
    captures: list[Path] = []
    graf = None
    for path in sorted(folder.iterdir()) if folder is not None else ():
        if (path / "graf1.png").is_file() and (path / "H1to3p.xml").is_file():
            graf = path
        elif path.is_dir() and _has_photos(path):
            captures.append(path)
    return Data(out, tuple(captures), tuple(models), rooms=rooms, graf=graf, source=folder)


def _has_photos(path: Path) -> bool:
    """And depth, to tell the truth by."""
    try:
        return any(view.has_depth for view in open_capture(path).views)
    except CondenseError:
        return False
