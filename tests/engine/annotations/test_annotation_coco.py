"""COCO files of a small capture: checked by pycocotools, and brought back onto the voxels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from engine.annotations.formats.coco import write_coco
from engine.annotations.formats.coco_read import read_coco
from engine.annotations.formats.content import Content, bring
from engine.annotations.formats.rle import of_runs, runs_of_text, to_runs
from engine.annotations.places import VoxelPlaces
from engine.annotations.state import AnnotationState
from engine.api.annotations import Note
from engine.api.errors import AnnotationError
from engine.api.jobs import finish
from engine.captures import Capture, open_capture
from engine.grid.radiance import RadianceGrid
from engine.training.rooms.grid import fused_grid
from tests.conftest import write_tiny_capture
from tests.engine.annotations.made import CHAIR, TABLE

mask_utils = pytest.importorskip("pycocotools.mask")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
@settings(max_examples=60)
def test_runs_are_those_of_pycocotools(mask: np.ndarray) -> None:
    runs = to_runs(mask)
    assert (of_runs(runs, *mask.shape) == mask).all()
    theirs = mask_utils.frPyObjects({"size": list(mask.shape), "counts": runs}, *mask.shape)
    assert (mask_utils.decode(theirs) == mask).all()
    encoded = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert runs_of_text(encoded["counts"].decode()) == runs


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
@settings(max_examples=60)
def test_any_text_is_runs_or_refused(text: str) -> None:
    try:
        runs = runs_of_text(text)
    except ValueError:
        return
    assert all(isinstance(n, int) for n in runs)
    assert bool(runs) == bool(text)


@dataclass
class Made:
    folder: Path
    capture: Capture
    grid: RadianceGrid
    state: AnnotationState
    lost: list[str]

    @property
    def file(self) -> Path:
        return self.folder / "out" / "labels.json"

    def read(self, path: Path | None = None) -> tuple[AnnotationState, tuple[str, ...]]:
        incoming = finish(read_coco(path or self.file, self.capture, self.grid))
        state = AnnotationState.empty(len(self.grid.index))
        brought = bring(incoming, state, VoxelPlaces.of(self.grid), self.capture.fingerprint, by_position=False)
        state.apply(brought.edit)
        return state, brought.told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The cube is a chair of instance 5, a quarter of the floor a table without instance."""
    folder = tmp_path_factory.mktemp("coco")
    capture = open_capture(write_tiny_capture(folder / "tiny", width=192, height=144))
    grid = finish(fused_grid(capture, 60_000))
    state = AnnotationState.empty(len(grid.index))
    for c in (CHAIR, TABLE):
        state.apply(state.put(c))
    pos = grid.centres_w()
    cube = (np.abs(pos[:, :2]) < 0.6).all(axis=1) & (pos[:, 2] > 0.08)
    floor = (pos[:, 2] < 0.06) & (pos[:, :2] > 0.6).all(axis=1)
    state.apply(state.paint(np.flatnonzero(cube), 1, 5))
    state.apply(state.paint(np.flatnonzero(floor), 2))
    state.apply(state.put(Note(1, "hello")))
    out = Made(folder, capture, grid, state, [])
    content = Content("tiny", capture.fingerprint, VoxelPlaces.of(grid), np.zeros((len(pos), 3), np.uint8), state)
    out.lost = finish(write_coco(out.file, content, capture, grid))
    return out


def test_pycocotools_reads_the_masks(made: Made) -> None:
    from pycocotools.coco import COCO

    coco = COCO(str(made.file))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["chair", "table"]
    images = coco.loadImgs(coco.getImgIds())
    assert [i["file_name"] for i in images] == [v.name for v in made.capture.views]
    chairs = coco.loadAnns(coco.getAnnIds(catIds=[1]))
    assert len(chairs) == len(images)
    for a in chairs:
        mask = coco.annToMask(a)
        assert mask.shape == (144, 192)
        assert mask.sum() == a["area"]
        assert mask_utils.toBbox(coco.annToRLE(a)).tolist() == a["bbox"]
        assert (a["iscrowd"], a["instance_id"]) == (0, 5)
        # where the cube is, by its true outline from the depth of a ray-cast
        view = made.capture.views[a["image_id"] - 1]
        depth = view.read(depth=True).depth_z
        assert depth is not None
        pos = view.camera.unproject(view.camera.pixel_grid(), depth.ravel())
        truth = ((np.abs(pos[:, :2]) < 0.52).all(axis=1) & (pos[:, 2] > 0.05)).reshape(mask.shape)
        assert (truth & (mask > 0)).sum() / (truth | (mask > 0)).sum() > 0.8
    assert all(a["iscrowd"] == 1 for a in coco.loadAnns(coco.getAnnIds(catIds=[2])))
    assert any("1 notes" in text for text in made.lost)


def test_the_panoptic_pictures_say_the_same(made: Made) -> None:
    told = json.loads((made.folder / "out" / "labels_panoptic.json").read_text())
    coco = json.loads(made.file.read_text())
    for entry in told["annotations"]:
        rgb = np.asarray(Image.open(made.folder / "out" / "labels_panoptic" / entry["file_name"])).astype(int)
        ids = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
        assert set(np.unique(ids)) - {0} == {s["id"] for s in entry["segments_info"]}
        masks = [a for a in coco["annotations"] if a["image_id"] == entry["image_id"]]
        for segment, a in zip(entry["segments_info"], masks, strict=True):
            assert (ids == segment["id"]).sum() == segment["area"] == a["area"]
            runs = a["segmentation"]
            assert (of_runs(runs["counts"], *runs["size"]) == (ids == segment["id"])).all()


def test_what_comes_back_is_near_to_what_went_out(made: Made) -> None:
    back, told = made.read()
    assert [c.name for c in back.palette] == ["chair", "table"]
    assert [c.rgb for c in back.palette] == [CHAIR.rgb, TABLE.rgb]
    seen = back.labels > 0
    assert (back.labels[seen] == made.state.labels[seen]).mean() > 0.9  # at borders, what lies half within
    both = seen & (made.state.labels > 0)
    assert (back.labels[both] == made.state.labels[both]).all()
    assert set(back.instances[back.labels == 1]) == {5}
    assert seen[made.state.labels > 0].mean() > 0.6
    assert any("Masks were lifted" in text for text in told)


def test_masks_of_others_are_joined_by_what_they_overlap(made: Made, tmp_path: Path) -> None:
    """Compressed runs and polygons, without our instance numbers, in images that are named by their last part."""
    coco = json.loads(made.file.read_text())
    for image in coco["images"]:
        image["file_name"] = Path(image["file_name"]).name
    for n, a in enumerate(coco["annotations"]):
        del a["instance_id"]
        a["iscrowd"] = 0
        rle = mask_utils.frPyObjects(a["segmentation"], *a["segmentation"]["size"])
        a["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
        if n == 0:
            x, y, w, h = a["bbox"]
            a["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    for c in coco["categories"]:
        del c["color"]
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(coco))
    back, told = made.read(path)
    assert len(set(back.instances[back.labels == 1])) <= 2
    assert any("joined" in text for text in told)
    seen = (back.labels > 0) & (made.state.labels > 0)
    assert (back.labels[seen] == made.state.labels[seen]).mean() > 0.9


def test_files_that_are_wrong_are_told(made: Made, tmp_path: Path) -> None:
    good = made.file.read_text()
    path = tmp_path / "bad.json"

    def bad(change: str, key: str, value: object) -> str:
        coco = json.loads(good)
        coco[change][0][key] = value
        return json.dumps(coco)

    for text in (
        "[]",
        "{}",
        good[:-9],
        bad("annotations", "category_id", 99),
        bad("annotations", "instance_id", -4),
        bad("annotations", "segmentation", {"size": [144, 192], "counts": [5]}),
        bad("annotations", "segmentation", {"size": [1, 1], "counts": [1]}),
        bad("annotations", "segmentation", {"size": [144, 192], "counts": "~~"}),
        bad("annotations", "segmentation", [[1, 2, 3]]),
        bad("annotations", "segmentation", None),
        bad("images", "width", 5000),
        bad("images", "width", 0),
        bad("categories", "name", ""),
        json.dumps({**json.loads(good), "images": [{"id": 1, "file_name": "x.jpg", "width": 9, "height": 9}]}),
    ):
        path.write_text(text)
        with pytest.raises(AnnotationError) as e:
            made.read(path)
        assert str(path) in e.value.text()
