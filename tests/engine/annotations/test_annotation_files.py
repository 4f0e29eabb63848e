"""Annotation files: round trips by property, what is lost is told, independent readers, and files that are wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.annotations.boxes import corners_w
from engine.annotations.formats.boxes import read_kitti, read_labelcloud, write_kitti, write_labelcloud
from engine.annotations.formats.content import Content, bring
from engine.annotations.formats.npz import read_npz, write_npz
from engine.annotations.formats.own import read_own, write_own
from engine.annotations.formats.ply import read_ply, write_ply
from engine.annotations.formats.scannet import read_scannet, write_scannet
from engine.annotations.palette import classes_edit, fresh_colour, read_classes, write_classes
from engine.annotations.places import VoxelPlaces
from engine.annotations.state import AnnotationState
from engine.annotations.store import open_annotations
from engine.api.annotations import LabelClass, Landmark, Note, OrientedBox, Polyline
from engine.api.errors import AnnotationError
from engine.grid.spec import GridSpec
from tests.engine.annotations.made import CHAIR, TABLE, document, places

VOXELS = 60
PLACES = places(VOXELS)
QUARTER = (0.5, 0.5, 0.5, 0.5)  # x to y to z to x
finite = st.floats(-1e3, 1e3, allow_nan=False)
triples = st.tuples(finite, finite, finite)
sizes = st.tuples(*[st.floats(1e-3, 1e3)] * 3)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@st.composite
def annotated(draw: st.DrawFn, *, boxes: bool = True) -> AnnotationState:
    """Any annotations of the 60 voxels."""
    state = AnnotationState.empty(VOXELS)
    names = draw(st.lists(texts.filter(lambda t: t.strip() == t), min_size=1, max_size=4, unique_by=str.casefold))
    for n, name in enumerate(names, start=1):
        state.apply(state.put(LabelClass(3 * n, name, fresh_colour(n), draw(st.none() | st.just(n)))))
    ids = [0, *(c.id for c in state.palette)]
    label = st.sampled_from(ids)
    for _ in range(draw(st.integers(0, 4))):
        rows = draw(st.lists(st.integers(0, VOXELS - 1), min_size=1, max_size=20))
        state.apply(state.paint(rows, draw(label), draw(st.integers(0, 2**31 - 1))))
    for n in range(1, draw(st.integers(0, 3)) + 1 if boxes else 1):
        q = np.add(draw(st.tuples(*[st.floats(-1, 1)] * 4)), (1e-3, 0, 0, 0))
        q = tuple((q / np.linalg.norm(q)).tolist())
        state.apply(state.put(OrientedBox(n, draw(label), draw(triples), draw(sizes), q, draw(st.integers(0, 9)))))
    if boxes:
        points = tuple(draw(st.lists(triples, min_size=1, max_size=3)))
        state.apply(
            state.put(Polyline(5, draw(label), points, draw(st.booleans()), draw(st.sampled_from(["", "edge 1"]))))
        )
        state.apply(state.put(Landmark(7, draw(label), draw(texts), draw(triples))))
        state.apply(state.put(Note(2, draw(texts), draw(st.none() | triples))))
    return state


def content(state: AnnotationState, where: VoxelPlaces = PLACES) -> Content:
    rgb = np.arange(3 * len(where), dtype=np.uint8).reshape(-1, 3)
    return Content("room", "print", where, rgb, state)


def brought(incoming: object, where: VoxelPlaces = PLACES, fingerprint: str = "print", **how: bool) -> AnnotationState:
    state = AnnotationState.empty(len(where))
    state.apply(bring(incoming, state, where, fingerprint, by_position=how.get("by_position", False)).edit)
    return state


fast = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(annotated())
@fast
def test_our_json_and_npz_lose_nothing(tmp_path: Path, state: AnnotationState) -> None:
    for name, write, read in (("a.json", write_own, read_own), ("a.npz", write_npz, read_npz)):
        assert write(tmp_path / name, content(state)) == []
        assert brought(read(tmp_path / name)).same_as(state)


@given(annotated())
@fast
def test_ply_keeps_labels_and_names_and_tells_the_rest(tmp_path: Path, state: AnnotationState) -> None:
    path = tmp_path / "a.ply"
    lost = write_ply(path, content(state))
    back = brought(read_ply(path))
    assert back.labels.tolist() == state.labels.tolist()
    assert back.instances.tolist() == state.instances.tolist()
    assert back.palette == state.palette
    assert len(lost) == sum(map(bool, (state.boxes, state.polylines, state.landmarks, state.notes)))


def test_open3d_and_trimesh_open_the_ply(tmp_path: Path) -> None:
    import open3d as o3d

    state = AnnotationState.empty(VOXELS)
    state.apply(state.put(CHAIR))
    state.apply(state.paint([3, 4], 1, 9))
    path = tmp_path / "a.ply"
    write_ply(path, content(state))
    cloud = o3d.t.io.read_point_cloud(str(path))
    assert cloud.point.label.numpy().ravel().tolist() == state.labels.tolist()
    assert cloud.point.instance.numpy().ravel().tolist() == state.instances.tolist()
    loaded = trimesh.load(path)
    np.testing.assert_allclose(loaded.vertices, PLACES.centres_w)
    assert loaded.colors[:, :3].tolist() == content(state).rgb.tolist()


@given(annotated(boxes=False))
@fast
def test_scannet_keeps_classes_by_name_and_instances(tmp_path: Path, state: AnnotationState) -> None:
    path = tmp_path / "a.aggregation.json"
    lost = write_scannet(path, content(state))
    back = brought(read_scannet(path))
    assert [back.name_of(c) for c in back.labels] == [state.name_of(c) for c in state.labels]
    assert back.instances.tolist() == np.where(state.labels > 0, state.instances, 0).tolist()
    assert any("without voxels" in text for text in lost) == (len(set(state.labels) - {0}) < len(state.palette))


def test_scannet_files_of_others_are_read_by_order(tmp_path: Path) -> None:
    """As ScanNet's own readers join them: object -> segments -> points."""
    segs = {"segIndices": [0] * 10 + [7] * 20 + [9] * 30}
    groups = [
        {"id": 0, "objectId": 0, "segments": [7], "label": "desk"},
        {"id": 1, "objectId": 1, "segments": [9], "label": "desk"},
    ]
    (tmp_path / "s.segs.json").write_text(json.dumps(segs))
    (tmp_path / "s.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    back = brought(read_scannet(tmp_path / "s.aggregation.json"))
    assert back.labels.tolist() == [0] * 10 + [1] * 50
    assert back.instances.tolist() == [0] * 10 + [1] * 20 + [2] * 30
    assert back.palette[0].name == "desk"
    with pytest.raises(AnnotationError, match="does not fit"):
        brought(read_scannet(tmp_path / "s.aggregation.json"), places(59))


@given(annotated())
@fast
def test_labelcloud_keeps_all_nine_degrees(tmp_path: Path, state: AnnotationState) -> None:
    write_labelcloud(tmp_path / "a.json", content(state))
    back = brought(read_labelcloud(tmp_path / "a.json"))
    for a, b in zip(state.boxes, back.boxes, strict=True):
        np.testing.assert_allclose(corners_w(b), corners_w(a), atol=1e-6 * (1 + max(a.size_w)))
        assert back.name_of(b.class_id) == state.name_of(a.class_id).strip()


def independent_corners(o: dict[str, dict[str, float]]) -> np.ndarray:
    """labelCloud's corners, by its rule: turn about x, then y, then z of the world, in degrees."""
    a, b, c = np.deg2rad([o["rotations"][k] for k in "xyz"])
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    size = np.array([o["dimensions"][k] for k in ("length", "width", "height")])
    signs = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.array([o["centroid"][k] for k in "xyz"]) + (signs * size) @ (z @ y @ x).T


@given(annotated())
@fast
def test_an_independent_reader_sees_the_same_boxes(tmp_path: Path, state: AnnotationState) -> None:
    write_labelcloud(tmp_path / "a.json", content(state))
    objects = json.loads((tmp_path / "a.json").read_text())["objects"]
    for box, o in zip(state.boxes, objects, strict=True):
        np.testing.assert_allclose(independent_corners(o), corners_w(box), atol=1e-6 * (1 + max(box.size_w)))


def test_kitti_by_hand(tmp_path: Path) -> None:
    state = AnnotationState.empty(VOXELS)
    state.apply(state.put(LabelClass(1, "dining table", (1, 2, 3))))
    half = float(np.sqrt(0.5))
    state.apply(state.put(OrientedBox(1, 1, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (half, 0.0, 0.0, half), 3)))
    state.apply(state.put(OrientedBox(2, 0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), QUARTER)))
    lost = write_kitti(tmp_path / "a.txt", content(state))
    first, second = (tmp_path / "a.txt").read_text().splitlines()
    name, *numbers = first.split()
    assert name == "dining_table"
    np.testing.assert_allclose([float(n) for n in numbers], [*[0] * 7, 6, 5, 4, 1, 2, 3, np.pi / 2])
    assert second.startswith("unlabelled ")
    assert any("1 boxes are turned about the x or y axis" in text for text in lost)
    back = brought(read_kitti(tmp_path / "a.txt"))
    np.testing.assert_allclose(corners_w(back.boxes[0]), corners_w(state.boxes[0]), atol=1e-9)
    assert back.boxes[1].class_id == 0


def test_another_capture_or_grid_is_brought_over_by_position_when_asked(tmp_path: Path) -> None:
    state = AnnotationState.empty(VOXELS)
    for c in (CHAIR, TABLE):
        state.apply(state.put(c))
    state.apply(state.paint(range(10), 1, 5))
    state.apply(state.paint([59], 2))
    write_own(tmp_path / "a.json", content(state))
    read = read_own(tmp_path / "a.json")
    with pytest.raises(AnnotationError, match="another capture") as e:
        brought(read, fingerprint="other")
    assert "--by-position" in e.value.text()
    # the same voxels without the last 30, an hair's breadth aside
    spec = GridSpec(PLACES.spec.lo_w + 0.01, PLACES.spec.voxel, PLACES.spec.dims)
    moved = VoxelPlaces(spec, PLACES.index[:30])
    with pytest.raises(AnnotationError, match="another grid"):
        brought(read, moved)
    fresh = AnnotationState.empty(30)
    edit, told = bring(read, fresh, moved, "print", by_position=True)
    fresh.apply(edit)
    assert np.flatnonzero(fresh.labels).tolist() == list(range(10))
    assert any("1 of 11 labelled points lie on no voxel" in text for text in told)
    far = VoxelPlaces(GridSpec(np.full(3, 100.0), 0.05, (4, 4, 4)), PLACES.index[:4] % 4)
    with pytest.raises(AnnotationError, match="lies outside this scene"):
        brought(read, far, by_position=True)


def test_an_import_is_one_step_onto_what_is_there(tmp_path: Path) -> None:
    made = document(tmp_path / "d", VOXELS)
    made.do(made.state.paint(range(5), 1, 4))
    made.do(made.state.put(Note(2, "mine")))
    other = AnnotationState.empty(VOXELS)
    for c in (LabelClass(1, "Table", (9, 9, 9)), LabelClass(2, "sofa", (8, 8, 8), 1)):
        other.apply(other.put(c))
    other.apply(other.paint(range(3, 8), 1, 4))
    other.apply(other.paint(range(20, 22), 2))
    other.apply(other.put(Note(2, "theirs")))
    other.apply(other.put(OrientedBox(1, 1, (0, 0, 0), (1, 1, 1), instance=4)))
    write_own(tmp_path / "b.json", content(other))
    before = made.state.copy()
    edit, told = bring(read_own(tmp_path / "b.json"), made.state, made.places, "print", by_position=False)
    made.do(edit)
    assert [c.name for c in made.state.palette] == ["chair", "table", "sofa"]
    assert made.state.palette[2].digit is None
    assert "sofa" in told[0]
    assert made.labels[:8].tolist() == [1, 1, 1, 2, 2, 2, 2, 2]
    assert made.labels[20] == 3
    assert made.instances[2] == 4
    assert made.instances[3] == 9
    assert made.state.boxes[0].instance == 9
    assert [n.text for n in made.state.notes] == ["mine", "theirs"]
    made.undo()
    assert made.state.same_as(before)
    made.close()
    open_annotations(tmp_path / "d", PLACES).close()


def test_points_of_unknown_classes_get_names(tmp_path: Path) -> None:
    state = AnnotationState.empty(VOXELS)
    state.apply(state.put(CHAIR))
    state.apply(state.paint(range(4), 1))
    write_ply(tmp_path / "a.ply", content(state))
    (tmp_path / "a.classes.json").unlink()
    empty = AnnotationState.empty(VOXELS)
    edit, told = bring(read_ply(tmp_path / "a.ply"), empty, PLACES, "print", by_position=False)
    empty.apply(edit)
    assert empty.name_of(1) == "class 1"
    assert any("classes have no names" in text for text in told)


def broken(good: dict[str, object], **change: object) -> str:
    return json.dumps({**good, **change})


def test_files_that_are_wrong_are_told(tmp_path: Path) -> None:
    state = AnnotationState.empty(VOXELS)
    state.apply(state.put(CHAIR))
    state.apply(state.paint(range(4), 1))
    path = tmp_path / "a.json"
    write_own(path, content(state))
    good = json.loads(path.read_text())
    for text, says in (
        ("{", "cannot be read"),
        ("[]", "malformed"),
        ("NaN", "cannot be read"),
        (broken(good, format="x"), "malformed"),
        (broken(good, version=2), "newer version"),
        (broken(good, version="1"), "does not say its version"),
        (broken(good, runs=[[0, 0, 0, 1, 70000, 0]]), "malformed"),
        (broken(good, runs=[[0, 0, 0, 1 << 40, 1, 0]]), "malformed"),
        (broken(good, runs=[[0, 0, 19, 2, 1, 0]]), "malformed"),
        (broken(good, runs=[[0, 0, 0.5, 2, 1, 0]]), "malformed"),
        (broken(good, classes=[{"id": 1}]), "malformed"),
        (broken(good, classes=None), "malformed"),
        (broken(good, grid={**good["grid"], "voxel": -1}), "malformed"),
        (broken(good, notes=[{"id": 1, "text": 5}]), "malformed"),
        (broken(good, boxes=[{"id": 1, "class_id": 0, "centre_w": [0, 0, 0], "size_w": [0, 1, 1]}]), "malformed"),
        (path.read_text()[:-20], "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(AnnotationError, match=says) as e:
            read_own(path)
        assert str(path) in e.value.text()
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_own(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("read", "name", "data"),
    [
        (read_npz, "a.npz", b"PK\x03\x04 broken"),
        (read_npz, "a.npz", b""),
        (read_ply, "a.ply", b"not a ply"),
        (read_ply, "a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n"),
        (
            read_ply, "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
            b"property float label\nend_header\n0 0 0 1.5\n",
        ),
        (read_labelcloud, "a.json", b'{"objects": [{"name": "x"}]}'),
        (read_labelcloud, "a.json", b'{"objects": 5}'),
        (read_kitti, "a.txt", b"car 1 2 3\n"),
        (read_kitti, "a.txt", b"car 0 0 0 0 0 0 0 1 1 0 0 0 0 0\n"),
        (read_kitti, "a.txt", b"car 0 0 0 0 0 0 0 1 1 1 0 0 nan 0\n"),
        (read_scannet, "a.aggregation.json", b'{"segGroups": []}'),
        (read_classes, "a.json", b'{"format": "condense-classes", "version": 9, "classes": []}'),
        (read_classes, "a.txt", b"chair\nChair\n"),
        (read_classes, "a.txt", b"\xff\xfe\x00\xd8"),
    ],
)  # fmt: skip
def test_hostile_files_end_in_one_error(read: object, name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert callable(read)
    with pytest.raises(AnnotationError) as e:
        read(path)
    assert e.value.path is not None


def test_npz_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, meta=np.array([{"a": 1}], dtype=object))
    with pytest.raises(AnnotationError, match="malformed"):
        read_npz(path)


def test_class_lists_travel(tmp_path: Path) -> None:
    sofa = LabelClass(9, "sofa", (1, 2, 3), 1, visible=False)
    write_classes(tmp_path / "c.json", [CHAIR, sofa])
    assert read_classes(tmp_path / "c.json") == (CHAIR, sofa)
    write_classes(tmp_path / "c.txt", [CHAIR, sofa])
    names = read_classes(tmp_path / "c.txt")
    assert [(c.id, c.name) for c in names] == [(1, "chair"), (2, "sofa")]
    state = AnnotationState.empty(5)
    state.apply(state.put(CHAIR))
    state.apply(classes_edit(state.palette, [sofa, replace(TABLE, id=1)], "Import classes"))
    assert [(c.id, c.name, c.digit) for c in state.palette] == [
        (1, "chair", 1), (9, "sofa", None), (10, "table", 2)
    ]  # fmt: skip
