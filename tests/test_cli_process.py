"""The command line as a process: keys of --json, exit codes, and that nothing else reaches stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_tiny_capture


def condense(*args: str | Path, cache: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    if cache is not None:
        env["CONDENSE_CACHE"] = str(cache)
    run = subprocess.run(
        [sys.executable, "-m", "app", *map(str, args)], capture_output=True, text=True, timeout=240, env=env
    )
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    return run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A tiny capture, its cache, and what ``condense fit --json`` said."""
    capture = write_tiny_capture(tmp_path_factory.mktemp("cli") / "tiny")
    cache = tmp_path_factory.mktemp("cache")
    run = condense("fit", capture, "--seconds", "8", "--json", cache=cache)
    return capture, cache, json.loads(run.stdout)


def test_help_names_every_command() -> None:
    out = condense("--help").stdout
    for name in ("view", "snapshot", "fit", "encode", "match", "keypoints", "consistency", "bench"):
        assert name in out


def test_fit_prints_its_keys(fitted: tuple[Path, Path, dict[str, Any]]) -> None:
    capture, _, answer = fitted
    assert answer["capture"] == capture.name
    assert answer["views"] == 8
    assert answer["heldout_views"] == [7]
    assert answer["psnr"] > 11  # a grey picture gets 10; a busy machine gets little further than fusion
    assert 0 < answer["seconds"] < 60
    assert answer["voxels"] > 1000
    assert answer["device"] == "cpu" or answer["device"].startswith("cuda")
    assert all(len(point) == 2 for point in answer["curve"])
    assert Path(answer["file"]).is_file()
    assert not (capture / "results").exists()


def test_fit_keeps_to_the_cells_it_is_given(fitted: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    capture, _, answer = fitted
    done = condense("fit", capture, "--seconds", "4", "--voxels", "9000", "--json", cache=tmp_path)
    assert json.loads(done.stdout)["voxels"] < answer["voxels"] / 3
    none = condense("fit", capture, "--voxels", "0", cache=tmp_path, code=2)
    assert "--voxels 0" in none.stderr


def test_fit_by_the_reference_takes_the_torch_path(
    fitted: tuple[Path, Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.cli import Fit
    from engine.commands import run
    from engine.grid import reference_fit

    asked: list[object] = []
    original = reference_fit.TorchLevel.differentiate

    def differentiate(*args: Any, **kwargs: Any) -> None:
        asked.append(args[0])
        original(*args, **kwargs)

    monkeypatch.setattr(reference_fit.TorchLevel, "differentiate", differentiate)
    command = {"capture": str(fitted[0]), "seconds": 2.0, "cache": tmp_path, "device": "cpu"}
    run(Fit(**command))
    assert not asked
    run(Fit(**command, reference=True))
    assert asked


def test_encode_then_match(fitted: tuple[Path, Path, dict[str, Any]]) -> None:
    capture, cache, _ = fitted
    encoded = json.loads(condense("encode", capture, "--json", cache=cache).stdout)
    assert encoded["views"] == encoded["encoded"] == 8
    assert encoded["voxels"] > 1000
    again = json.loads(condense("encode", capture, "--json", cache=cache).stdout)
    assert again["encoded"] == 0  # cached
    answer = json.loads(condense("match", capture, "--view", "0", "--pixel", "48", "40", "--json", cache=cache).stdout)
    assert answer["source"]["view"] == 0
    assert (answer["source"]["x"], answer["source"]["y"]) == (48, 40)
    assert np.abs(answer["source"]["pos_w"]).max() < 2.2  # on the cube or its floor
    assert sorted(m["view"] for m in answer["matches"]) == [1, 2, 3, 4, 5, 6, 7]
    scores = [m["score"] for m in answer["matches"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= m["x"] <= 96 and 0 <= m["y"] <= 72 and isinstance(m["mutual"], bool) for m in answer["matches"])


def test_consistency_lists_the_worst_photos_first(fitted: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    capture, cache, _ = fitted
    out = tmp_path / "out"
    answer = json.loads(condense("consistency", capture, "--out", out, "--json", cache=cache).stdout)
    means = [row["mean"] for row in answer["rows"]]
    assert means == sorted(means)
    assert answer["mean"] == pytest.approx(np.mean(means), abs=1e-3)
    assert all({"x", "y", "cosine"} == set(place) for row in answer["rows"] for place in row["worst"])
    assert sorted(p.name for p in out.iterdir()) == [*(f"{i:04}.png" for i in range(8)), "consistency.csv"]
    said = condense("consistency", capture, cache=cache).stdout
    assert said.splitlines()[0].split() == ["view", "name", "mean", "p05", "p50", "p95", "centred", "covered"]


def test_keypoints_are_written_where_asked(fitted: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    capture, cache, _ = fitted
    file = tmp_path / "points.npz"
    answer = json.loads(condense("keypoints", capture, "-k", "64", "--out", file, "--json", cache=cache).stdout)
    assert answer["count"] == 64
    assert answer["file"] == str(file)
    assert 1 <= answer["views_each"] <= 8
    with np.load(file, allow_pickle=False) as z:
        assert z["pos_w"].shape == (64, 3)
        assert z["features"].shape == (64, 64)
    kept = condense("keypoints", capture, "-k", "8", cache=cache)
    assert str(cache) in kept.stdout
    wrong = condense("keypoints", capture, "--out", tmp_path / "points.las", cache=cache, code=2)
    assert ".ply, .npz, .txt" in wrong.stderr


def test_match_as_a_person_reads_it(fitted: tuple[Path, Path, dict[str, Any]]) -> None:
    capture, cache, _ = fitted
    out = condense("match", capture, "--view", "0", "--pixel", "48", "40", cache=cache).stdout.splitlines()
    assert out[0].split() == ["view", "x", "y", "score", "mutual"]
    assert len(out) == 8


def test_snapshot_draws_something(fitted: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    capture, cache, _ = fitted
    out = tmp_path / "a.png"
    condense("snapshot", capture, out, "--size", "320", "240", cache=cache)
    picture = np.asarray(Image.open(out).convert("RGB"))
    assert picture.shape == (240, 320, 3)
    assert picture.std() > 10


def test_snapshot_lights_up_prompts_and_says_what_is_not_there(
    fitted: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    capture, cache, _ = fitted
    plain, lit = tmp_path / "a.png", tmp_path / "b.png"
    condense("snapshot", capture, plain, "--size", "320", "240", cache=cache)
    run = condense("snapshot", capture, lit, "--size", "320", "240", "--prompts", "wall -floor", "qqqq", cache=cache)
    assert "qqqq: not in its vocabulary" in run.stderr
    before, after = (np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (plain, lit))
    assert np.abs(before - after).mean() > 2  # all else steps back


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("fit", "/nowhere/at/all"), "/nowhere/at/all"),
        (("snapshot", "CAPTURE", "OUT.png", "--prompts", " -wall"), "nothing to look for"),
        (("match", "CAPTURE", "--view", "8", "--pixel", "1", "1"), "0 to 7"),
        (("match", "CAPTURE", "--view", "0", "--pixel", "97", "1"), "outside the photo"),
        (("match", "CAPTURE", "--view", "0", "--pixel", "nan", "1"), "outside the photo"),
        (("encode", "CAPTURE", "--encoder", "dinov2:/no/such/folder"), "/no/such/folder"),
        (("encode", "CAPTURE", "--encoder", "nonsense"), "nonsense"),
        (("prompt", "CAPTURE", "--prompts", "sofa", "--open-vocabulary", "clip:a/b"), "clip:PATH"),
        (("fit", "CAPTURE", "--device", "abacus"), "abacus"),
        (("fit", "CAPTURE", "--cache", "CAPTURE/transforms.json"), "cannot be written"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(
    fitted: tuple[Path, Path, dict[str, Any]], args: tuple[str, ...], says: str
) -> None:
    capture, cache, _ = fitted
    filled = [a.replace("CAPTURE", str(capture)) for a in args]
    if args[0] == "fit" and "--cache" in args:
        filled += ["--seconds", "1"]
    run = condense(*filled, cache=cache, code=2)
    assert says in run.stderr
    assert run.stdout == ""


def test_photos_missing_is_a_clear_error(tmp_path: Path) -> None:
    capture = write_tiny_capture(tmp_path / "tiny")
    for photo in (capture / "images").iterdir():
        photo.unlink()
    run = condense("fit", capture, "--json", code=2)
    assert run.stdout == ""
    assert "8" in run.stderr


def test_bench_consistency_measures_a_fitted_capture(fitted: tuple[Path, Path, dict[str, Any]]) -> None:
    capture, cache, _ = fitted
    done = condense("bench", "consistency", capture, "--encoders", "default", "--pairs", "3", "--json", cache=cache)
    rows = json.loads(done.stdout)["rows"]
    assert [r["features"] for r in rows] == [
        "voxel colour",
        "condense2d",
        "condense2d lifted",
        "photo to condense2d lifted",
    ]
    missing = condense("bench", "consistency", capture, "--volume", cache / "none.safetensors", cache=cache, code=2)
    assert "none.safetensors" in missing.stderr
