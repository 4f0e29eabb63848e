"""Things to and from JSON values; every field is checked, for files come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, get_args

from engine.api.annotations import MOST_CLASSES, Kind, LabelClass, Landmark, Note, OrientedBox, Polyline, Thing

KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_TEXT = 20_000
MOST_POINTS = 100_000
MOST_ID = 0xFFFFFFFF


def kind_of(thing: Thing) -> Kind:
    """Which kind a thing is of."""
    match thing:
        case LabelClass():
            return "class"
        case OrientedBox():
            return "box"
        case Polyline():
            return "polyline"
        case Landmark():
            return "landmark"
        case Note():
            return "note"


def to_json(thing: Thing) -> dict[str, Any]:
    """A thing as JSON values; ``of_json`` is the inverse."""
    return asdict(thing)


def of_json(kind: Kind, data: Mapping[str, Any]) -> Thing:
    """The thing of JSON values; checked.

    Raises:
        ValueError: a field is missing, of another type, or outside its range.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"a {kind} is {type(data).__name__}, expected an object")
    try:
        return _READERS[kind](data)
    except (KeyError, TypeError, OverflowError) as e:
        raise ValueError(f"a {kind} has no valid {e}") from e


def check(thing: Thing) -> Thing:
    """The thing itself.

    Raises:
        ValueError: a field is outside its range.
    """
    return of_json(kind_of(thing), to_json(thing))


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r:.60} is no whole number from {least} to {most}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is no finite number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise ValueError(f"{value!r:.60} is no text of at most {MOST_TEXT} letters")
    value.encode()  # lone surrogates cannot be written
    return value


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ValueError(f"{value!r:.60} is not {count} numbers")
    return tuple(_number(v) for v in value)


def _triple(value: Any) -> tuple[float, float, float]:
    x, y, z = _numbers(value, 3)
    return x, y, z


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r:.60} is neither true nor false")
    return value


def _class_id(value: Any) -> int:
    return _whole(value, 0, MOST_CLASSES)


def _class(d: Mapping[str, Any]) -> LabelClass:
    name = _text(d["name"]).strip()
    if not name or len(name) > 200:
        raise ValueError("a class needs a name of at most 200 letters")
    if not isinstance(d["rgb"], list | tuple) or len(d["rgb"]) != 3:
        raise ValueError(f"{d['rgb']!r:.60} is not 3 numbers")
    r, g, b = (_whole(v, 0, 255) for v in d["rgb"])
    digit = d.get("digit")
    return LabelClass(
        _whole(d["id"], 1, MOST_CLASSES), name, (r, g, b), None if digit is None else _whole(digit, 0, 9),
        _flag(d.get("visible", True)), _flag(d.get("locked", False)),
    )  # fmt: skip


def _box(d: Mapping[str, Any]) -> OrientedBox:
    size = _triple(d["size_w"])
    if min(size) <= 0:
        raise ValueError(f"a box of the size {size}")
    w, x, y, z = _numbers(d.get("rotation", (1.0, 0.0, 0.0, 0.0)), 4)
    if abs(math.hypot(w, x, y, z) - 1) > 1e-6:
        raise ValueError("a box's rotation is no unit quaternion")
    return OrientedBox(
        _whole(d["id"], 1, MOST_ID), _class_id(d["class_id"]), _triple(d["centre_w"]), size, (w, x, y, z),
        _whole(d.get("instance", 0), 0, MOST_ID),
    )  # fmt: skip


def _polyline(d: Mapping[str, Any]) -> Polyline:
    points = d["points_w"]
    if not isinstance(points, list | tuple) or not 1 <= len(points) <= MOST_POINTS:
        raise ValueError(f"a polyline needs 1 to {MOST_POINTS} points")
    places = tuple(_triple(p) for p in points)
    closed, name = _flag(d.get("closed", False)), _text(d.get("name", ""))
    return Polyline(_whole(d["id"], 1, MOST_ID), _class_id(d["class_id"]), places, closed, name)


def _landmark(d: Mapping[str, Any]) -> Landmark:
    return Landmark(_whole(d["id"], 1, MOST_ID), _class_id(d["class_id"]), _text(d["name"]), _triple(d["pos_w"]))


def _note(d: Mapping[str, Any]) -> Note:
    pos = d.get("pos_w")
    return Note(_whole(d["id"], 1, MOST_ID), _text(d["text"]), None if pos is None else _triple(pos))


_READERS: dict[Kind, Callable[[Mapping[str, Any]], Thing]] = {
    "class": _class,
    "box": _box,
    "polyline": _polyline,
    "landmark": _landmark,
    "note": _note,
}
