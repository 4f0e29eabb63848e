"""Pictures without a window or X, each in a process of its own, for EGL and Qt do not share one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shaders import loader

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
from app.snapshot import camera_of, render_snapshot
from fakes import cast_photo, cosine, pseudo_features, room_scene, room_volume
scene, volume = room_scene(8), room_volume()
source = (3.5, 3.05, 1.25)
photos = {{v.index: cast_photo(v.camera) for v in scene.views}}
out = {{}}
for name, options in dict(
    colour=dict(), again=dict(), light=dict(theme="light"),
    features=dict(layer="features", voxel_rgb=pseudo_features(volume.centres_w())),
    heat=dict(layer="heat", voxel_heat=cosine(volume.centres_w(), np.array(source)), source_pos_w=source),
    points=dict(layer="points"), top=dict(view="top"), through=dict(view=2), photo=dict(layer="photo", view=2),
    digits=dict(view="2"),
).items():
    given = dict(layer="colour", view="home", size=(320, 200), volume=volume, photos=photos)
    out[name] = render_snapshot(scene, **{{**given, **options}})
out["at"] = camera_of(scene, "home", (320, 200)).project(np.array([[1.35, 0.7, 0.75]]))[0][0]
for bad in (dict(layer="nonsense"), dict(view="below"), dict(view=99), dict(theme="pink"),
            dict(layer="heat", voxel_heat=np.zeros(3, np.float32))):
    try:
        render_snapshot(scene, volume=volume, **bad)
    except ValueError as e:
        assert str(e)
    else:
        raise SystemExit(f"{{bad}} was taken")
np.savez({out!r}, **out)
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    file = tmp_path_factory.mktemp("snapshot") / "pictures.npz"
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    code = SCRIPT.format(folder=str(Path(__file__).parent), out=str(file))
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=240)
    if "no EGL to draw with" in done.stderr:
        pytest.skip("this machine has no EGL")
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(file, allow_pickle=False) as data:
        return {k: data[k] for k in data.files}


def test_the_scene_is_where_its_camera_says(pictures: dict[str, np.ndarray]) -> None:
    x, y = pictures["at"].round().astype(int)
    r, g, b, a = pictures["colour"][y, x].astype(int)
    assert (pictures["colour"].shape, a) == ((200, 320, 4), 255)
    assert r > g + 50
    assert r > b + 50


def test_the_same_call_gives_the_same_picture(pictures: dict[str, np.ndarray]) -> None:
    assert np.array_equal(pictures["colour"], pictures["again"])
    assert np.array_equal(pictures["through"], pictures["digits"])


@pytest.mark.parametrize("name", ["light", "features", "heat", "points", "top", "through"])
def test_each_layer_and_view_differs(pictures: dict[str, np.ndarray], name: str) -> None:
    off = np.abs(pictures[name].astype(int) - pictures["colour"].astype(int)).max(axis=2)
    assert (off > 12).mean() > 0.05


def test_the_volume_looks_like_the_photo_from_the_photos_place(pictures: dict[str, np.ndarray]) -> None:
    photo, scene = pictures["photo"].astype(float), pictures["through"].astype(float)
    inner = (slice(10, 190), slice(40, 280))
    assert np.abs(photo[inner] - scene[inner])[..., :3].mean() < 18


@pytest.mark.parametrize("name", ["volume", "composite", "points", "segments", "quads", "markers", "photo"])
def test_shaders_resolve_their_includes_once(name: str) -> None:
    vert, frag = loader.program(name, MAX_SAMPLES=8, MAX_LEAPS=8)
    for source in (vert, frag):
        assert "#include" not in source
        assert source.count("vec3 backdrop(") <= 1
        assert source.startswith("#define MAX_SAMPLES 8\n")


def test_a_missing_shader_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.frag"):
        loader.load("nothing.frag")
