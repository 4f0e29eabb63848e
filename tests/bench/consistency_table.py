"""The tables of README and model card, from what ``condense bench consistency --json`` printed::

    python -m tests.bench.consistency_table FILE.json … [--captures]

Rooms are shown as one column, their mean; ``--captures``: one line a capture, recall within 2 %.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAMES = {
    "voxel colour": "voxel colour",
    "raw": "raw hypercolumns (512-d)",
    "raw lifted": "raw, lifted",
    "condense2d": "**ConDense 2D** (64-d)",
    "condense2d lifted": "ConDense 2D, lifted",
    "condense3d": "**ConDense 3D**, photos given",
    "photo to raw lifted": "photo → raw, lifted",
    "photo to condense2d lifted": "photo → ConDense 2D, lifted",
    "photo to condense3d": "photo → ConDense 3D",
    "condense3d, no photos": "ConDense 3D, geometry and colour alone",
    "photo to condense3d, no photos": "photo → ConDense 3D, geometry and colour alone",
    "condense3d, own views": "ConDense 3D, the same and views of its own",
    "photo to condense3d, own views": "photo → ConDense 3D, views of its own",
}
"""Features in the order of the table, as it calls them."""

RADII = ("recall_1", "recall_2", "recall_5")
Row = dict[str, Any]


def mean(rows: Sequence[Row], key: str) -> float:
    """Over the captures for which it is known."""
    values = [row[key] for row in rows if row[key] is not None]
    return sum(values) / len(values)


def short(value: float) -> str:
    """.625 for 0.625."""
    return f"{value:.3f}".lstrip("0")


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """By capture; all rooms together."""
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault("rooms" if row["objects_2"] is not None else row["capture"], []).append(row)
    return out


def summary(rows: Sequence[Row]) -> str:
    """A line for each kind of features."""
    kinds = [k for k in NAMES if any(row["features"] == k for row in rows)]
    columns = list(groups([row for row in rows if row["features"] == kinds[0]]))
    lines = ["| features | " + " | ".join(columns) + " | furniture, 2 % | mean, 2 % | margin |"]
    lines.append("|---" * (len(columns) + 4) + "|")
    for kind in kinds:
        mine = [row for row in rows if row["features"] == kind]
        parts = groups(mine)
        cells = [" / ".join(short(mean(parts[c], r)) for r in RADII) for c in columns]
        things = short(mean(parts["rooms"], "objects_2")) if "rooms" in parts else "–"
        lines.append(f"| {NAMES[kind]} | {' | '.join(cells)} | {things} | {short(mean(mine, 'recall_2'))} | "
                     f"{short(mean(mine, 'margin'))} |")  # fmt: skip
    return "\n".join(lines)


def by_capture(rows: Sequence[Row]) -> str:
    """A line for each capture."""
    kinds = [k for k in NAMES if any(row["features"] == k for row in rows)]
    known = {(row["capture"], row["features"]): row for row in rows}
    lines = [
        "| capture | " + " | ".join(NAMES[k] for k in kinds) + " | cosine, geometry alone | with views of its own |"
    ]
    lines.append("|---" * (len(kinds) + 3) + "|")
    for capture in dict.fromkeys(row["capture"] for row in rows):
        likes = [r["like_lifted"] for (c, _), r in known.items() if c == capture and r["like_lifted"] is not None]
        cells = " | ".join(short(known[capture, k]["recall_2"]) for k in kinds)
        lines.append(f"| {capture} | {cells} | {' | '.join(short(like) for like in likes) or '– | –'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--captures", action="store_true")
    options = parser.parse_args()
    found = [row for file in options.files for row in json.loads(file.read_text())["rows"]]
    print(by_capture(found) if options.captures else summary(found))
