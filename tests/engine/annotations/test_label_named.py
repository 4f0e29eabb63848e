"""Voxels labelled by the name of a class: one step, whether there is such a class or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.annotations.editing import edit_of
from engine.annotations.state import AnnotationState
from engine.api.annotating import LabelNamed
from engine.api.annotations import LabelClass
from engine.api.errors import AnnotationError

NO_SERVICE: Any = None
RED = (255, 0, 0)


def named(state: AnnotationState, rows: list[int], name: str) -> AnnotationState:
    """``state`` with the edit made."""
    edit = edit_of(NO_SERVICE, state, LabelNamed(rows=np.array(rows, np.int64), name=name, rgb=RED))
    state.apply(edit, forward=True)
    return state


def test_a_new_class_comes_with_its_voxels_in_one_step() -> None:
    state = AnnotationState.empty(6)
    edit = edit_of(NO_SERVICE, state, LabelNamed(rows=np.array([4, 1, 4]), name=" Sofa ", rgb=RED))
    assert edit.title == "Label Sofa"
    state.apply(edit, forward=True)
    (label,) = state.palette
    assert (label.name, label.rgb, label.digit) == ("Sofa", RED, 1)
    assert state.labels.tolist() == [0, label.id, 0, 0, label.id, 0]
    assert len(set(state.instances[[1, 4]].tolist())) == 1
    state.apply(edit, forward=False)
    assert not state.palette
    assert not state.labels.any()


def test_a_class_of_that_name_is_taken_and_locked_ones_are_left() -> None:
    state = AnnotationState.empty(6)
    named(state, [0, 1], "chair")
    named(state, [2, 3], "CHAIR")
    assert len(state.palette) == 1
    assert state.labels.tolist() == [1, 1, 1, 1, 0, 0]
    assert state.instances[0] != state.instances[2]
    state.apply(state.put(LabelClass(1, "chair", RED, locked=True)), forward=True)
    named(state, [3, 4, 5], "sofa")
    assert state.labels.tolist() == [1, 1, 1, 1, 2, 2]


def test_rows_of_another_scene_are_refused() -> None:
    with pytest.raises(AnnotationError, match="none of the voxels"):
        named(AnnotationState.empty(6), [6], "sofa")
