"""What is remembered between runs: theme, layout, recent captures, whether work begins by itself."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QByteArray, QSettings

from app.prompts import KEPT
from app.state import ThemeName

KEPT_RECENT = 8
LAYOUT_VERSION = 7  # raise it when docks change, so that an old layout is not forced on new ones


class Settings:
    """Typed access to the user's settings.

    Args:
        file: an INI file instead of the platform's own place.
    """

    def __init__(self, file: Path | None = None) -> None:
        if file is None:
            self._store = QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "condense-studio", "window")
        else:
            self._store = QSettings(str(file), QSettings.Format.IniFormat)

    @property
    def theme(self) -> ThemeName:
        return "light" if self._store.value("theme", "dark") == "light" else "dark"

    @theme.setter
    def theme(self, name: ThemeName) -> None:
        self._store.setValue("theme", name)

    @property
    def auto(self) -> bool:
        """Fit and encode as soon as a capture is open."""
        return str(self._store.value("auto", "true")).lower() != "false"

    @auto.setter
    def auto(self, on: bool) -> None:
        self._store.setValue("auto", "true" if on else "false")

    @property
    def recent(self) -> tuple[str, ...]:
        """Captures opened before, newest first; those that are gone are left out."""
        return tuple(p for p in _texts(self._store.value("recent", [])) if Path(p).exists())[:KEPT_RECENT]

    def add_recent(self, path: str) -> tuple[str, ...]:
        """Put a capture first and return the new list."""
        full = str(Path(path).resolve())
        paths = [full, *(p for p in self.recent if p != full)][:KEPT_RECENT]
        self._store.setValue("recent", paths)
        return self.recent

    @property
    def prompts(self) -> tuple[str, ...]:
        """Prompts that were entered before, newest first."""
        return _texts(self._store.value("prompts", []))[:KEPT]

    @prompts.setter
    def prompts(self, texts: tuple[str, ...]) -> None:
        self._store.setValue("prompts", list(texts))

    @property
    def repository(self) -> str | None:
        """Folder of the repository that was open last, if it is still there."""
        path = str(self._store.value("repository", ""))
        return path if path and Path(path).is_dir() else None

    @repository.setter
    def repository(self, path: str) -> None:
        self._store.setValue("repository", str(Path(path).resolve()))

    def save_layout(self, geometry: QByteArray, state: QByteArray) -> None:
        self._store.setValue("layout/geometry", geometry)
        self._store.setValue("layout/state", state)

    def layout(self) -> tuple[QByteArray, QByteArray] | None:
        """Window geometry and dock state, if a run before this one saved them."""
        geometry, state = self._store.value("layout/geometry"), self._store.value("layout/state")
        if isinstance(geometry, QByteArray) and isinstance(state, QByteArray):
            return geometry, state
        return None

    def sync(self) -> None:
        self._store.sync()


def _texts(value: object) -> tuple[str, ...]:
    # a list of one comes back as a string from an INI file
    some = [value] if isinstance(value, str) else cast("list[object]", value) if isinstance(value, list) else []
    return tuple(str(text) for text in some)
