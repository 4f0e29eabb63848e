"""Class lists: colours for new classes, and files to carry a palette to another capture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

from engine.annotations.edits import Change, Edit
from engine.annotations.things import of_json, to_json
from engine.api.annotations import LabelClass
from engine.api.errors import AnnotationError
from engine.storage import write_atomic, write_json

FORMAT = "condense-classes"
VERSION = 1
_GOLDEN = 0.618033988749895


def fresh_colour(id: int) -> tuple[int, int, int]:
    """A colour for class ``id``: hues a golden section apart, so that any first few are far from each other."""
    hue = (id * _GOLDEN) % 1
    r, g, b = colorsys.hsv_to_rgb(hue, 0.55 + 0.25 * (id % 3) / 2, 0.95 - 0.2 * (id // 3 % 2))
    return round(255 * r), round(255 * g), round(255 * b)


def write_classes(path: Path, palette: Sequence[LabelClass]) -> None:
    """Write a class list: ``.txt`` the names alone, one a line; otherwise JSON with colours and keys.

    Raises:
        CacheError: the file cannot be written.
    """
    if path.suffix.lower() == ".txt":
        text = "".join(f"{c.name}\n" for c in palette)
        write_atomic(path, lambda tmp: tmp.write_text(text, encoding="utf-8") and None)
        return
    write_json(path, {"format": FORMAT, "version": VERSION, "classes": [to_json(c) for c in palette]})


def read_classes(path: Path) -> tuple[LabelClass, ...]:
    """What ``write_classes`` wrote, or any text file with a name on each line.

    Raises:
        AnnotationError: it cannot be read, is of a newer version, or names a class twice.
    """
    from engine.annotations.formats.content import malformed, read_json

    expected = f"a list of classes, '{FORMAT}' of version {VERSION}"
    if path.suffix.lower() == ".txt":
        try:
            names = [n.strip() for n in path.read_text(encoding="utf-8-sig").splitlines() if n.strip()]
        except (OSError, ValueError) as e:
            raise malformed(path, e, "names, one on each line") from e
        data = [{"id": n, "name": name, "rgb": fresh_colour(n)} for n, name in enumerate(names, start=1)]
    else:
        told = read_json(path)
        if not isinstance(told, dict) or told.get("format") != FORMAT or not isinstance(told.get("classes"), list):
            raise malformed(path, "something else", expected)
        check_version(path, told.get("version"), VERSION)
        data = told["classes"]
    try:
        found = tuple(c for d in data if isinstance(c := of_json("class", d), LabelClass))
    except ValueError as e:
        raise malformed(path, e, expected) from e
    if len({c.name.casefold() for c in found}) != len(found) or len({c.id for c in found}) != len(found):
        raise malformed(path, "a class that is there twice", "each class once")
    return found


def classes_edit(palette: Sequence[LabelClass], read: Sequence[LabelClass], title: str) -> Edit:
    """The edit that adds the classes that are not there by name yet, with new ids and keys where theirs are taken."""
    import time
    from dataclasses import replace

    names = {c.name.casefold() for c in palette}
    used, digits = {c.id for c in palette}, {c.digit for c in palette}
    changes: list[Change] = []
    for c in read:
        if c.name.casefold() in names:
            continue
        id = c.id if c.id not in used else max(used) + 1
        added = replace(c, id=id, digit=None if c.digit in digits else c.digit)
        used.add(id)
        digits.add(added.digit)
        changes.append(Change(None, added))
    return Edit(title, time.time(), None, tuple(changes))


def check_version(path: Path, version: object, known: int) -> None:
    """Raises:
    AnnotationError: the version is no whole number from 1 on, or is of the future.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise AnnotationError("does not say its version", path=path, found=repr(version)[:40], expected=str(known))
    if version > known:
        raise AnnotationError(
            "was written by a newer version of this program", path=path, found=f"version {version}",
            expected=f"at most {known}", mend="update condense-studio",
        )  # fmt: skip
