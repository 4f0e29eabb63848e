"""``open_capture``: find out what lies at a path and read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.api.errors import CaptureError
from engine.captures import nerfstudio
from engine.captures.bounds import region
from engine.captures.capture import Capture
from engine.captures.files import Notes
from engine.captures.fingerprint import fingerprint
from engine.captures.frames import FrameCollector
from engine.captures.upright import estimate_up


def open_capture(path: str | Path) -> Capture:
    """Open a capture, whatever its format. No photo is decoded yet.

    Args:
        path: a folder or a file of a format that is understood.

    Raises:
        CaptureError: nothing is there, it is of no known format, or not one frame of it can be shown.
    """
    path = Path(path).expanduser().absolute()
    notes = Notes()
    frames = FrameCollector(notes)
    transforms = path / "transforms.json" if path.is_dir() else path
    if not transforms.is_file():
        raise CaptureError("no capture is here", path=path)
    nerfstudio.read_frames(transforms, frames)
    views = frames.finish(path)
    found = region(views)
    files = [transforms, *(v.image for v in views)]
    files += [v.depth.path for v in views if v.depth is not None]
    files += [v.mask for v in views if v.mask is not None]
    return Capture(
        name=transforms.parent.name,
        path=path,
        format="nerfstudio",
        views=views,
        points=None,
        bounds_w=found.bounds_w,
        bounded=found.bounded,
        up_w=estimate_up([v.camera for v in views], np.asarray(found.surface_w)),
        fingerprint=fingerprint(transforms.parent, files),
        warnings=notes.messages(),
    )
