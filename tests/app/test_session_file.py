"""Session files: there and back, moved with their capture, and hostile ones."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bookmarks import Bookmark
from app.canvas.home import Orbit
from app.clip import Clip
from app.edits import Edits
from app.prompt_state import Prompt
from app.ruler import Ruler
from app.session_file import FORMAT, SavedSession, read_session, write_session
from app.state import Layer
from engine.api.errors import CacheError, CaptureError
from engine.api.requests import PictureExample, PixelSource, PointSource, RegionExample

EDITS = Edits(
    match=PixelSource(3, 10.5, 20.25), match_pos_w=(1.0, 2.0, 3.0),
    prompts=(
        Prompt("sofa", threshold=0.4, colour=1, softness=0.3),
        Prompt("like sofa", colour=2, example=RegionExample("sofa", (0.0, 1.0, 2.0), 0.4, ("wall",))),
        Prompt("like that", colour=3, example=RegionExample(PictureExample("/crop.png"), (0.0, 1.0, 2.0))),
        Prompt("wall", negative=True)),
    layers=(("volume", Layer(False, 0.5)), ("heat", Layer())), colouring="features", panel_mode="heat", sort="score",
    keypoint_count=512, threshold=0.7, cutaway=False, keypoint_colouring="features",
    ruler=Ruler(True, ((0.0, 1.0, 2.0), (0.0, 1.0, 3.0)), 2.5, "m"),
    clip=Clip(True, (0.1, 0.0, 0.0), (1.0, 0.5, 1.0)),
    bookmarks=(Bookmark("from the door", Orbit((0.0, 1.0, 2.0), 0.5, -0.1, 3.0)),),
)  # fmt: skip
SESSION = SavedSession("", "default", EDITS, Orbit((1.0, 2.0, 3.0), 0.1, 0.2, 4.0), 2, 3, True, True, "light")


def saved(folder: Path, **changes: Any) -> tuple[Path, SavedSession]:
    (folder / "room").mkdir()
    session = replace(SESSION, capture=str(folder / "room"), **changes)
    write_session(folder / "a.condense", session)
    return folder / "a.condense", session


@pytest.mark.parametrize("match", [None, PixelSource(3, 10.5, 20.25), PointSource((1.0, 2.0, 3.0))])
def test_there_and_back(tmp_path: Path, match: PixelSource | PointSource | None) -> None:
    path, session = saved(tmp_path, edits=replace(EDITS, match=match), through=None)
    assert read_session(path) == session


def test_a_folder_with_both_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    saved(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert read_session(tmp_path / "there" / "a.condense").capture == str(tmp_path / "there" / "room")


def test_a_capture_that_is_gone_is_named(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    (tmp_path / "room").rmdir()
    with pytest.raises(CaptureError, match="gone") as e:
        read_session(path)
    assert "room" in e.value.text()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError):
        write_session(tmp_path / "file" / "a.condense", SESSION)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"}, {"orbit": None}, {"orbit": {"target_w": [0, 0], "yaw": 0, "pitch": 0, "distance": 1}},
        {"orbit": {"target_w": [0, 0, float("nan")], "yaw": 0, "pitch": 0, "distance": 1}}, {"through": -4},
        {"orbit": {"target_w": [0, 0, 0], "yaw": 0, "pitch": 0, "distance": 0}}, {"edits": {}}, {"theme": "pink"},
        {"edits": 3}, {"selected": "x"}, {"selected": 1e400},
    ],
)  # fmt: skip
def test_what_is_no_session_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path, _ = saved(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CaptureError, match="is no session"):
        read_session(path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b" " * (1 << 21)])
def test_what_is_no_json_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.condense"
    path.write_bytes(raw)
    with pytest.raises(CaptureError, match="is no session"):
        read_session(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_anything_else_in_an_edit_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("s")
    path, _ = saved(folder)
    raw = json.loads(path.read_text())
    for name in raw["edits"]:
        path.write_text(json.dumps({**raw, "edits": {**raw["edits"], name: value}}))
        with contextlib.suppress(CaptureError):
            assert isinstance(read_session(path).edits, Edits)
    assert raw["format"] == FORMAT
