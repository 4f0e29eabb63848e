"""The plots of ``make bench``, each from one measurement's answer. Ours is in colour, what it is beside in greys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from tests.bench.suite_data import Row
from tests.bench.suite_measures import consistency_rows, matching_rows, mean_rows

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS = "#0f7b6c"
OTHERS = ("#4a4f57", "#8b929c", "#bcc2ca")
STYLE = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "axes.titleweight": "bold"}
Answer = Mapping[str, Any]


def plots(folder: Path, found: Mapping[str, Answer]) -> dict[str, str]:
    """Draw what there is into ``folder``; file names by measurement."""
    out: dict[str, str] = {}
    for name, draw in DRAWN.items():
        answer = found.get(name, {}).get("answer")
        if answer is None:
            continue
        with mpl.rc_context(STYLE):
            figure = draw(answer)
        if figure is not None:
            figure.savefig(folder / f"{name}.png", dpi=110)
            plt.close(figure)
            out[name] = f"{name}.png"
    return out


def _bars(
    rows: Sequence[Row], group: str, label: str, value: str, mine: Callable[[str], bool], title: str
) -> Figure | None:
    """Horizontal bars, a panel for each ``group``."""
    groups = list(dict.fromkeys(str(r[group]) for r in rows))
    if not groups:
        return None
    most = max(sum(str(r[group]) == g for r in rows) for g in groups)
    longest = max(0.1, 1.15 * max((r[value] for r in rows if r[value] is not None), default=1))
    size = (3.2 + 2.6 * len(groups), 0.9 + 0.27 * most)
    figure, panels = plt.subplots(1, len(groups), figsize=size, sharey=True, layout="constrained", squeeze=False)
    for panel, name in zip(panels[0], groups, strict=True):
        shown = [r for r in rows if str(r[group]) == name and r[value] is not None]
        labels = [str(r[label]).replace("**", "") for r in shown]
        colours = [OURS if mine(text) else OTHERS[1] for text in labels]
        bars = panel.barh(labels, [r[value] for r in shown], color=colours, height=0.72)
        panel.bar_label(bars, [f"{r[value]:.2f}".lstrip("0") for r in shown], padding=3, fontsize=8)
        panel.set(title=name, xlim=(0, longest))
        panel.tick_params(axis="y", length=0)
        panel.set_xticks([])
        panel.spines["bottom"].set_visible(False)
    panels[0][0].invert_yaxis()
    figure.suptitle(title, fontsize=10)
    return figure


def _consistency(answer: Answer) -> Figure | None:
    known = ("alone", "the same")  # they know the voxels by any mark of the place
    rows = [r for r in consistency_rows(answer) if not any(k in str(r["features"]) for k in known)]
    title = "Recall of true correspondences within 2 % of the diagonal"
    return _bars(rows, "data", "features", "recall_2", lambda text: "ConDense" in text, title)


def _matching(answer: Answer) -> Figure | None:
    title = "Mutual matches of two photos that are right within 2 % of the diagonal"
    return _bars(matching_rows(answer), "data", "features", "pck_2", lambda text: "condense" in text, title)


def _keypoints(answer: Answer) -> Figure | None:
    title = "Matching score of 512 keypoints at 3 px"
    return _bars(answer["rows"], "capture", "keypoints", "matching", lambda text: text.startswith("ours"), title)


def _lines(panel: Axes, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], ours: str) -> None:
    """One line each; ``ours`` in colour, and first in the legend."""
    for n, (name, (x, y)) in enumerate(sorted(series.items(), key=lambda s: s[0] != ours)):
        colour, style = (
            (OURS, "o-") if name == ours else (OTHERS[(n - 1) % len(OTHERS)], ("s--", "^:", "d-.")[(n - 1) % 3])
        )
        panel.plot(x, y, style, color=colour, linewidth=2.2 if name == ours else 1.6, markersize=4.5, label=name)
    panel.grid(alpha=0.2)
    panel.legend(frameon=False)


def _viewers(answer: Answer) -> Figure | None:
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in answer["rows"]:
        if "p50_ms" in row:
            name = "ours, which thins large clouds" if row["viewer"] == "ours" else row["viewer"]
            x, y = series.setdefault(name, ([], []))
            x.append(row["points"])
            y.append(row["p50_ms"])
    if not series:
        return None
    figure, panel = plt.subplots(figsize=(6, 3.4), layout="constrained")
    _lines(panel, series, "ours, which thins large clouds")
    panel.set(xscale="log", yscale="log", xlabel="points in the file", ylabel="ms a frame, median")
    panel.set_title("A turning point cloud")
    return figure


def _fit(answer: Answer) -> Figure | None:
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in answer["rows"]:
        curve = np.asarray(row.get("curve") or [], dtype=float)
        if curve.ndim == 2 and curve.shape[1] >= 2:
            series["ours" if row["path"] == "kernels" else "plain torch"] = (curve[:, 0].tolist(), curve[:, 1].tolist())
    if not series:
        return None
    figure, panel = plt.subplots(figsize=(6, 3.2), layout="constrained")
    _lines(panel, series, "ours")
    panel.set(xscale="log", xlabel="seconds", ylabel="PSNR, held-out views, dB")
    panel.set_title("Radiance fit")
    return figure


def _scale(answer: Answer) -> Figure | None:
    rows = answer["rows"]
    names = {"query_ms": "photo of a scene", "exact_ms": "all compared", "nothing_ms": "of nothing here"}
    scenes = [r["scenes"] for r in rows]
    figure, panel = plt.subplots(figsize=(6, 3.2), layout="constrained")
    _lines(panel, {name: (scenes, [r[key] for r in rows]) for key, name in names.items()}, "photo of a scene")
    panel.set(xscale="log", yscale="log", xlabel="scenes", ylabel="processor ms, median")
    panel.set_title("A query of a repository")
    return figure


def _classify(answer: Answer) -> Figure | None:
    title = "Objects named rightly, of models held out"
    return _bars(mean_rows(answer), "mode", "init", "accuracy", lambda text: "condense" in text, title)


def _segment(answer: Answer) -> Figure | None:
    title = "Points named, 1 % of the labels: mean IoU"
    return _bars(mean_rows(answer), "mode", "init", "miou", lambda text: "condense" in text, title)


def _repository(answer: Answer) -> Figure | None:
    asked = {"recall_1": "right scene first", "placed": "placed", "rejected": "strangers turned away"}
    rows = [
        {"of": name, "method": row["method"], "share": row[key]}
        for key, name in asked.items()
        for row in answer["rows"]
        if row["task"] == "image"
    ]
    title = "A photo among the rooms of a repository"
    return _bars(rows, "of", "method", "share", lambda text: text == "condense", title)


def _localise(answer: Answer) -> Figure | None:
    rows = [{**r, "of": f"{r['capture']}\n{r['removed']} removed"} for r in answer["rows"]]
    title = "Photos placed within 5 % of the extent and 5 degrees"
    return _bars(rows, "of", "method", "within_5", lambda text: text == "condense", title)


DRAWN: dict[str, Callable[[Answer], Figure | None]] = {
    "consistency": _consistency,
    "matching": _matching,
    "keypoints": _keypoints,
    "repository": _repository,
    "localise": _localise,
    "objects": _classify,
    "classify": _classify,
    "segment": _segment,
    "viewers": _viewers,
    "fit": _fit,
    "scale": _scale,
}
