"""The import contracts hold, and each of them breaks when it should."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and their contracts, to be broken."""
    for package in ("app", "engine", "shaders", "assets"):
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=lambda folder, names: [n for n in names if not _is_code(folder, n)],
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _is_code(folder: str, name: str) -> bool:
    return name.endswith(".py") or ((Path(folder) / name).is_dir() and name != "__pycache__")


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("engine/grid/fit.py", "import app.state", "The engine knows neither window nor GL"),
        ("engine/session.py", "import PySide6.QtCore", "The engine knows neither window nor GL"),
        ("engine/api/scene.py", "import torch", "engine.api is numpy and the standard library"),
        ("app/controller.py", "import engine.session", "The window knows the engine by its API alone"),
        ("app/state.py", "import torch", "The window knows the engine by its API alone"),
    ],
)
def test_a_forbidden_import_is_caught(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / file
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    result = lint_imports(copy)
    assert result.returncode == 1
    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert any(row.startswith(contract) for row in broken), result.stdout


def test_the_contracts_hold(copy: Path) -> None:
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout
    assert "3 kept, 0 broken" in result.stdout
