"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import engine.storage as storage
from engine.api.errors import CacheError
from engine.results import ResultStore, parse_features, write_features
from engine.storage import digest, read_tensors, write_atomic, write_json, write_tensors


def test_round_trip(tmp_path: Path) -> None:
    a = np.arange(6, dtype=np.int16).reshape(2, 3)
    write_tensors(tmp_path / "deep" / "a.safetensors", {"a": a.T}, {"psnr": 27.5, "curve": [[1, 2]]})
    tensors, meta = read_tensors(tmp_path / "deep" / "a.safetensors")
    np.testing.assert_array_equal(tensors["a"], a.T)
    assert meta == {"psnr": 27.5, "curve": [[1, 2]]}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 8, 40, -1])
def test_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": np.zeros(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CacheError, match=r"a\.safetensors") as e:
        read_tensors(path)
    assert "delete the file" in e.value.text()


def test_deeply_nested_metadata_is_refused(tmp_path: Path) -> None:
    save_file({"a": np.zeros(1)}, tmp_path / "a.safetensors", metadata={"meta": "[" * 100_000})
    with pytest.raises(CacheError, match="cannot be read"):
        read_tensors(tmp_path / "a.safetensors")


def test_missing_file_is_a_cache_error(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="cannot be read"):
        read_tensors(tmp_path / "none.safetensors")


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    before = path.read_bytes()

    def fill(tmp: Path) -> None:
        tmp.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CacheError, match="No space left") as e:
        write_atomic(path, fill)
    assert "free some disk space" in e.value.text()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="cannot be written"):
        write_json(tmp_path / "file" / "a.json", {})


def test_nan_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_digest_separates_its_parts() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", b"c") == digest("ab", "c")


def test_cache_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONDENSE_CACHE", str(tmp_path))
    assert storage.default_cache_dir() == tmp_path


def _store(tmp_path: Path) -> ResultStore:
    return ResultStore.of("f00d", tmp_path / "capture", tmp_path / "cache")


def test_results_are_sought_in_the_cache_then_with_the_capture(tmp_path: Path) -> None:
    (tmp_path / "capture").mkdir()
    store = _store(tmp_path)
    meta = {"format": 1, "capture": "f00d"}
    write_tensors(store.write_path("x.safetensors", ship=True), {"a": np.array([1])}, meta)
    found = store.read("x.safetensors", "f00d")
    assert found is not None
    assert found[0]["a"].tolist() == [1]
    write_tensors(store.write_path("x.safetensors"), {"a": np.array([2])}, meta)
    found = store.read("x.safetensors", "f00d")
    assert found is not None
    assert found[0]["a"].tolist() == [2]
    assert store.read("x.safetensors", "beef") is None
    assert store.read("y.safetensors", "f00d") is None


def test_damaged_result_counts_as_absent(tmp_path: Path) -> None:
    store = _store(tmp_path)
    path = store.write_path("x.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff" * 100)
    assert store.read("x.safetensors", "f00d") is None


def test_features_round_trip_and_misfits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    codes = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    scale = np.ones((2, 3), np.float16)
    write_features(path, capture="f00d", encoder="e", maps={1: (codes, scale)}, basis={"mean": np.zeros(4)})
    tensors, _ = read_tensors(path)
    maps, basis = parse_features(tensors, views=2)
    np.testing.assert_array_equal(maps[1][0], codes)
    assert list(basis) == ["mean"]
    for bad in (
        {"codes.1": codes},
        {"codes.9": codes, "scale.9": scale},
        {"codes.x": codes, "scale.x": scale},
        {"codes.1": codes.astype(np.int16), "scale.1": scale},
        {"codes.1": codes, "scale.1": scale[:1]},
        {"codes.1": codes, "scale.1": np.full_like(scale, np.nan)},
        {},
    ):
        with pytest.raises(CacheError, match="stored features"):
            parse_features(bad, views=2)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_tensors_are_as_readable_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_tensors(tmp_path / "a.safetensors", {"a": np.zeros(2, np.float32)})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
