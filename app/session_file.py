"""Session files: which capture was open and everything that was set on it, as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from PySide6.QtCore import QIODevice, QSaveFile

from app.bookmarks import LONGEST as LONGEST_NAME
from app.bookmarks import MOST as MOST_BOOKMARKS
from app.bookmarks import Bookmark
from app.canvas.home import Orbit
from app.clip import Clip
from app.edits import Edits
from app.prompt_state import LONGEST, MOST, SOFTNESS, Prompt
from app.ruler import MOST as MOST_POINTS
from app.ruler import Ruler
from app.state import LAYERS, Colouring, KeypointColouring, Layer, PanelMode, Sort, ThemeName
from engine.api.errors import CacheError, CaptureError
from engine.api.requests import Example, PictureExample, PixelSource, PointSource, RegionExample

SUFFIX = ".condense"
FORMAT = "condense-session-1"
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class SavedSession:
    """What a file holds.

    Attributes:
        capture: path of the capture.
        encoder: of its photos.
        edits: what was set.
        orbit: where the canvas camera was; None in a photo's place.
        through: the photo that was looked through.
        selected: the photo that was selected.
        single: whether it was shown large.
        fly: whether the camera flew.
        theme: light or dark.
        layout: of the panels, as the window has it.
        repository: folder of the repository that was open, if there was one.
    """

    capture: str
    encoder: str
    edits: Edits
    orbit: Orbit
    through: int | None
    selected: int | None
    single: bool
    fly: bool
    theme: ThemeName
    layout: str = ""
    repository: str | None = None


def write_session(path: Path, session: SavedSession) -> None:
    """Write it, atomically; the capture's place is noted as seen from the file, too, so that both can be moved.

    Raises:
        CacheError: the file cannot be written.
    """
    match, capture = session.edits.match, Path(session.capture).resolve()
    edits: dict[str, Any] = asdict(session.edits)
    if match is not None:
        edits["match"]["kind"] = "pixel" if isinstance(match, PixelSource) else "point"
    edits["layers"] = {name: asdict(layer) for name, layer in session.edits.layers}
    raw: dict[str, Any] = {**asdict(session), "format": FORMAT, "edits": edits, "capture": str(capture)}
    if capture.is_relative_to(path.resolve().parent):
        raw["capture_from_here"] = str(capture.relative_to(path.resolve().parent))
    file = QSaveFile(str(path))
    data = json.dumps(raw, indent=1).encode()
    if not (file.open(QIODevice.OpenModeFlag.WriteOnly) and file.write(data) == len(data) and file.commit()):
        mend = "choose another folder, or make room on the disk"
        raise CacheError("cannot be written", path=path, found=file.errorString(), mend=mend)


def read_session(path: Path) -> SavedSession:
    """What ``write_session`` wrote.

    Raises:
        CaptureError: no such file, not a session, or its capture is gone.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes")
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']!r}")
        session = SavedSession(
            capture=str(raw["capture"]),
            encoder=str(raw["encoder"]),
            edits=_edits(raw["edits"]),
            orbit=_orbit(raw["orbit"]),
            through=_view(raw["through"]),
            selected=_view(raw["selected"]),
            single=bool(raw["single"]),
            fly=bool(raw["fly"]),
            theme=_one_of(raw["theme"], ThemeName),
            layout=str(raw["layout"]),
            repository=None if raw.get("repository") is None else str(raw["repository"]),
        )
        near = (path.parent / str(raw["capture_from_here"])).resolve() if "capture_from_here" in raw else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as e:
        found = f"no {e}" if isinstance(e, KeyError) else str(e)
        mend = "choose a file that File > Save session wrote"
        raise CaptureError("is no session", path=path, found=found[:200], expected=FORMAT, mend=mend) from e
    places = [p for p in (Path(session.capture), near) if p is not None and p.exists()]
    if not places:
        mend = "put the capture back, or open it from where it is"
        raise CaptureError("the session's capture is gone", path=path, found=session.capture, mend=mend)
    return replace(session, capture=str(places[0]))


def _edits(raw: Any) -> Edits:
    layers = {
        name: Layer(bool(x["visible"]), _share(x["opacity"])) for name, x in raw["layers"].items() if name in LAYERS
    }
    prompts = tuple(
        Prompt(
            str(p["text"])[:LONGEST],
            bool(p["negative"]),
            _share(p["threshold"]),
            _colour(p["colour"]),
            softness=_share(p.get("softness", SOFTNESS)),
            example=_example(p.get("example")),
        )
        for p in raw["prompts"][: 2 * MOST]
    )
    pos = raw["match_pos_w"]
    return Edits(
        match=None if raw["match"] is None else _source(raw["match"]),
        match_pos_w=None if pos is None else _triple(pos),
        prompts=prompts,
        layers=tuple(layers.items()),
        colouring=_one_of(raw["colouring"], Colouring),
        threshold=_share(raw["threshold"]),
        cutaway=bool(raw["cutaway"]),
        clip=_clip(raw["clip"]) if "clip" in raw else Clip(),
        ruler=_ruler(raw["ruler"]) if "ruler" in raw else Ruler(),
        panel_mode=_one_of(raw["panel_mode"], PanelMode),
        sort=_one_of(raw["sort"], Sort),
        keypoint_count=min(max(int(raw["keypoint_count"]), 1), 1 << 16),
        keypoint_colouring=_one_of(raw["keypoint_colouring"], KeypointColouring),
        bookmarks=tuple(
            Bookmark(str(b["name"])[:LONGEST_NAME], _orbit(b["orbit"]))
            for b in raw.get("bookmarks", [])[:MOST_BOOKMARKS]
        ),
    )


def _clip(raw: Any) -> Clip:
    (x, y, z), (u, v, w) = ([_share(n) for n in raw[side]] for side in ("lo", "hi"))
    if x >= u or y >= v or z >= w:
        raise ValueError("a clip box with nothing in it")
    return Clip(bool(raw["on"]), (x, y, z), (u, v, w))


def _ruler(raw: Any) -> Ruler:
    scale = _number(raw["scale"])
    if scale <= 0:
        raise ValueError(f"a scale of {scale}")
    points_w = tuple(_triple(p) for p in raw["points_w"][:MOST_POINTS])
    return Ruler(bool(raw["on"]), points_w, scale, str(raw["unit"])[:12])


def _example(raw: Any) -> Example | None:
    if raw is None:
        return None
    if "path" in raw:
        return PictureExample(str(raw["path"]))
    of = raw["of"] if isinstance(raw["of"], str) else _example(raw["of"])
    if of is None:
        raise ValueError("an example of nothing")
    return RegionExample(
        of, _triple(raw["centre_w"]), _share(raw["threshold"]), tuple(str(n) for n in raw["negatives"])
    )


def _source(raw: Any) -> PixelSource | PointSource:
    if raw["kind"] == "point":
        return PointSource(_triple(raw["pos_w"]))
    view = _view(raw["view"])
    if view is None:
        raise ValueError("a click in no photo")
    return PixelSource(view, _number(raw["x"]), _number(raw["y"]))


def _orbit(raw: Any) -> Orbit:
    distance = _number(raw["distance"])
    if distance <= 0:
        raise ValueError(f"distance {distance}")
    return Orbit(_triple(raw["target_w"]), _number(raw["yaw"]), _number(raw["pitch"]), distance)


def _number(raw: Any) -> float:
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError(f"{raw} is no finite number")
    return value


def _share(raw: Any) -> float:
    return min(max(_number(raw), 0.0), 1.0)


def _triple(raw: Any) -> tuple[float, float, float]:
    x, y, z = (_number(v) for v in raw)
    return x, y, z


def _view(raw: Any) -> int | None:
    if raw is None:
        return None
    value = int(raw)
    if value < 0:
        raise ValueError(f"photo {value}")
    return value


def _colour(raw: Any) -> int:
    return min(max(int(raw), -1), MOST - 1)


def _one_of(raw: Any, among: Any) -> Any:
    if raw not in get_args(among):
        raise ValueError(f"{raw!r} is none of {', '.join(cast('tuple[str, ...]', get_args(among)))}")
    return raw
