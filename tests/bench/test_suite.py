"""``make bench``: the page says where rows came from and what is absent; the harness runs, resumes and fails well."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.training.rooms.catalogues import Library
from tests.bench.simple_models import DESIGNS, write_catalogue
from tests.bench.suite import answer_of, main
from tests.bench.suite_data import Column, Data, Measurement, found_data
from tests.bench.suite_measures import consistency_rows, measurements
from tests.bench.suite_page import page, read, section
from tests.conftest import textured, write_tiny_capture

SHAPES = Measurement(
    "shapes", "Shapes", "How round.", ("tests.bench.shapes",), "two shapes",
    (Column("shape", "shape"), Column("round", "roundness", 2), Column("count", "count", 0)), 1,
    rival=(("shape", "blob", "not installed"),),
)  # fmt: skip
FOUND: dict[str, Any] = {
    "name": "shapes", "command": "python -m tests.bench.shapes", "data": "two shapes", "seed": 0, "date": "2026-11-30",
    "seconds": 2.4, "load": 1.25, "commit": "abc", "machine": {"cpu": "Z80", "cores": 1, "gpu": None, "system": "CP/M",
    "torch": "2"}, "answer": {"rows": [{"shape": "a|b", "round": 0.5, "count": 1200}, {"shape": "c", "round": None}]},
}  # fmt: skip


def test_a_section_has_a_table_its_origin_and_the_rival_that_is_not_there() -> None:
    lines = section(SHAPES, FOUND, "shapes.png")
    assert lines[4:9] == [
        "| shape | roundness | count |",
        "|---|---|---|",
        "| a\\|b | .50 | 1,200 |",
        "| c | – | – |",
        "| blob |  | not installed |",
    ]
    text = "\n".join(lines)
    assert "`python -m tests.bench.shapes`: two shapes; seed 0, 2026-11-30, 2 s, load 1.2 before, commit abc." in text
    assert "![Shapes](shapes.png)" in text


def test_a_rival_that_was_there_has_no_second_row() -> None:
    answer = {"rows": [{"shape": "blob", "round": 1.0, "count": 1}]}
    assert "\n".join(section(SHAPES, {**FOUND, "answer": answer}, None)).count("blob") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not measured yet"),
        ("{", "is damaged"),
        ("[1]", "holds no answer"),
        (json.dumps({"absent": "no such data"}), "no such data"),
        (json.dumps({"failed": "it fell over"}), "it fell over"),
    ],
)
def test_what_is_not_there_says_why_and_how_to_measure_it(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "shapes.json"
    if text is not None:
        path.write_text(text)
    lines = "\n".join(section(SHAPES, read(path), None))
    assert said in lines
    assert "--only shapes" in lines


def test_the_page_computes_what_many_captures_cost_and_keeps_others_figures_apart() -> None:
    row = {"what": "demo", "processor_s": 3.0, "wall_s": 3.6, "bytes": 40_000}
    found = {"shapes": FOUND, "condense": {"answer": {"rows": [row]}}}
    text = page(found, [SHAPES], {})
    assert "| demo | 3.6 s | 10 h | 0.2 h | 0.40 GB |" in text
    assert "1 cores of Z80, no GPU, CP/M, torch 2" in text
    before, theirs = text.split("## Figures of others")
    assert "not measured here" in theirs
    assert "Zhang et al." in theirs
    assert "Zhang et al." not in before


def test_every_measurement_of_the_protocol_is_listed(tmp_path: Path) -> None:
    every = measurements(Data(tmp_path))
    names = [m.name for m in every]
    assert len(set(names)) == len(names)
    wanted = {"consistency", "matching", "fit", "keypoints", "repository", "prompts", "probe", "classify", "viewers"}
    wanted |= {"localise", "segment", "objects"}
    assert wanted <= set(names)
    assert sum(m.minutes for m in every if not m.asked) < 60
    by_name = {m.name: m for m in every}
    assert by_name["homography"].absent is not None
    assert "not measured yet" in page({name: {"absent": "not measured yet"} for name in names}, every, {})


def test_rooms_are_one_row_and_captures_their_own() -> None:
    rows = [
        {"capture": c, "features": "raw", "recall_1": r, "recall_2": r, "recall_5": r, "margin": 0.5}
        for c, r in (("held-out 3-00000", 0.2), ("held-out 3-00001", 0.4), ("demo", 0.9))
    ]
    found = consistency_rows({"rows": rows})
    assert [(r["data"], round(r["recall_2"], 6)) for r in found] == [("2 rooms", 0.3), ("demo", 0.9)]


def test_a_commands_answer_is_found_among_what_it_prints() -> None:
    assert answer_of('{"rows": [1]}\n') == {"rows": [1]}
    assert answer_of('warming up\n{"seed": 1}\n{"rows": [2]}\n') == {"rows": [2]}
    assert answer_of('{"scenes": 1}\nindexed\n{"scenes": 2}\n') == {"rows": [{"scenes": 1}, {"scenes": 2}]}
    with pytest.raises(ValueError, match="no JSON"):
        answer_of("nothing\n3\n")


def test_captures_are_found_and_their_folder_is_not_named(tmp_path: Path) -> None:
    write_tiny_capture(tmp_path / "data" / "tiny", views=3)
    (tmp_path / "data" / "text").mkdir()
    data = found_data(tmp_path / "out", tmp_path / "data", (), 2)
    assert [p.name for p in data.captures] == ["tiny"]
    commands = [data.said(m.command) for m in measurements(data)]
    assert any("CAPTURES/tiny" in text for text in commands)
    assert not any(str(tmp_path / "data") in text for text in commands)
    assert commands[0].startswith("condense bench consistency")
    assert replace(data, models=(tmp_path / "m",)).folder("rooms") != data.folder("rooms")


def test_furniture_of_boxes_is_enough_for_held_out_rooms(tmp_path: Path) -> None:
    library = Library((write_catalogue(tmp_path),), "held-out")
    mesh = library.load(library.large[0])
    assert mesh is not None
    assert len(mesh.material) >= 12
    assert {e.label for e in library.large + library.small} <= set(DESIGNS)


def write_wall(folder: Path) -> Path:
    """Two photos of a plane and their homography."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:160, :200]
    rng = np.random.default_rng(0)
    photo = textured(np.stack([x / 20, y / 20, np.sin(x * y / 900)], axis=-1).reshape(-1, 3)).reshape(160, 200, 3)
    photo = cv2.addWeighted(photo, 0.6, cv2.resize(rng.integers(0, 255, (40, 50, 3), np.uint8), (200, 160)), 0.4, 0)
    truth = np.array([[0.95, 0.08, 4.0], [-0.06, 1.02, 3.0], [1e-4, 0, 1]])
    Image.fromarray(photo).save(folder / "graf1.png")
    Image.fromarray(cv2.warpPerspective(photo, truth, (200, 160))).save(folder / "graf3.png")
    (folder / "H1to3p.xml").write_text(f"<a><b><data>{' '.join(map(str, truth.ravel()))}</data></b></a>")
    return folder


@pytest.mark.slow
def test_the_harness_measures_keeps_and_does_not_measure_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wall, out = write_wall(tmp_path / "data" / "wall"), tmp_path / "out"
    arguments = ["--out", str(out), "--data", str(tmp_path / "data"), "--only", "homography"]
    assert main(arguments) == 0
    found = json.loads((out / "homography.json").read_text())
    ours = next(r for r in found["answer"]["rows"] if r["keypoints"] == "ours, condense2d + local")
    assert ours["matches"] > 20
    assert ours["within_5"] > 0.5
    assert found["machine"]["cores"] >= 1
    text = (out / "BENCH.md").read_text()
    assert "CAPTURES/wall/graf1.png" in text
    assert "not measured yet" in text  # the others

    (wall / "graf1.png").write_bytes(b"no picture")
    assert main(arguments) == 0  # what is there stays
    assert json.loads((out / "homography.json").read_text()) == found
    assert main([*arguments, "--again"]) == 1
    assert "it failed" in (out / "BENCH.md").read_text()
    assert main(["--only", "nonsense"]) == 2
    assert "no such measurement" in capsys.readouterr().err
