"""``condense task``: from a folder of files to the table, and a saved head that names new objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.annotations.formats.ply import read_ply
from engine.tasks import classify as classifying
from engine.tasks.saved import load_head
from tests.engine.tasks.made import KINDS, class_folder, mesh_of
from tests.engine.tasks.made_scans import KINDS as KINDS_OF_POINTS
from tests.engine.tasks.made_scans import annotated


@pytest.fixture(autouse=True)
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifying, "MOST_VIEWS", 2)
    monkeypatch.setattr(classifying, "TURNS", 2)


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    assert cli.main([*map(str, arguments), "--json", "--device", "cpu", "--threads", "1"]) == 0
    return json.loads(capfd.readouterr().out)


def test_probe_of_points_without_colour_then_predict(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = class_folder(tmp_path / "data", 2, 2, suffix="pcd")
    head = tmp_path / "head.safetensors"
    common = ("--cache", tmp_path / "cache")
    answer = run(capfd, "task", "classify", data, "--seeds", "2", "--save", head, *common)
    kinds = [(r["init"], r["seed"]) for r in answer["rows"]]
    inits = ("condense-s+views", "condense-s", "scratch")
    assert kinds == [(i, s) for i in inits for s in (0, 1)] + [(i, "mean") for i in inits]
    figures = {"accuracy", "accuracy_deviation", "miou", "miou_deviation"}
    assert set(answer["rows"][0]) == {"task", "init", "mode", "labels", "seed"} | figures
    mean = answer["rows"][6]
    of_seeds = [r["accuracy"] for r in answer["rows"][:2]]
    assert mean["accuracy"] == pytest.approx(np.mean(of_seeds), abs=1e-4)
    assert mean["accuracy_deviation"] == pytest.approx(np.std(of_seeds, ddof=1), abs=1e-4)
    assert mean["accuracy"] > 0.7  # balls, boxes and poles; chance is a third
    assert (answer["train"], answer["test"], answer["broken"]) == (6, 6, 0)

    rng = np.random.default_rng(99)
    files = [tmp_path / f"{kind}.off" for kind in KINDS]
    for kind, file in zip(KINDS, files, strict=True):
        mesh_of(kind, rng).export(file)
    (tmp_path / "cut.ply").write_bytes(b"ply\n")
    named = run(capfd, "task", "predict", head, *files, tmp_path / "cut.ply")
    assert [r["class"] for r in named["rows"]] == list(KINDS)


def test_fine_tuning_of_few_shots(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = class_folder(tmp_path / "data", 2, 1)
    asked = ("--mode", "finetune", "--labels", "1-shot", "--seeds", "1", "--steps", "2", "--init", "condense-s")
    answer = run(capfd, "task", "classify", data, *asked, "--cache", tmp_path / "cache")
    (row, mean) = answer["rows"]
    assert (row["mode"], row["labels"], row["init"]) == ("finetune", "1-shot", "condense-s")
    assert mean["accuracy_deviation"] is None
    assert not list((tmp_path / "cache" / "tasks").glob("state-*"))  # none is left when it is done


def test_scans_are_segmented_then_captures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, head, out = annotated(tmp_path / "data"), tmp_path / "head.safetensors", tmp_path / "out"
    (data / "train" / "cut.npz").write_bytes(b"PK")
    asked = ("--labels", "10%", "--seeds", "1", "--save", head, "--cache", tmp_path / "cache")
    answer = run(capfd, "task", "segment", data, *asked)
    assert [(r["init"], r["seed"]) for r in answer["rows"]] == [
        (init, seed) for seed in (0, "mean") for init in ("condense-s", "scratch")
    ]
    assert answer["rows"][0]["miou"] > 0.8  # a floor and a post
    assert [c["class"] for c in answer["classes"]] == list(KINDS_OF_POINTS)
    assert np.mean([c["condense-s"] for c in answer["classes"]]) == pytest.approx(answer["rows"][2]["miou"], abs=1e-3)
    assert (answer["train"], answer["test"], answer["broken"]) == (2, 2, 1)

    capture = data / "test" / "scan0.ply"
    named = run(capfd, "task", "predict", head, capture, "--out", out, "--cache", tmp_path / "cache")
    assert named["rows"][0]["points"] == 800
    shown = read_ply(out / "scan0.ply")  # as annotate import reads it
    assert [c.name for c in shown.classes] == list(KINDS_OF_POINTS)
    assert (shown.labels == read_ply(capture).labels).mean() > 0.9


def test_a_pointnet_learns_as_a_whole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ("--init", "pointnet", "--mode", "finetune", "--steps", "2", "--seeds", "1", "--cache", tmp_path / "cache")
    head = tmp_path / "head.safetensors"
    answer = run(capfd, "task", "segment", annotated(tmp_path / "a", 1), "--colour", "off", *asked, "--save", head)
    assert answer["rows"][0]["init"] == "pointnet"
    assert not load_head(head).colour
    answer = run(capfd, "task", "classify", class_folder(tmp_path / "b", 1, 1), *asked)
    assert answer["rows"][0]["init"] == "pointnet"


def test_mistakes_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = class_folder(tmp_path / "data", 1, 1)
    cache = ("--cache", str(tmp_path / "cache"))
    for arguments, told in (
        (["classify", str(tmp_path / "nowhere"), *cache], "no such folder"),
        (["classify", str(data), "--labels", "many", *cache], "no share of labels"),
        (["classify", str(data), "--init", str(tmp_path / "none.safetensors"), *cache], "no such weights file"),
        (["classify", str(data), "--seeds", "0", *cache], "cannot draw so often"),
        (["classify", str(data), "--init", "pointnet", *cache], "nothing to be probed"),
        (["segment", str(data), *cache], "holds no labelled scans"),
        (["segment", str(tmp_path / "nowhere"), *cache], "no such folder"),
        (["segment", str(data), "--labels", "7", *cache], "no share of labels"),
        (["predict", str(tmp_path / "none.safetensors"), "a.off"], "no such weights file"),
    ):
        assert cli.main(["task", *arguments]) == 2
        assert told in capfd.readouterr().err
