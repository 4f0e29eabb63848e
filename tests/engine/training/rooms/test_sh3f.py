"""Furniture libraries become catalogues; bad ones are refused and leave nothing outside the folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import CaptureError
from engine.training.rooms import sh3f
from engine.training.rooms.models import Catalogue
from engine.training.rooms.sh3f import Options, class_of, unpack

LISTED = """# a comment
id=Test#Library
id#1=Test#sofa
name#1=Canap\\u00e9 couch
category#1=Living room
model#1=/test/sofa/sofa.obj
width#1=180.0
depth#1=80.5
height#1=75
creator#1=Somebody
id#2=Test#turned
name#2=Chair
model#2=/test/sofa/sofa.obj
modelRotation#2=1 0 0 0 0 1 0 -1 0
width#2=1
depth#2=1
height#2=1
"""
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n"


def library(path: Path, listed: str = LISTED, files: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(sh3f.PROPERTIES, listed.encode("latin-1"))
        for name, text in (files or {"test/sofa/sofa.obj": OBJ, "test/sofa/readme.txt": "no model"}).items():
            z.writestr(name, text)
    return path


def test_a_library_becomes_a_catalogue(tmp_path: Path) -> None:
    assert unpack(Options((library(tmp_path / "KatorLegaz.sh3f"),), tmp_path / "out")) == 1
    (entry,) = Catalogue(tmp_path / "out").entries.values()
    assert (entry.id, entry.name, entry.label) == ("Test#sofa", "Canapé couch", "sofa")
    np.testing.assert_allclose(entry.size, (1.8, 0.805, 0.75))
    assert (entry.creator, entry.licence) == ("Somebody", "CC-BY-3.0-US")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["catalog.json", "sofa.obj"]
    assert Catalogue(tmp_path / "out").load("Test#sofa").bounds().shape == (2, 3)
    with pytest.raises(CaptureError, match="already"):
        unpack(Options((library(tmp_path / "a.sh3f"),), tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "label"),
    [("Couch", "sofa"), ("Coffee table", "coffee table"), ("Armchair", "armchair"), ("Office chair", "chair"),
     ("Table tennis bat", None), ("Vegetable", None), ("Dog", "animal"), ("Dog house", None),
     ("TV stand", "computer/TV"),
     ("Floor lamp", "lamp"), ("Small upper cabinet", "cabinet"), ("Butter", None)],
)  # fmt: skip
def test_classes_come_from_names(name: str, label: str | None) -> None:
    assert class_of(name, "Miscellaneous") == label


def test_doors_and_windows_are_told_apart() -> None:
    assert class_of("Double French window", "Doors and windows") == "door"
    assert class_of("Sliding window", "Doors and windows") == "window"


@pytest.mark.parametrize(
    ("listed", "files"),
    [
        ("id#1=a\nname#1=b\n", None),
        (LISTED.replace("width#1=180.0", "width#1=wide"), None),
        (LISTED, {"elsewhere/sofa.obj": OBJ}),
        (LISTED.replace("/test/sofa/sofa.obj", "/test/sofa/c:sofa.obj"), {"test/sofa/c:sofa.obj": OBJ}),
    ],
)
def test_bad_libraries_are_refused(tmp_path: Path, listed: str, files: dict[str, str] | None) -> None:
    path = library(tmp_path / "bad.sh3f", listed, files)
    with pytest.raises(CaptureError, match=r"bad\.sh3f"):
        unpack(Options((path,), tmp_path / "out"))
    assert not (tmp_path / "out" / "catalog.json").exists()


def test_paths_that_lead_out_stay_within(tmp_path: Path) -> None:
    listed = LISTED.replace("Test#sofa", "../../up").replace("/test/sofa/sofa.obj", "/../../sofa.obj")
    path = library(tmp_path / "up.sh3f", listed, {"../../sofa.obj": OBJ})
    unpack(Options((path,), tmp_path / "deep" / "out"))
    assert not (tmp_path / "sofa.obj").exists()
    assert all(p.is_relative_to(tmp_path / "deep" / "out") for p in (tmp_path / "deep").rglob("*.obj"))


def test_what_is_no_zip_or_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.sh3f").write_bytes(b"PK\x03\x04 cut")
    for path in (tmp_path / "no.sh3f", tmp_path / "missing.sh3f"):
        with pytest.raises(CaptureError, match="no furniture library"):
            unpack(Options((path,), tmp_path / "out"))
    monkeypatch.setattr(sh3f, "MOST_BYTES", 100)
    with pytest.raises(CaptureError, match="unpacked"):
        unpack(Options((library(tmp_path / "bomb.sh3f"),), tmp_path / "out"))
    with pytest.raises(CaptureError, match="no models"):
        unpack(Options((), tmp_path / "out"))
