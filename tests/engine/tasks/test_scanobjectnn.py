"""ScanObjectNN's HDF5 files are read; damaged ones and empty classes are told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api.errors import CaptureError, ResourceError
from engine.api.jobs import finish
from engine.tasks.readers.scanobjectnn import is_scanobjectnn, read_hdf5, read_scanobjectnn

h5py = pytest.importorskip("h5py")
POINTS = 64


def write(path: Path, labels: list[int], seed: int = 0) -> None:
    """Objects of which those of class 4 are tall, along y."""
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(len(labels), POINTS, 3)).astype(np.float32)
    data[np.array(labels) == 4, :, 1] *= 5
    with h5py.File(path, "w") as f:
        f["data"], f["label"] = data, np.array(labels, np.int32)
        f["mask"] = np.full((len(labels), POINTS), -1, np.int32)


def folder(root: Path, train: list[int], test: list[int]) -> Path:
    root.mkdir(exist_ok=True)
    write(root / "training_objectdataset.h5", train)
    write(root / "test_objectdataset.h5", test, 1)
    return root


def test_reads_objects_stood_up(tmp_path: Path) -> None:
    place = folder(tmp_path / "d", [2, 4, 4], [4, 2])
    assert is_scanobjectnn(place)
    assert not is_scanobjectnn(tmp_path)
    data = finish(read_scanobjectnn(place, "auto"))
    assert data.names == ("box", "chair")
    assert data.label.tolist() == [0, 1, 1, 1, 0]
    assert data.test.tolist() == [False] * 3 + [True] * 2
    size = np.ptp(data.shapes[1].pos.astype(float), axis=0)
    assert size[2] == pytest.approx(1, abs=1e-2)
    assert size[:2].max() < 0.6


def test_objects_without_shape_are_counted(tmp_path: Path) -> None:
    place = folder(tmp_path / "d", [2, 4, 99], [4, 2])
    with h5py.File(place / "training_objectdataset.h5", "r+") as f:
        f["data"][0] = np.nan
    write(place / "training_objectdataset.h5", [2, 2, 4, 99])
    with h5py.File(place / "training_objectdataset.h5", "r+") as f:
        f["data"][0] = np.nan
    data = finish(read_scanobjectnn(place, "auto"))
    assert [name for name, _ in data.broken] == [f"training_objectdataset.h5, object {n}" for n in (0, 3)]
    assert len(data.shapes) == 4


def test_empty_classes_and_splits_are_told(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="the class 'chair' has nothing to test with"):
        finish(read_scanobjectnn(folder(tmp_path / "a", [2, 4], [2]), "auto"))
    with pytest.raises(CaptureError, match="a split is empty"):
        finish(read_scanobjectnn(folder(tmp_path / "b", [2, 4], [77]), "auto"))
    place = folder(tmp_path / "c", [2], [2])
    (place / "test_objectdataset.h5").rename(place / "training_more.h5")
    with pytest.raises(CaptureError, match="has no one file to train with"):
        finish(read_scanobjectnn(place, "auto"))


def test_without_h5py_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ResourceError, match="h5py") as e:
        read_hdf5(tmp_path / "a.h5")
    assert "condense-studio[hdf5]" in str(e.value.mend)


def test_other_files_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", [1, 2])
    with h5py.File(tmp_path / "b.h5", "w") as f:
        f["data"] = h5py.ExternalLink("a.h5", "/data")
        f["label"] = h5py.ExternalLink("a.h5", "/label")
    with pytest.raises(CaptureError, match="in another file"):
        read_hdf5(tmp_path / "b.h5")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.integers(0, 4000), st.booleans())
def test_damaged_files_are_refused_or_read(tmp_path: Path, noise: bytes, at: int, cut: bool) -> None:
    whole = tmp_path / "whole.h5"
    if not whole.exists():
        write(whole, [1, 2, 3])
    data = whole.read_bytes()
    (tmp_path / "a.h5").write_bytes(data[:at] + noise + (b"" if cut else data[at + len(noise) :]))
    try:
        points, label = read_hdf5(tmp_path / "a.h5")
    except CaptureError:
        return
    assert points.shape[1:] == (POINTS, 3)
    assert len(points) == len(label)
