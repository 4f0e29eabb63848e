"""Whether there is a screen, and a virtual one where there is none (Linux)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Generator

from engine.api.errors import QueryError


def has_display() -> bool:
    """Whether a window can be shown: always so outside Linux, else when X11 or Wayland says so."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def virtual_display() -> Generator[None]:
    """Within, ``DISPLAY`` names a display: the user's, or an Xvfb of our own that ends with the block.

    Raises:
        QueryError: there is neither.
    """
    if has_display():
        yield
        return
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        raise QueryError("there is no display to open a window on", mend="install xvfb, or run it on a desktop")
    read, write = os.pipe()
    server = subprocess.Popen(
        [xvfb, "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=(write,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise QueryError("Xvfb did not start", mend="start it by hand and set DISPLAY")
        os.environ["DISPLAY"] = f":{number}"
        yield
    finally:
        os.environ.pop("DISPLAY", None)
        server.terminate()
        server.wait(10)
