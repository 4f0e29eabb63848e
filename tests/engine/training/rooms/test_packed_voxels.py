"""Packed voxels of rooms: what is in them, that bad ones are refused, and that a training learns from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.api.errors import CacheError, CaptureError, QueryError
from engine.api.jobs import finish
from engine.encoders.mobile import embedded_head, embedded_trunk, load_default
from engine.encoders.volume import VolumeConfig
from engine.storage import read_tensors, write_tensors
from engine.training.config import TrainConfig
from engine.training.rooms.generate import Options as RoomOptions
from engine.training.rooms.generate import generate
from engine.training.rooms.shards import open_shards
from engine.training.run import train
from engine.training.scenes import prepare
from engine.training.trainer import Trainer
from engine.training.voxels import Options, VoxelScene, main, pack, read_voxels, voxel_scene

CPU = torch.device("cpu")
ENCODER = load_default(CPU)
CONFIG = TrainConfig(
    steps=4, bare=1.0, frozen=1.0, head_rate=0.0, warm_up=1, correspondences=48, lift_views=2, pairs=8,
    validate_every=4, cells=30_000, volume=VolumeConfig(widths=(8, 8, 8)),
)  # fmt: skip


@pytest.fixture(scope="module")
def rooms(
    make_boxes: Callable[[Path], Path],
    make_photos: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    base = tmp_path_factory.mktemp("rooms")
    options = RoomOptions((make_boxes(base),), make_photos(base), base / "out", rooms=2, views=9, width=96, objects=0.0)
    generate(replace(options, workers=1))
    return base / "out"


@pytest.fixture(scope="module")
def scene(rooms: Path) -> VoxelScene:
    return finish(voxel_scene(open_shards(rooms)[0].load(), ENCODER, CONFIG.cells))


@pytest.fixture(scope="module")
def packed(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed")
    assert pack(Options((rooms,), out, cells=CONFIG.cells, workers=1)) == 2
    return out


def test_voxels_and_what_photos_say_are_those_of_a_prepared_scene(rooms: Path, scene: VoxelScene) -> None:
    whole = finish(prepare(open_shards(rooms)[0].load(), embedded_trunk(CPU), CONFIG, CPU, None))
    assert whole is not None
    assert torch.equal(scene.surface, whole.surface)
    assert torch.equal(scene.index, whole.pyramid.levels[0].coords[:, 1:])
    said = finish(whole.said_by_all(embedded_head(CPU)))  # held-out photos too
    both = (said.abs().amax(dim=1) > 0) & (scene.said.abs().amax(dim=1) > 0)
    assert float(both.float().mean()) > 0.5
    assert float(F.cosine_similarity(said[both], scene.said[both], dim=1).mean()) > 0.95
    turned = scene.turned(np.random.default_rng(0), 3)
    assert len(turned.levels) == 3
    assert len(turned.levels[0]) == len(scene.index)


def test_packed_by_workers_as_made_here(packed: Path, scene: VoxelScene) -> None:
    found = read_voxels(packed, ENCODER.id)
    assert [s.name for s in found] == sorted(s.name for s in found)
    (same,) = (s for s in found if s.name == scene.name)
    assert torch.equal(same.index, scene.index)
    torch.testing.assert_close(same.surface, scene.surface, atol=1e-3, rtol=0)
    torch.testing.assert_close(same.said, scene.said, atol=2e-3, rtol=0)


def test_what_is_there_is_not_packed_again(
    rooms: Path, packed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = sorted(packed.glob("*.safetensors"))
    before = first.stat().st_mtime_ns
    second.unlink()
    arguments = ["--rooms", str(rooms), "--out", str(packed), "--cells", str(CONFIG.cells), "--workers", "1"]
    main(arguments)
    captured = capsys.readouterr()
    assert "2 rooms" in captured.out
    assert "2 of 2 rooms" in captured.err
    assert first.stat().st_mtime_ns == before
    assert second.exists()
    with pytest.raises(SystemExit) as stopped:
        main(["--rooms", str(tmp_path), "--out", str(packed)])
    assert stopped.value.code == 2
    assert "holds no rooms" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("index", lambda x: x[:-1], "shapes"),
        ("index", lambda x: x - 1000, "outside"),
        ("index", lambda x: x.astype(np.float32), "outside"),
        ("index", lambda x: x[:, :2], "shapes"),
        ("surface", lambda x: x[:, :3], "shapes"),
        ("surface", lambda x: x * np.float16("nan"), "finite"),
        ("said", lambda x: x[:, 0], "shapes"),
        ("said", None, "said"),
    ],
)
def test_damaged_ones_are_refused_by_name(
    packed: Path, tmp_path: Path, name: str, change: Callable[[np.ndarray], np.ndarray] | None, said: str
) -> None:
    tensors, meta = read_tensors(min(packed.glob("*.safetensors")))
    if change is None:
        del tensors[name]
    else:
        tensors[name] = change(tensors[name])
    write_tensors(tmp_path / "bad.safetensors", tensors, meta)
    with pytest.raises(CaptureError, match=r"bad\.safetensors") as e:
        read_voxels(tmp_path, ENCODER.id)
    assert said in e.value.text()


def test_truncated_foreign_and_missing_ones_are_refused(packed: Path, tmp_path: Path) -> None:
    data = min(packed.glob("*.safetensors")).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CacheError, match="cut"):
        read_voxels(tmp_path, ENCODER.id)
    write_tensors(tmp_path / "cut.safetensors", {"x": np.zeros(3)}, {"format": "else"})
    with pytest.raises(CaptureError, match="format else"):
        read_voxels(tmp_path, ENCODER.id)
    with pytest.raises(CaptureError, match="another 2D encoder"):
        read_voxels(packed, "default-0123")
    with pytest.raises(CaptureError, match="holds no packed voxels"):
        read_voxels(tmp_path / "none", ENCODER.id)


def test_bare_steps_draw_from_both_kinds_and_only_while_the_head_rests(rooms: Path, scene: VoxelScene) -> None:
    whole = finish(prepare(open_shards(rooms)[1].load(), embedded_trunk(CPU), CONFIG, CPU, None))
    assert whole is not None
    for head_rate, kinds in ((0.0, 2), (0.05, 1)):
        config = replace(CONFIG, head_rate=head_rate, frozen=0.0)
        trainer = Trainer(config, [whole], embedded_head(CPU), None, CPU, [scene])
        rng = np.random.default_rng(0)
        drawn = {len(finish(trainer._bare_scene(rng))[0]) for _ in range(12)}
        assert len(drawn) == kinds
        assert len(whole.surface) in drawn


def test_a_training_learns_from_them_and_goes_on_with_the_same_alone(rooms: Path, packed: Path, tmp_path: Path) -> None:
    answer = finish(train([rooms], tmp_path, CONFIG, CPU, voxels=[packed]))
    assert answer["packed"] == 2
    assert answer["steps"] == 4
    with pytest.raises(QueryError, match="other scenes"):
        finish(train([rooms], tmp_path, CONFIG, CPU, resume=True))
    finish(train([rooms], tmp_path, CONFIG, CPU, resume=True, voxels=[packed]))
