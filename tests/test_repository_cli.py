"""Repositories by the command line, as a process: a capture in, asked by a photo, by words and by itself, and out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.repository.store import open_store
from tests.conftest import write_tiny_capture


def condense(*args: object, cache: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *map(str, args), "--cache", str(cache), "--device", "cpu", "--threads", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == code, run.stderr
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("repository")
    capture, repository, cache = (
        write_tiny_capture(folder / "tiny", width=192, height=144),
        folder / "repo",
        folder / "c",
    )
    run = condense("index", "add", repository, capture, "--seconds", "2", "--json", cache=cache)
    return capture, repository, cache, json.loads(run.stdout)


def test_a_capture_is_added_once(made: tuple[Path, Path, Path, dict[str, Any]]) -> None:
    capture, repository, cache, answer = made
    assert answer == {"added": ["tiny"], "passed_over": [], "failed": [], "scenes": 1}
    run = condense("index", "add", repository, capture, capture / "nothing", "--json", cache=cache)
    again = json.loads(run.stdout)
    assert again["passed_over"] == ["tiny"]
    assert [f["capture"] for f in again["failed"]] == [str(capture / "nothing")]
    assert again["scenes"] == 1
    listed = json.loads(condense("index", "list", repository, "--json", cache=cache).stdout)
    (scene,) = listed["scenes"]
    assert scene["path"] == str(capture)
    assert scene["keypoints"] >= 4
    assert listed["bytes_per_scene"] > 1_000


def test_a_photo_of_it_ranks_it(made: tuple[Path, Path, Path, dict[str, Any]]) -> None:
    capture, repository, cache, _ = made
    photo = sorted((capture / "images").iterdir())[0]
    answer = json.loads(condense("search", repository, "--image", photo, "--json", cache=cache).stdout)
    assert answer["results"][0]["scene"] == "tiny"
    assert 0.2 < answer["results"][0]["score"] < 1
    assert set(answer["results"][0]) >= {"scene", "score", "inliers", "pose_c2w", "pos_w", "confidence"}
    assert answer["rejected"] == (answer["results"][0]["confidence"] < 0.5)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("search", "REPO"), "--image PHOTO"),
        (("search", "REPO", "--text", "lamp", "--scene", "tiny"), "several things"),
        (("search", "REPO", "--text", "qqqq"), "vocabulary"),
        (("search", "REPO", "--scene", "nothing"), "no one scene"),
        (("search", "REPO/none", "--text", "lamp"), "condense index add"),
        (("search", "REPO", "--image", "PHOTO", "--encoder", "raw"), "other weights"),
        (("localize", "REPO", "NOISE"), "none of these scenes"),
        (("localize", "REPO", "PHOTO", "--focal", "-3"), "focal length"),
        (("index", "remove", "REPO", "nothing"), "no one scene"),
        (("index", "add", "REPO", "/nowhere"), "/nowhere"),
        (("index", "add", "REPO", "/nowhere", "--workers", "0"), "1 or more"),
    ],
)
def test_mistakes_are_one_message(
    made: tuple[Path, Path, Path, dict[str, Any]], tmp_path: Path, args: tuple[str, ...], says: str
) -> None:
    capture, repository, cache, _ = made
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (144, 192, 3), dtype=np.uint8)).save(noise)
    named = {"REPO": str(repository), "PHOTO": str(capture / "images" / "000.png"), "NOISE": str(noise)}
    filled = [named.get(a, a.replace("REPO/", f"{repository}/")) for a in args]
    run = condense(*filled, cache=cache, code=2)
    assert says in run.stderr
    assert run.stdout == ""


@pytest.mark.slow
def test_several_are_added_side_by_side(made: tuple[Path, Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    capture, _, cache, _ = made
    others = [write_tiny_capture(tmp_path / name, width=96, height=72 + 8 * n) for n, name in enumerate("ab")]
    args = ("index", "add", tmp_path / "repo", *others, capture, tmp_path / "none", "--workers", 3, "--seconds", 1)
    answer = json.loads(condense(*args, "--json", cache=cache).stdout)
    assert sorted(answer["added"]) == ["a", "b", "tiny"]
    assert [f["capture"] for f in answer["failed"]] == [str(tmp_path / "none")]
    assert answer["scenes"] == 3


@pytest.mark.slow
def test_a_ray_cluster_adds_what_one_process_would(
    made: tuple[Path, Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    capture, _, cache, _ = made
    other = write_tiny_capture(tmp_path / "a", width=96)
    args = ("index", "add", tmp_path / "repo", other, capture, tmp_path / "none", "--cluster", "local", "--seconds", 1)
    answer = json.loads(condense(*args, "--json", cache=cache).stdout)
    assert sorted(answer["added"]) == ["a", "tiny"]
    assert [f["capture"] for f in answer["failed"]] == [str(tmp_path / "none")]
    assert answer["scenes"] == 2


@pytest.mark.slow
@contextmanager
def heard() -> Iterator[None]:
    """A child inherits deafness to Ctrl-C (a shell's background job has it), but not a handler. No `preexec_fn`: it
    forks in Python, and Lance, where it is loaded, warns of that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_all_workers_and_the_next_run_goes_on(
    made: tuple[Path, Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    capture, _, cache, _ = made
    others = [write_tiny_capture(tmp_path / name, width=96, height=72 + 8 * n) for n, name in enumerate("ab")]
    repo = tmp_path / "repo"
    args = ("index", "add", repo, capture, *others, "--workers", 2, "--seconds", 300, "--cache", cache)
    command = [sys.executable, "-m", "app", *map(str, args), "--device", "cpu"]
    with heard(), subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        assert "1 of 3 done" in run.stderr.readline()
        os.killpg(run.pid, signal.SIGINT)
        said = run.stderr.read()  # to its end: no worker holds it open
    assert run.returncode == 130
    assert "what was finished is kept" in said
    assert "Traceback" not in said
    there = {row.name for row in open_store(repo).rows()}
    assert 1 <= len(there) < 3
    again = condense("index", "add", repo, capture, *others, "--seconds", 2, "--json", cache=cache)
    answer = json.loads(again.stdout)
    assert set(answer["passed_over"]) == there
    assert set(answer["added"]) == {"tiny", "a", "b"} - there


def test_words_and_duplicates_and_removal(made: tuple[Path, Path, Path, dict[str, Any]]) -> None:
    _, repository, cache, _ = made
    json.loads(condense("search", repository, "--text", "room with a floor", "--json", cache=cache).stdout)
    assert json.loads(condense("duplicates", repository, "--json", cache=cache).stdout) == {"pairs": []}
    assert "No two scenes" in condense("duplicates", repository, cache=cache).stdout
    removed = json.loads(condense("index", "remove", repository, "tiny", "--json", cache=cache).stdout)
    assert removed == {"removed": 1, "scenes": 0}
    run = condense("search", repository, "--text", "lamp", cache=cache, code=2)
    assert "empty" in run.stderr
