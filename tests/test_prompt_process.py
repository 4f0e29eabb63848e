"""``condense prompt`` as a process: photos alone, a capture, and what cannot be asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import write_tiny_capture
from tests.test_cli_process import condense

PHOTO = Path("assets/demo/images/020.jpg")


def test_a_photo_alone(tmp_path: Path) -> None:
    photo = tmp_path / "my room.jpg"
    shutil.copy(PHOTO, photo)
    out = tmp_path / "out"
    run = condense("prompt", photo, "--prompts", "sofa", "zebra", "flurbl", "🛋", "--out", out, "--json")
    rows = {row["prompt"]: row for row in json.loads(run.stdout)["rows"]}
    assert rows["sofa"]["found"]
    assert rows["sofa"]["nearest"][0] == "studio couch"
    assert rows["zebra"]["known"]
    assert not rows["zebra"]["found"]
    for nothing in ("flurbl", "🛋"):
        assert not rows[nothing]["known"]
        assert rows[nothing]["best"] == 0
    with Image.open(out / "my-room-sofa.jpg") as picture:
        assert picture.size[0] <= 640
    assert len(list(out.iterdir())) == 4


def test_negatives_take_away(tmp_path: Path) -> None:
    def best(*more: str) -> float:
        run = condense("prompt", PHOTO, "--prompts", "furniture", *more, "--json")
        return json.loads(run.stdout)["rows"][0]["best"]

    assert best("--without", "sofa", "bookcase") < best()


def test_a_capture_is_fitted_named_and_asked(tmp_path: Path) -> None:
    capture, cache, out = write_tiny_capture(tmp_path / "tiny"), tmp_path / "cache", tmp_path / "out"
    args = ("prompt", capture, "--prompts", "floor", "wall", "--threshold", "0.05", "--out", out, "--json")
    rows = json.loads(condense(*args, cache=cache).stdout)["rows"]
    assert [row["prompt"] for row in rows] == ["floor", "wall"]
    for row in rows:
        assert row["known"]
        assert row["found"] == (row["best"] >= 0.05)
        assert Path(row["picture"]).is_file()
        assert all(0 < region["size"] <= 1 for region in row["regions"])
    stored = {p.name for p in cache.rglob("*.safetensors")}
    assert {"names.safetensors", "classes.safetensors"} <= stored
    again: list[dict[str, Any]] = json.loads(condense(*args, cache=cache).stdout)["rows"]
    assert [row["best"] for row in again] == [row["best"] for row in rows]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("no-such.jpg", "--prompts", "sofa"), "no-such.jpg"),
        ((PHOTO, "--prompts", " "), "nothing to look for"),
        ((PHOTO, "--prompts", "sofa", "--threshold", "2"), "threshold"),
    ],
)
def test_what_cannot_be_asked(args: tuple[str | Path, ...], says: str) -> None:
    assert says in condense("prompt", *args, code=2).stderr


def test_damaged_photos_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(PHOTO.read_bytes()[:900])
    assert "bad.jpg" in condense("prompt", bad, "--prompts", "sofa", code=2).stderr
