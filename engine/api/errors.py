"""Errors that a user can act on: each names the file, what was found, what was expected and the mend."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class CondenseError(Exception):
    """Base of every error that is the input's fault and not the program's.

    The command line prints it without a traceback and exits with code 2; the window shows it and goes on.

    Args:
        what: one sentence saying what went wrong, in the user's words.
        path: the file or folder concerned, if there is one.
        found: what was there.
        expected: what should have been there.
        mend: what the user can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        path: str | Path | None = None,
        found: str | None = None,
        expected: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.what = what
        self.path = None if path is None else str(path)
        self.found = found
        self.expected = expected
        self.mend = mend
        super().__init__(self.text())

    def text(self) -> str:
        """The whole message on a few lines, as the command line and the window show it."""
        lines = [self.what if self.path is None else f"{self.path}: {self.what}"]
        if self.found is not None:
            lines.append(f"  found:    {self.found}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.mend is not None:
            lines.append(f"  to mend:  {self.mend}")
        return "\n".join(lines)


class CaptureError(CondenseError):
    """A capture cannot be read, or holds nothing to show."""


class WeightsError(CondenseError):
    """A weights file is missing, damaged, or not of the network it is asked for."""


class CacheError(CondenseError):
    """A stored result cannot be read or written."""


class RepositoryError(CondenseError):
    """A repository of scenes cannot be opened, read or written, or holds scenes of other weights."""


class AnnotationError(CondenseError):
    """Annotations cannot be opened, saved or imported, or an edit does not fit them."""


class QueryError(CondenseError):
    """A query does not fit what is open: no such view, a pixel outside the photo, no features yet."""


class ResourceError(CondenseError):
    """Memory or disk ran out; the mend says what to lower."""


@contextmanager
def told_and_exited() -> Generator[None]:
    """Within a command line: an error that the user can act on is printed, without a traceback, and ends it with 2."""
    try:
        yield
    except CondenseError as e:
        print(e.text(), file=sys.stderr)
        raise SystemExit(2) from e
