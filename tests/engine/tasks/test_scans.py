"""Every layout is read to the same scans; what is broken is counted, what is empty told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api.errors import CaptureError
from engine.api.jobs import finish
from engine.captures.geometry import GREY
from engine.tasks.readers.detect import list_scans
from engine.tasks.readers.s3dis import NAMES
from engine.tasks.scans import NONE, POINTS, SIDE, Points, Scans, read_scans, scan_of, voxel_edge

from .made_scans import KINDS, LAYOUTS, annotated, s3dis, scannet, scene, shapenetpart


def read(folder: Path, cache: Path) -> Scans:
    return finish(read_scans(folder, list_scans(folder), cache))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout(tmp_path: Path, layout: str) -> None:
    data = read(LAYOUTS[layout](tmp_path / "data"), tmp_path / "cache")
    assert data.test.tolist() == {"shapenetpart": [False] * 3 + [True] * 2}.get(layout, [False, False, True, True])
    assert data.broken == ()
    assert data.grain == ("object" if layout == "shapenetpart" else "scene")
    for scan in data.scans:
        assert scan.pos.min() == 0
        assert scan.label.min() == 0
    if layout == "shapenetpart":
        assert data.names == ("Mug 1", "Mug 2")
        high = data.scans[0].pos[:, 2] > np.median(data.scans[0].pos[:, 2])  # y points up in the files
        assert ((data.scans[0].label == 1) == high).mean() > 0.9
        assert (data.scans[0].rgb == GREY).all()
    else:
        assert data.names == {"s3dis": ("floor", "column")}.get(layout, KINDS)
        tall = data.scans[0].pos[:, 2] > 0.09
        assert ((data.scans[0].label == 1) == tall).all()
        assert (data.scans[0].rgb[tall] == [200, 30, 30]).all()


def test_npz_and_scannet_as_this_program_exports_them(tmp_path: Path) -> None:
    folder = annotated(tmp_path / "data")
    for split in ("train", "test"):  # the second as ScanNet's trio
        path = folder / split / "scan1.ply"
        label = np.repeat([0, 1], [600, 200])
        groups = [{"objectId": k, "segments": [k], "label": name} for k, name in enumerate(KINDS)]
        path.with_name("scan1.segs.json").write_text(json.dumps({"segIndices": label.tolist()}))
        path.with_name("scan1.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    data = read(folder, tmp_path / "cache")
    assert len(data.scans) == 4  # the PLY of the trio is not read once more
    assert data.names == KINDS


def test_second_reading_is_the_same_from_the_cache(tmp_path: Path) -> None:
    folder = s3dis(tmp_path / "data", 2)
    (folder / "Area_1" / "office_1" / "Annotations" / "floor_1.txt").write_text("1 2 three")
    first = read(folder, tmp_path / "cache")
    assert [name for name, _ in first.broken] == ["Area_1/office_1"]
    steps: list[object] = []
    again = finish(read_scans(folder, list_scans(folder), tmp_path / "cache"), steps.append)
    assert steps == []
    assert (again.names, again.broken) == (first.names, first.broken)
    for a, b in zip(first.scans, again.scans, strict=True):
        np.testing.assert_array_equal(a.pos, b.pos)
        np.testing.assert_array_equal(a.label, b.label)
        assert a.voxel == b.voxel
    (kept,) = (tmp_path / "cache" / "tasks").iterdir()
    kept.write_bytes(kept.read_bytes()[:-7])
    assert read(folder, tmp_path / "cache").names == first.names


def test_a_known_slip_of_s3dis_is_read(tmp_path: Path) -> None:
    folder = s3dis(tmp_path / "data", 1)
    file = folder / "Area_5" / "office_0" / "Annotations" / "floor_1.txt"
    file.write_bytes(file.read_bytes() + b"1 1 1 9\x109 9\n")
    assert read(folder, tmp_path / "cache").broken == ()


def test_stairs_are_clutter_and_the_last_area_is_for_measuring(tmp_path: Path) -> None:
    folder = s3dis(tmp_path / "data", 1)
    (folder / "Area_5").rename(folder / "Area_6")
    for area in ("Area_1", "Area_6"):
        place = folder / area / "office_0" / "Annotations"
        (place / "column_1.txt").rename(place / "stairs_1.txt")
    data = read(folder, tmp_path / "cache")
    assert data.names == ("floor", "clutter")
    assert data.test.tolist() == [False, True]
    assert "clutter" in NAMES


def test_rare_names_are_left_out(tmp_path: Path) -> None:
    """A name of one of six training scans is below a fifth."""
    folder = annotated(tmp_path / "data", 6)
    path = folder / "train" / "scan0.classes.json"
    path.write_text(path.read_text().replace("post", "pillar"))
    data = read(folder, tmp_path / "cache")
    assert data.left_out == ("pillar",)
    assert (data.scans[0].label == NONE).sum() == 200


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_split_is_told(tmp_path: Path, split: str) -> None:
    folder = annotated(tmp_path / "data", 1)
    shutil.rmtree(folder / split)
    (folder / split).mkdir()
    with pytest.raises(CaptureError, match=f"has nothing to {split} with"):
        read(folder, tmp_path / "cache")


def test_a_split_of_broken_scans_alone_is_told(tmp_path: Path) -> None:
    folder = scannet(tmp_path / "data", 1)
    for file in (folder / "scans" / "scene0001_00").glob("*.aggregation.json"):
        file.write_text("{}")
    with pytest.raises(CaptureError, match="has nothing to test with"):
        read(folder, tmp_path / "cache")


def test_a_class_of_one_split_alone_is_told(tmp_path: Path) -> None:
    folder = s3dis(tmp_path / "data", 1)
    place = folder / "Area_5" / "office_0" / "Annotations"
    (place / "column_1.txt").rename(place / "beam_1.txt")
    with pytest.raises(CaptureError, match="the class 'beam' has nothing to train with"):
        read(folder, tmp_path / "cache")


def test_no_classes_and_no_layout_are_told(tmp_path: Path) -> None:
    folder = annotated(tmp_path / "data", 1)
    for path in folder.rglob("*.classes.json"):
        path.write_text(path.read_text().replace("post", path.parent.name))
    with pytest.raises(CaptureError, match="holds no classes to tell apart"):
        read(folder, tmp_path / "cache")
    (tmp_path / "other").mkdir()
    for place in (tmp_path / "other", tmp_path / "nowhere"):
        with pytest.raises(CaptureError, match=r"labelled scans|no such folder"):
            list_scans(place)


def test_lists_of_shapenetpart_stay_in_the_folder(tmp_path: Path) -> None:
    folder = shapenetpart(tmp_path / "data")
    path = folder / "train_test_split" / "shuffled_train_file_list.json"
    path.write_text(json.dumps(["shape_data/03797390/../../secret"]))
    with pytest.raises(CaptureError, match="names what is no object"):
        list_scans(folder)
    path.write_text(json.dumps(["shape_data/03797390/a", "shape_data/03797390/gone"]))
    assert [name for name, _ in read(folder, tmp_path / "cache").broken] == ["03797390/gone"]
    (folder / "synsetoffset2category.txt").write_text("Teapot 03797390")
    with pytest.raises(CaptureError, match="no categories of ShapeNetPart"):
        list_scans(folder)


def test_scannet_lists_stay_in_the_folder(tmp_path: Path) -> None:
    folder = scannet(tmp_path / "data", 1)
    (folder / "scannetv2_train.txt").write_text("../../elsewhere")
    with pytest.raises(CaptureError, match="names what is no scan"):
        list_scans(folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(LAYOUTS)), st.integers(0, 3), st.binary(max_size=60), st.integers(0, 900), st.booleans())
def test_damaged_files_are_passed_over_or_told(
    tmp_path_factory: pytest.TempPathFactory, layout: str, which: int, noise: bytes, at: int, cut: bool
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    folder = LAYOUTS[layout](root / "data")
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    path = files[which * len(files) // 4]
    data = path.read_bytes()
    path.write_bytes(data[:at] + noise + (b"" if cut else data[at + len(noise) :]))
    try:
        found = read(folder, root / "cache")
    except CaptureError:
        return
    named = 3 if path.name == "scannetv2_train.txt" else 4  # a list that is cut short names fewer
    assert len(found.scans) + len(found.broken) >= named
    for scan in found.scans:
        assert np.isfinite(scan.pos).all()
        assert scan.label.max() < len(found.names)


def test_scans_are_thinned_and_refused() -> None:
    pos, rgb, label = scene(np.random.default_rng(0), POINTS)
    names: dict[str, int] = {}
    scan = scan_of("a", Points(pos, rgb, label, KINDS), names, "scene")
    assert len(scan.pos) == POINTS
    assert names == {"floor": 0, "post": 1}
    for bad, told in (
        (Points(pos * np.nan, rgb, label, KINDS), "no scan"),
        (Points(pos * 0, rgb, label, KINDS), "no scan"),
        (Points(pos, rgb, np.full(len(label), NONE), KINDS), "no labels"),
    ):
        with pytest.raises(CaptureError, match=told):
            scan_of("b", bad, names, "scene")


def test_voxels_are_as_fine_as_in_training() -> None:
    """150,000 of them fill a room of 4 x 5 x 3 m: 7.4 cm; 24 lie along an object."""
    corners = np.array([[0, 0, 0], [4.0, 5.0, 3.0]])
    assert voxel_edge(corners, "scene") == pytest.approx((60 / 150_000) ** (1 / 3))
    assert voxel_edge(corners, "object") == pytest.approx(5 / SIDE)
    many = np.random.default_rng(0).random((60_000, 3))
    assert voxel_edge(many, "scene") > (1 / 150_000) ** (1 / 3)  # fewer than fill the box
