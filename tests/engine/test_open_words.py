"""Free words: relevancy by hand, and a tiny CLIP through the session, the window's words and the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import WeightsError
from engine.api.replies import JobFinished, PromptReply, Reply, SceneNamed
from engine.api.requests import EncodeViews, FitGrid, NameScene, OpenCapture, PromptQuery, Request
from engine.cli import Prompt
from engine.open_words import relevancy
from engine.prompt_commands import prompt
from engine.session import Session
from tests.conftest import write_tiny_capture
from tests.tiny_clip import tiny_clip


def test_relevancy_by_hand() -> None:
    features = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    query, against = np.array([1, 0], np.float32), np.array([[0, 1], [0.6, 0.8]], np.float32)
    found = relevancy(features, query, against)
    np.testing.assert_allclose(found, [1 / (1 + np.exp(-4)), 1 / (1 + np.exp(10)), 0], atol=1e-6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    capture = write_tiny_capture(tmp_path_factory.mktemp("capture"), width=64, height=48)
    return capture, tiny_clip(tmp_path_factory.mktemp("clip"))


def test_a_scene_takes_any_words_by_an_encoder_of_texts(folders: tuple[Path, Path], tmp_path: Path) -> None:
    capture, clip = folders
    session = Session(device="cpu", cache=tmp_path, threads=1)
    list(session.start())

    def ask(request: Request) -> list[Reply]:
        return [r for r in session.handle(request) if r is not None]

    for request in (OpenCapture(path=str(capture)), FitGrid(seconds=2), EncodeViews(encoder=f"clip:{clip}")):
        ask(request)
    replies = ask(NameScene())
    named = [r for r in replies if isinstance(r, SceneNamed)]
    assert [n.open_words for n in named] == ["", "", f"clip:{clip}"]
    assert isinstance(replies[-1], JobFinished)
    prompts = ("sofa", "qqqq 👾", " ")
    (reply,) = (r for r in ask(PromptQuery(prompts=prompts, negatives=("chair",))) if isinstance(r, PromptReply))
    sofa, odd, nothing = reply.found
    assert sofa.within
    assert odd.within
    assert odd.known == ("qqqq 👾",)
    assert sofa.relevancy.any()
    assert not nothing.within
    assert not nothing.relevancy.any()
    (own,) = (r for r in ask(PromptQuery(prompts=("sofa",), negatives=("sofa",))) if isinstance(r, PromptReply))
    assert own.found[0].best == pytest.approx(0.5)  # nothing is more like a sofa than like a sofa
    ask(EncodeViews())
    named = [r for r in ask(NameScene()) if isinstance(r, SceneNamed)]
    assert not any(n.open_words for n in named)


def test_the_command_asks_photos(folders: tuple[Path, Path], tmp_path: Path) -> None:
    capture, clip = folders
    photo = next((capture / "images").iterdir())
    asked = Prompt(targets=(str(photo),), prompts=("red sofa",), open_vocabulary=f"clip:{clip}", out=tmp_path)
    (row,) = prompt(asked)["rows"]
    assert row["known"]
    assert 0 < row["best"] < 1
    assert Path(row["picture"]).is_file()


def test_the_command_refuses_encoders_without_words(folders: tuple[Path, Path]) -> None:
    asked = Prompt(targets=(str(folders[0]),), prompts=("sofa",), open_vocabulary="raw")
    with pytest.raises(WeightsError, match="knows no words"):
        prompt(asked)
