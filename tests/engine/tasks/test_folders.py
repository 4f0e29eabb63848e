"""Both layouts are read alike; broken items are counted, empty classes told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import CaptureError
from engine.api.jobs import finish
from engine.tasks.folders import list_items, read_classes

from .made import KINDS, class_folder


@pytest.mark.parametrize("split_first", [False, True])
def test_reads_both_layouts(tmp_path: Path, split_first: bool) -> None:
    folder = class_folder(tmp_path / "data", 2, 1, split_first=split_first)
    (folder / "README.txt").write_text("about")
    data = finish(read_classes(folder, "auto", tmp_path / "cache"))
    assert data.names == KINDS
    assert data.label.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.test.tolist() == [False, False, True] * 3
    assert data.broken == ()


def test_second_reading_is_the_same_from_the_cache(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "data", 1, 1)
    (folder / "ball" / "train" / "z.off").write_text("OFF\n3 1 0\n")
    first = finish(read_classes(folder, "auto", tmp_path / "cache"))
    steps = []
    again = finish(read_classes(folder, "auto", tmp_path / "cache"), steps.append)
    assert steps == []
    assert again.broken == first.broken
    assert len(first.broken) == 1
    for a, b in zip(first.shapes, again.shapes, strict=True):
        np.testing.assert_array_equal(a.pos, b.pos)
        np.testing.assert_array_equal(a.rgb, b.rgb)


def test_damaged_cache_is_made_again(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "data", 1, 1)
    first = finish(read_classes(folder, "auto", tmp_path / "cache"))
    (kept,) = (tmp_path / "cache" / "tasks").iterdir()
    kept.write_bytes(kept.read_bytes()[:-7])
    again = finish(read_classes(folder, "auto", tmp_path / "cache"))
    np.testing.assert_array_equal(first.shapes[-1].pos, again.shapes[-1].pos)


def test_broken_items_are_counted_and_passed_over(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "data", 2, 1)
    broken = folder / "box" / "train" / "box_0000.off"
    broken.write_bytes(b"OFF\n8 12 0\n0 0")
    data = finish(read_classes(folder, "auto", tmp_path / "cache"))
    assert [path for path, _ in data.broken] == [str(broken)]
    assert len(data.shapes) == 8


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_split_of_a_class_is_told(tmp_path: Path, split: str) -> None:
    folder = class_folder(tmp_path / "data", 1, 1)
    for file in (folder / "pole" / split).iterdir():
        file.unlink()
    with pytest.raises(CaptureError, match=f"'pole' has nothing to {split} with"):
        list_items(folder)


def test_a_class_of_broken_files_alone_is_told(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "data", 1, 1)
    (folder / "pole" / "test" / "pole_0000.off").write_text("no")
    with pytest.raises(CaptureError, match="nothing of the class 'pole' to test with could be read"):
        finish(read_classes(folder, "auto", tmp_path / "cache"))


def test_no_folder_and_no_classes_are_told(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such folder"):
        list_items(tmp_path / "nowhere")
    (tmp_path / "only").mkdir()
    with pytest.raises(CaptureError, match="no classes to tell apart"):
        list_items(tmp_path)
