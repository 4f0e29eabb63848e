"""Saves what is on screen as a session, and brings one back once its capture is open. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.canvas.home import Orbit
from app.controller import Controller
from app.edits import edits_of
from app.session_file import SavedSession, read_session, write_session
from app.state import AppState
from engine.api.errors import CondenseError
from engine.api.requests import PixelSource


class Sessions:
    """Session files of one window.

    Args:
        controller: of the window.
        orbit: where the canvas camera is.
        go: puts it elsewhere, at once.
        layout: of the panels, as text.
        arrange: the panels so.
        keep: opens the repository that was open.
    """

    def __init__(
        self,
        controller: Controller,
        orbit: Callable[[], Orbit],
        go: Callable[[Orbit], None],
        layout: Callable[[], str],
        arrange: Callable[[str], None],
        keep: Callable[[str], None],
    ) -> None:
        self._controller, self._orbit, self._go = controller, orbit, go
        self._layout, self._arrange, self._keep = layout, arrange, keep
        self._wanted: SavedSession | None = None  # read, and its capture is being opened
        self._asking: SavedSession | None = None  # its click waits for features
        controller.store.listen(self._follow)

    def save(self, path: Path) -> None:
        """Write what is on screen."""
        s = self._controller.state
        if s.scene is None:
            return
        session = SavedSession(
            capture=s.scene.path,
            encoder=s.encoder,
            edits=edits_of(s),
            orbit=self._orbit(),
            through=s.through,
            selected=s.selected,
            single=s.single,
            fly=s.fly,
            theme=s.theme,
            layout=self._layout(),
            repository=s.repository.path if s.repository.scenes is not None else None,
        )
        try:
            write_session(path, session)
        except CondenseError as e:
            self._controller.fail("The session could not be saved", e.text())
        else:
            self._controller.set(notice=f"Saved {path}")

    def open(self, path: Path) -> None:
        """Read one and open its capture."""
        try:
            session = read_session(path)
        except CondenseError as e:
            if self._controller.state.opening == str(path):
                self._controller.set(opening=None)
            self._controller.fail(e.what[0].upper() + e.what[1:], e.text())
            return
        self._asking = None
        self._controller.open(session.capture)
        self._wanted = session

    def _follow(self, old: AppState, new: AppState) -> None:
        if new.scene is not None and old.scene is not new.scene:
            session, self._wanted, self._asking = self._wanted, None, None
            if session is not None and Path(new.scene.path).resolve() == Path(session.capture).resolve():
                self._bring_back(session, {v.index for v in new.scene.views})
        elif old.opening is not None and new.opening is None:
            self._wanted = None  # it could not be opened
        if self._asking is not None and new.voxel_features is not None:
            match = self._asking.edits.match
            if not isinstance(match, PixelSource) or match.view in new.view_features:
                edits, self._asking = self._asking.edits, None
                self._controller.history.restore(edits)

    def _bring_back(self, session: SavedSession, views: set[int]) -> None:
        c, edits = self._controller, session.edits
        match = edits.match
        if isinstance(match, PixelSource) and match.view not in views:
            edits = replace(edits, match=None, match_pos_w=None)
        session = replace(session, edits=edits)
        if edits.match is not None:
            self._asking = session
        c.set(encoder=session.encoder if session.encoder in c.state.encoders else c.state.encoder)
        c.history.restore(replace(edits, match=None, match_pos_w=None))
        c.set(fly=session.fly, theme=session.theme, selected=session.selected if session.selected in views else None)
        self._arrange(session.layout)
        self._go(session.orbit)
        if session.repository is not None:
            self._keep(session.repository)
        if session.through is not None and session.through in views:
            c.look_through(session.through)
        if session.single and session.selected in views:
            c.set_single(True)
