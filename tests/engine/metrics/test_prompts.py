"""Pointing, IoU and false alarms on hand-made rooms."""

from __future__ import annotations

import numpy as np
import pytest

from engine.encoders.words import WordEncoder
from engine.grid import GridSpec, RadianceGrid
from engine.metrics.prompts import SYNONYMS, AskedRoom, bench_prompts
from engine.queries.prompt import Namer, Vocabulary

WORDS = WordEncoder(
    ("chair", "couch", "seat", "settee", "sofa", "yucca"),
    np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32), "x",
)  # fmt: skip
TAUGHT = ("chair", "sofa")
VOCABULARY = Vocabulary([*TAUGHT, *"bcdefghijklmnopqr"], WORDS)


def room(sofas: float) -> AskedRoom:
    """Ten blocks of chair, ten of yucca, and, with chance ``sofas``, ten of sofa."""
    label = np.array(["chair"] * 10 + ["yucca"] * 10 + ["sofa" if sofas else ""] * 10)
    chances = np.zeros((30, 19), np.uint8)
    chances[:10, 0] = 255
    chances[10:20, 0] = 102  # a yucca is taken for a chair, a little
    chances[20:, 1] = round(255 * sofas)
    spec = GridSpec(np.zeros(3), 1.0, (30, 2, 2))
    index = np.stack([np.arange(30), np.zeros(30), np.zeros(30)], axis=1).astype(np.int32)
    coarse = RadianceGrid.of(spec, index, np.full((30, 3), 0.5), np.full(30, 9.0), np.full((1, 1, 3), 0.5))
    return AskedRoom("hand-made", coarse, (Namer(VOCABULARY, chances),), label)


def test_what_is_found_and_how_well() -> None:
    rows = {r["kind"]: r for r in bench_prompts([room(0.8)], TAUGHT, 0.3)}
    taught = rows["names taught, of models never seen"]
    assert taught["questions"] == 2
    assert taught["pointing"] == 1.0
    assert taught["chance"] == pytest.approx(1 / 3, abs=1e-3)
    assert taught["iou"] == 1.0
    assert taught["threshold"] == pytest.approx(0.62)  # a yucca has .37, and belongs to the chair beside it up to .6
    assert taught["iou_shown"] == pytest.approx(0.75)  # the yuccas count for chairs at .3
    words = rows["other words for them"]
    assert words["questions"] == len(SYNONYMS["chair"]) + len(SYNONYMS["sofa"])
    right = 3  # seat, side chair, couch; a settee is taken for a chair, a lounge is not known
    assert words["pointing"] == pytest.approx(right / words["questions"], abs=1e-3)
    assert rows["names never taught"]["pointing"] == 0.0


def test_alarms_are_counted_where_the_thing_is_not() -> None:
    quiet = {r["kind"]: r for r in bench_prompts([room(0.0)], TAUGHT, 0.3)}
    assert quiet["names of which a room has none"]["alarms"] == 0.0
    loud = room(0.0)
    loud.namers[0].chances[24:26, 1] = 200  # two blocks are no place
    assert bench_prompts([loud], TAUGHT, 0.3)[-1]["alarms"] == 0.0
    loud.namers[0].chances[26, 1] = 200
    rows = {r["kind"]: r for r in bench_prompts([loud], TAUGHT, 0.3)}
    assert rows["names of which a room has none"]["alarms"] == 1.0
    assert rows["names of which a room has none"]["questions"] == 1
