"""Reads GLSL sources: resolves ``#include "name"`` and puts ``#define`` lines in front."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r'^\s*#include\s+"([\w./]+)"\s*$', re.MULTILINE)


def load(name: str, **defines: int | float | str) -> str:
    """The source of ``shaders/<name>`` with includes resolved (each file once) and ``defines`` in front.

    Raises:
        FileNotFoundError: no such shader, or an include that does not exist.
    """
    head = "".join(f"#define {key} {value}\n" for key, value in defines.items())
    return head + _resolve(name, set())


def program(name: str, **defines: int | float | str) -> tuple[str, str]:
    """The (vertex, fragment) sources of a visual."""
    return load(f"{name}.vert", **defines), load(f"{name}.frag", **defines)


def _resolve(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    return _INCLUDE.sub(lambda m: _resolve(m.group(1), seen), (_FOLDER / name).read_text(encoding="utf-8"))
