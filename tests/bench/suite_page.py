"""The page of ``make bench``: Markdown from the files that the measurements left, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.storage import write_atomic
from tests.bench.suite_data import Column, Measurement, Row

THEIRS = (
    ("ConDense, ViT-g/14, linear heads", "VOC 85.1, ADE20k 53.6 mIoU", "Zhang et al., 2024"),
    ("the same", "ImageNet-1k 89.6, Places205 70.2 %", "Zhang et al., 2024"),
    ("DINOv2, the same heads", "VOC 83.0, ADE20k 49.0 mIoU", "Zhang et al., 2024"),
    ("the same", "ImageNet-1k 86.5, Places205 67.5 %", "Zhang et al., 2024"),
    ("Sonata, linear probe, ScanNet", "72.5 mIoU", "Wu et al., 2025"),
    ("Concerto, fine-tuned, ScanNet", "80.7 mIoU", "Zhang et al., 2025"),
    ("DINOv2 lifted to 3D, ScanNet", "63.1 mIoU", "Wu et al., 2025"),
    ("PonderV2, ScanNet", "77.0 mIoU", "Zhu et al., 2023"),
    ("DIFT, demo", "1 to 2 s a click", "Tang et al., 2023"),
    ("LERF, a relevancy map of 512 px or more", "a second or two", "Kerr et al., 2023"),
    ("LangSplatV2, text queries on a GPU", "384 frames a second", "Li et al., 2025"),
    ("nerfacc, NeRF-synthetic, TITAN RTX", "33.1 dB in 269 s", "its documentation"),
    ("LightGlue, 512 keypoints, an i7's CPU", "20 pairs a second", "Lindenberger et al., 2023"),
)  # fmt: skip
"""Figures of others, from their papers and pages; none was measured here."""

CAPTURES = 10_000
"""Of which the page computes the cost."""


def write_page(folder: Path, every: Sequence[Measurement]) -> Path:
    """Write ``BENCH.md`` and its plots into ``folder``, from the JSON files there; returns the page's path.

    Raises:
        CacheError: it cannot be written.
    """
    found = {m.name: read(folder / f"{m.name}.json") for m in every}
    text = page(found, every, draw(folder, found))

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    write_atomic(folder / "BENCH.md", write)
    return folder / "BENCH.md"


def draw(folder: Path, found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """File names of the plots by measurement; none without matplotlib."""
    try:
        from tests.bench.suite_plots import plots
    except ImportError:
        return {}
    return plots(folder, found)


def read(path: Path) -> dict[str, Any]:
    """A measurement's file; ``absent`` says why there is no answer."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"absent": "not measured yet"}
    except (OSError, ValueError) as e:
        return {"absent": f"{path.name} is damaged ({type(e).__name__}); measure it --again"}
    if "failed" in found:
        return {**found, "absent": f"it failed: {found['failed']}"}
    return found if "answer" in found or "absent" in found else {"absent": f"{path.name} holds no answer"}


def page(found: dict[str, dict[str, Any]], every: Sequence[Measurement], pictures: dict[str, str]) -> str:
    """The Markdown."""
    out = ["# Measured", "", "Made by `make bench`; each table says by which command and on what it was measured."]
    out += ["", _machines(found), ""]
    for m in every:
        out += section(m, found[m.name], pictures.get(m.name))
    out += computed(found)
    out += ["## Figures of others", "", "From their papers and pages, on their machines and data: "]
    out[-1] += "**not measured here**."
    out += [""]
    out += ["| theirs | figure | source |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in THEIRS), ""]
    return "\n".join(out)


def section(m: Measurement, found: dict[str, Any], picture: str | None) -> list[str]:
    """One measurement: what it is, its table, where it came from, its plot."""
    out = [f"## {m.title}", "", m.about, ""]
    if "answer" not in found:
        mend = f"`make bench BENCH='--only {m.name}'`"
        return [*out, f"| {m.columns[0].name} | |", "|---|---|", f"| {m.data} | {found['absent']}; {mend} |", ""]
    out += table(m, m.rows(found["answer"]))
    load = found.get("load")
    busy = "" if load is None else f", load {load:.1f} before"
    when = f"{found['date']}, {found['seconds']:.0f} s{busy}, commit {found['commit'] or 'unknown'}"
    out += ["", f"`{found['command']}`: {found['data']}; seed {found['seed']}, {when}."]
    if picture is not None:
        out += ["", f"![{m.title}]({picture})"]
    return [*out, ""]


def table(m: Measurement, rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown; a rival that was not there has a row that says so, and so has a row that is ``absent``."""
    out = ["| " + " | ".join(c.name for c in m.columns) + " |", "|" + "---|" * len(m.columns)]
    for row in rows:
        cells = [cell(row.get(c.key), c) for c in m.columns]
        if "absent" in row:
            cells[-1] = str(row["absent"])
        out.append("| " + " | ".join(cells) + " |")
    for key, value, why in m.rival:
        if not any(str(row.get(key)) == value for row in rows):
            cells = [value if c.key == key else "" for c in m.columns]
            out.append("| " + " | ".join([*cells[:-1], why]) + " |")
    return out


def cell(value: Any, column: Column) -> str:
    """A value as the table shows it."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("|", "\\|").replace("\n", " ")
    if column.digits == 0:
        return f"{value:,.0f}"
    text = f"{value:.{column.digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def computed(found: dict[str, dict[str, Any]]) -> list[str]:
    """What many captures cost, from the parts that were measured; says what is missing."""
    out = [f"## {CAPTURES:,} captures, computed", ""]
    out += ["From the seconds of one process with one thread, above; **not measured** as a whole.", ""]
    if "answer" not in found.get("condense", {}):
        return [*out, "The section on what condensing costs is not measured yet.", ""]
    out += ["| | a capture | all, on one core | on 64 cores | stored |", "|---|---|---|---|---|"]
    for row in found["condense"]["answer"]["rows"]:
        hours = CAPTURES * row["wall_s"] / 3600
        stored = f"{CAPTURES * row['bytes'] / 1e9:.2f} GB"
        out.append(f"| {row['what']} | {row['wall_s']:.1f} s | {hours:,.0f} h | {hours / 64:,.1f} h | {stored} |")
    scale = found.get("scale", {}).get("answer", {}).get("rows", [])
    at = next((row for row in scale if row["scenes"] == CAPTURES), None)
    if at is not None:
        stored = f"{at['bytes_per_scene'] / 1e3:.1f} kB a scene"
        out += ["", f"Measured, above: a query of {CAPTURES:,} made-up scenes takes {at['query_ms']:.0f} ms; {stored}."]
    return [*out, ""]


def _machines(found: dict[str, dict[str, Any]]) -> str:
    """Where it was measured."""
    seen: list[str] = []
    for one in found.values():
        m = one.get("machine")
        if m is not None:
            gpu = m["gpu"] or "no GPU"
            said = f"{m['cores']} cores of {m['cpu']}, {gpu}, {m['system']}, torch {m['torch']}"
            seen += [] if said in seen else [said]
    return "; ".join(seen) or "Nothing is measured yet."
