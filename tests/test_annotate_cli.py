"""Annotations by the command line, as a process: a file in, numbers, files out, and mistakes as one message."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.annotations.formats.content import Content
from engine.annotations.formats.npz import read_npz, write_npz
from engine.annotations.places import VoxelPlaces
from engine.annotations.state import AnnotationState
from engine.annotations.store import annotated_grids, open_annotations, read_annotations
from engine.api.annotations import OrientedBox
from engine.captures import open_capture
from engine.grid.radiance import RadianceGrid
from tests.conftest import write_tiny_capture
from tests.engine.annotations.made import CHAIR, TABLE
from tests.test_repository_cli import condense


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A fitted capture, its cache, and a file that labels its cube."""
    folder = tmp_path_factory.mktemp("annotate")
    path, cache = write_tiny_capture(folder / "tiny"), folder / "cache"
    condense("fit", path, "--seconds", "1", "--voxels", "20000", "--json", cache=cache)
    capture = open_capture(path)
    grid = RadianceGrid.load(cache / capture.fingerprint / "grid.safetensors")
    state = AnnotationState.empty(len(grid.index))
    for c in (CHAIR, TABLE):
        state.apply(state.put(c))
    pos = grid.centres_w()
    cube = np.flatnonzero((np.abs(pos[:, :2]) < 0.6).all(axis=1) & (pos[:, 2] > 0.1))
    state.apply(state.paint(cube, 1, 1))
    state.apply(state.put(OrientedBox(1, 1, (0, 0, 0.5), (1, 1, 1), instance=1)))
    file = folder / "in.npz"
    content = Content("tiny", capture.fingerprint, VoxelPlaces.of(grid), np.zeros((len(pos), 3), np.uint8), state)
    write_npz(file, content)
    return path, cache, file


@pytest.mark.slow
def test_in_looked_over_and_out_again(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    capture, cache, file = made
    before = sorted(p.relative_to(capture) for p in capture.rglob("*"))
    run = condense("annotate", "stats", capture, cache=cache, code=2)
    assert "nothing is annotated yet" in run.stderr
    answer = json.loads(condense("annotate", "import", capture, file, "--json", cache=cache).stdout)
    state = read_npz(file)
    labelled = int((state.labels > 0).sum())
    assert (answer["voxels"], answer["things"], answer["classes"]) == (labelled, 1, 2)
    stats = json.loads(condense("annotate", "stats", capture, "--other", file, "--json", cache=cache).stdout)
    assert stats["labelled"] == labelled
    assert [r["class"] for r in stats["rows"]] == ["chair", "table"]
    assert stats["difference"]["iou"] == {"chair": 1.0}
    for name, more in (("o.json", ()), ("c.json", ("--format", "coco"))):
        out = tmp_path / name
        told = json.loads(condense("annotate", "export", capture, out, *more, "--json", cache=cache).stdout)
        assert out.exists()
        assert told["voxels"] == labelled
        assert bool(told["lost"]) == (name != "o.json")
    back = json.loads((tmp_path / "o.json").read_text())
    assert sum(run[3] for run in back["runs"]) == labelled
    assert sorted(p.relative_to(capture) for p in capture.rglob("*")) == before
    (folder,) = annotated_grids(cache, open_capture(capture).fingerprint)
    places, kept = read_annotations(folder)
    held = open_annotations(folder, places)
    run = condense("annotate", "import", capture, file, cache=cache, code=2)
    assert "another window" in run.stderr
    held.close()
    assert kept.palette == [CHAIR, TABLE]


@pytest.mark.slow
def test_two_files_are_compared(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    capture, cache, file = made
    other = tmp_path / "other.npz"
    with np.load(file) as z:
        arrays = dict(z)
    cube = np.flatnonzero(arrays["labels"])
    arrays["labels"][cube[: len(cube) // 4]] = 2
    np.savez(other, **arrays)
    answer = json.loads(condense("annotate", "diff", capture, file, other, "--json", cache=cache).stdout)
    kept = len(cube) - len(cube) // 4
    rows = {r["class"]: r for r in answer["rows"]}
    assert (rows["chair"]["a"], rows["chair"]["b"], rows["chair"]["both"]) == (len(cube), kept, kept)
    assert rows["chair"]["iou"] == pytest.approx(kept / len(cube), abs=1e-4)
    assert rows["table"]["iou"] == 0
    assert answer["differ"] == len(cube) // 4
    assert answer["agreed"] == pytest.approx(kept / len(cube), abs=1e-4)
    arrays["meta"] = np.frombuffer(
        bytes(arrays["meta"]).replace(open_capture(capture).fingerprint.encode(), b"another"), np.uint8
    )
    np.savez(other, **arrays)
    run = condense("annotate", "diff", capture, file, other, cache=cache, code=2)
    assert "another capture" in run.stderr
    assert "--by-position" in run.stderr
    run = condense("annotate", "diff", capture, file, other, "--by-position", cache=cache)
    assert "labelled alike" in run.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("export", "CAPTURE", "labels.xyz"), "does not tell its format"),
        (("import", "CAPTURE", "nowhere.json"), "no such file"),
        (("import", "CAPTURE", "BROKEN"), "to mend"),
        (("stats", "/nowhere"), "/nowhere"),
        (("diff", "CAPTURE", "nowhere.json", "BROKEN"), "no such file"),
    ],
)
def test_mistakes_are_one_message(
    made: tuple[Path, Path, Path], tmp_path: Path, args: tuple[str, ...], says: str
) -> None:
    capture, cache, _ = made
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "condense-annotations", "version": 7}')
    named = {"CAPTURE": str(capture), "BROKEN": str(broken)}
    run = condense("annotate", *(named.get(a, a) for a in args), cache=cache, code=2)
    assert says in run.stderr
    assert "Traceback" not in run.stderr
