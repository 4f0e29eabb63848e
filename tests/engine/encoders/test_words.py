"""The embedded text encoder: how phrases are read, and that bad tables are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import CacheError, WeightsError
from engine.encoders.words import WordEncoder, load_words, save_words
from engine.runtime import asset_path
from engine.storage import write_tensors

WORDS = ("a", "coffee", "coffee table", "couch", "knife", "red", "table")
VECTORS = np.eye(7, dtype=np.float32)
ENCODER = WordEncoder(WORDS, VECTORS, "hand-made")


def axis(vector: np.ndarray) -> dict[str, float]:
    return {w: round(float(x), 3) for w, x in zip(WORDS, vector, strict=True) if x}


def test_the_longest_known_phrase_is_one_thing() -> None:
    assert axis(ENCODER.read("the Coffee Table").vector) == {"coffee table": 1.0}
    assert ENCODER.read("coffee, table").known == ("coffee table",)  # commas part prompts, before they come here


def test_the_last_word_says_what_a_thing_is() -> None:
    both = ENCODER.read("red couch")
    assert axis(both.vector) == {"couch": round(2 / 5**0.5, 3), "red": round(1 / 5**0.5, 3)}
    assert both.known == ("red", "couch")


@pytest.mark.parametrize(("plural", "one"), [("couches", "couch"), ("tables", "table"), ("knives", "knife")])
def test_plurals_are_their_singular(plural: str, one: str) -> None:
    assert axis(ENCODER.read(plural).vector) == {one: 1.0}


def test_words_without_a_vector_are_named_and_leave_the_rest() -> None:
    text = ENCODER.read("a shiny couch, please")
    assert text.known == ("couch",)
    assert text.unknown == ("shiny", "please")
    assert axis(text.vector) == {"couch": 1.0}
    nothing = ENCODER.read("猫 🛋️ כורסה")
    assert not nothing.vector.any()
    assert nothing.known == ()
    assert set(nothing.unknown) == {"猫", "כורסה"}
    assert ENCODER.spelled_like("coutch") == ["couch"]


def test_what_says_nothing_is_left_out_unless_there_is_nothing_else() -> None:
    assert ENCODER.read("a photo of a couch").known == ("couch",)
    assert ENCODER.read("a").known == ("a",)


@given(st.text(max_size=300))
def test_any_text_has_a_vector_of_length_one_or_none(text: str) -> None:
    length = float(np.linalg.norm(ENCODER.read(text).vector))
    assert length == pytest.approx(1, abs=1e-5) or length == 0
    assert ENCODER.encode([text, text]).shape == (2, 7)


def test_a_very_long_text_is_cut() -> None:
    assert len(ENCODER.read("word " * 100_000).unknown) == 1
    assert ENCODER.encode([]).shape == (0, 7)


def test_eight_bits_are_close_enough(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    save_words(tmp_path / "w.safetensors", WORDS, vectors, {"space": "random"})
    back = load_words(tmp_path / "w.safetensors")
    assert back.words == WORDS
    assert back.id == "random"
    assert back.dim == 24
    assert (np.sum(back.vectors * vectors, axis=1) > 0.9998).all()


def test_bad_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    codes = np.ones((2, 3), np.int8)
    for tensors, meta in (
        ({"codes": codes}, {"words": 2}),
        ({"codes": codes, "words": np.frombuffer(b"one", np.uint8)}, {"words": 2}),
        ({"codes": codes.astype(np.float32), "words": np.frombuffer(b"a\nb", np.uint8)}, {"words": 2}),
        ({"codes": codes, "words": np.frombuffer(b"a\nb", np.uint8)}, {}),
        ({"codes": 0 * codes, "words": np.frombuffer(b"a\nb", np.uint8)}, {"words": 2}),
        ({"codes": codes, "words": np.frombuffer(b"a\n\xff", np.uint8)}, {"words": 2}),
    ):
        write_tensors(path, tensors, meta)
        with pytest.raises(WeightsError, match=r"w\.safetensors"):
            load_words(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises((WeightsError, CacheError)):
        load_words(path)
    with pytest.raises(WeightsError):
        load_words(tmp_path / "missing.safetensors")


def test_the_table_that_comes_along_knows_its_things() -> None:
    words = load_words(asset_path("weights/words.safetensors"))
    couch, sofa, table, cat = words.encode(["couch", "sofa", "table", "cat"])
    assert couch @ sofa > 0.9
    assert couch @ sofa > couch @ table > couch @ cat
    assert asset_path("weights/words.safetensors").stat().st_size < 6e6
