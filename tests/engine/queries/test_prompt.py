"""From words to relevancies: which names a prompt means, what negatives take, and how namers are put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.encoders.words import WordEncoder
from engine.queries.prompt import SECOND, WITHIN, Answer, Namer, Vocabulary, answers

SOFA, TABLE, LAMP, CAT = np.eye(4, dtype=np.float32)
COUCH = (0.995 * SOFA + 0.0999 * TABLE).astype(np.float32)
DESK = (0.8 * TABLE + 0.6 * CAT).astype(np.float32)
TOLD = {"cat": CAT, "couch": COUCH, "desk": DESK, "lamp": LAMP, "sofa": SOFA, "table": TABLE}
WORDS = WordEncoder(tuple(TOLD), np.stack(list(TOLD.values())), "x")
TOLD_FURNITURE = WordEncoder((*TOLD, "furniture"), np.stack([*TOLD.values(), np.ones(4) / 2]).astype(np.float32), "x")
VOCABULARY = Vocabulary(["sofa", "table/desk", "lamp"], WORDS)
CHANCES = np.array([[255, 0, 0], [0, 255, 0], [153, 51, 51]], np.uint8)
NAMER = Namer(VOCABULARY, CHANCES)
GUESS = 1 / 3  # what who knows nothing would say of one of three names


def ask(prompt: str, *negatives: str) -> Answer:
    (answer,) = answers([NAMER], [prompt], negatives)
    return answer


def test_a_name_means_itself_fully() -> None:
    meaning = VOCABULARY.meaning("sofa")
    np.testing.assert_allclose(meaning.weights, [1, 0, 0])
    assert meaning.nearest[0] == ("sofa", 1.0)
    assert meaning.within


def test_another_word_means_the_nearest_name() -> None:
    np.testing.assert_allclose(VOCABULARY.meaning("couch").weights, [1, 0, 0])
    assert VOCABULARY.meaning("couch").nearest[0] == ("sofa", pytest.approx(0.995, abs=1e-4))


def test_either_word_of_a_name_will_do() -> None:
    np.testing.assert_allclose(VOCABULARY.meaning("desk").weights, [0, 1, 0])
    np.testing.assert_allclose(VOCABULARY.meaning("table").weights, [0, 1, 0])


@pytest.mark.parametrize("prompt", ["cat", "nonsense", "", "   ", "🛋️"])
def test_outside_the_vocabulary_nothing_lights_up(prompt: str) -> None:
    meaning = VOCABULARY.meaning(prompt)
    assert not meaning.within or prompt == "cat"
    if prompt == "cat":  # .6 with desk
        assert meaning.nearest[0] == ("table/desk", pytest.approx(0.6))
        assert meaning.within == (WITHIN < 0.6)
    else:
        assert meaning.nearest == ()
        assert not ask(prompt).relevancy.any()


def test_relevancy_is_the_chance_of_the_names_meant_beyond_a_guess() -> None:
    np.testing.assert_allclose(ask("sofa").relevancy, [1, 0, (0.6 - GUESS) / (1 - GUESS)], atol=1e-6)
    np.testing.assert_allclose(ask("lamp").relevancy, [0, 0, 0], atol=1e-6)  # .2 is less than a guess


def test_negatives_take_in_proportion() -> None:
    found = ask("sofa", "sofa").relevancy
    np.testing.assert_allclose(found, ask("sofa").relevancy / 2, atol=1e-6)
    np.testing.assert_allclose(ask("sofa", "table").relevancy, ask("sofa").relevancy, atol=1e-6)
    assert answers([NAMER], [], ["table"]) == []


def test_a_kind_means_all_its_names() -> None:
    kinds = [("couch", "furniture"), ("furniture",), ()]
    vocabulary = Vocabulary(["sofa", "table", "lamp"], TOLD_FURNITURE, kinds)
    np.testing.assert_allclose(vocabulary.meaning("furniture").weights, [1, 1, 0])
    np.testing.assert_allclose(vocabulary.meaning("lamp furniture").weights, [1, 1, 0])  # the last word is the thing
    np.testing.assert_allclose(vocabulary.meaning("couch").weights, [1, 0, 0])
    assert vocabulary.meaning("couch").nearest[0] == ("sofa", 1.0)
    (both,) = answers([Namer(vocabulary, np.array([[128, 127, 0], [85, 85, 85]], np.uint8))], ["furniture"])
    np.testing.assert_allclose(both.relevancy, [1, 0], atol=1e-6)


def test_of_several_namers_one_is_right() -> None:
    cats = Namer(Vocabulary(["tabby, cat", "lamp"], WORDS), np.array([[255, 0], [0, 0], [0, 255]], np.uint8))
    cat, lamp, nothing = answers([NAMER, cats], ["cat", "lamp", "nonsense"])
    np.testing.assert_allclose(cat.relevancy, [SECOND, 1, 0], atol=1e-6)  # the first takes it for a desk
    sofas = Namer(Vocabulary(["sofa"], WORDS), np.zeros((3, 1), np.uint8))
    np.testing.assert_allclose(answers([sofas, cats], ["cat"])[0].relevancy, [1, 0, 0], atol=1e-6)
    assert cat.within
    assert cat.nearest[0] == ("tabby", 1.0)
    np.testing.assert_allclose(lamp.relevancy, [0, 0, SECOND], atol=1e-6)
    assert [name for name, _ in lamp.nearest].count("lamp") == 1
    both = answers([NAMER, cats], ["lamp", "sofa"])[1]
    np.testing.assert_allclose(both.relevancy, ask("sofa").relevancy, atol=1e-6)
    agreed = Namer(VOCABULARY, CHANCES)
    alone = ask("sofa").relevancy
    (two,) = answers([NAMER, agreed], ["sofa"])
    np.testing.assert_allclose(two.relevancy, 1 - (1 - alone) * (1 - SECOND * alone), atol=1e-6)
    assert not nothing.within
    assert not nothing.relevancy.any()


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3), st.sampled_from(["sofa", "couch lamp", "table", "x"]))
def test_relevancies_are_probabilities(row: list[int], prompt: str) -> None:
    (answer,) = answers([Namer(VOCABULARY, np.array([row], np.uint8))], [prompt], ["lamp"])
    assert 0 <= float(answer.relevancy[0]) <= 1
