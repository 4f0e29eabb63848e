"""Model catalogues out of Sweet Home 3D's furniture libraries, which Debian packages as ``sweethome3d-furniture``.

A library (.sh3f) is a zip of OBJ models and a Java properties file that lists them. What rooms need of it is unpacked
to a catalogue folder (``models``), each model with its creator and licence::

    apt-get download sweethome3d-furniture && dpkg-deb -x sweethome3d-furniture_*.deb .
    python -m engine.training.rooms.sh3f --libraries usr/share/sweethome3d/furniture/*.sh3f --out CATALOGUE
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import tyro

from engine.api.errors import CaptureError, told_and_exited
from engine.storage import write_atomic

PROPERTIES = "PluginFurnitureCatalog.properties"
NEEDED = (".obj", ".mtl", ".jpg", ".jpeg", ".png", ".bmp", ".gif")
MOST_BYTES = 1 << 30
"""Of a library, unpacked: the largest has 180 MB."""
LICENCES = {"BlendSwap-CC-0": "CC0", "KatorLegaz": "CC-BY-3.0-US", "Reallusion": "CC-BY-3.0-US"}
OTHERWISE = "CC-BY-3.0"

CLASSES = (
    ("coffee table", r"coffee table"),
    ("pool/game table", r"table tennis$|(pool|billiard|snooker) table|table football|foosball"),
    ("high chair", r"high ?chair"),
    ("deck chair", r"deck ?chair|pool lounge|sun lounger|chaise longue"),
    ("armchair", r"arm ?chair"),
    ("lamp", r"lamp|lantern|(?<!f)light\b|flashlight|chandelier|sconce"),
    ("bookcase/shelves", r"bookcase|book ?shel|shelves"),
    ("desk", r"^desk|desk$"),
    ("table", r"\b(work)?table\b(?! tennis bat)"),
    ("stool", r"stool|puff|pouf"),
    ("chair", r"chair"),
    ("sofa", r"sofa|couch|settee|corner seat|loveseat"),
    ("bed", r"\bbed$|\bbeds\b|futon|^crib|\bcot\b|bunk"),
    ("wardrobe", r"wardrobe|armoire|closet"),
    ("cabinet", r"cabinet|dresser|chest of drawers|sideboard|cupboard|chest$|commode"),
    ("fridge", r"fridge|refrigerator|freezer"),
    ("oven/stove", r"oven|stove|cooker|^hood|hob\b|microwave"),
    ("washbasin", r"basin|\bsink\b|vanity|lavabo"),
    ("toilet", r"toilets? unit|^toilet$|^toilets$|urinal|bidet|\bwc\b"),
    ("bathtub/shower", r"bath ?tub|^bath$|shower|jacuzzi"),
    ("computer/TV", r"\btv\b|television|computer|laptop|monitor|\bscreen\b(?! door)|imac|tablet\b"),
    ("piano", r"piano"),
    ("radiator", r"radiator"),
    ("vase", r"vase|\bjar\b"),
    ("plant", r"plant|cactus|bonsai|flower|orchid|ficus|bamboo"),
    ("bench", r"bench|little bank"),
    ("box", r"\bbox(es)?$|crate"),
    ("bottle", r"bottle"),
    ("cup/glass", r"\bcups?\b|\bmugs?\b|^glass(es)?$"),
    ("tree", r"tree"),
    ("person", r"\b(fe)?male\b|woman$|\bman$|\bgirl\b|\bboy\b|people"),
    ("animal", r"\bcat\b|\bdog\b(?! house)|\bhorse$(?<!clothes horse)|deer|\bbird\b|fish$|rabbit"),
    ("truck/bus/van", r"\btruck|\bbus\b|\bvan\b"),
    ("two-wheeler", r"scooter|bicycle|\bbike\b|motorcycle"),
    ("car", r"\bcar\b|\bsuv\b|\b(308|renault)\b"),
    ("door", r"\bdoors?\b|french window"),
    ("window", r"window"),
)  # fmt: skip
"""What a model is, by what its name says; the first that fits."""


@dataclass(frozen=True)
class Options:
    """Unpack furniture libraries to a catalogue folder.

    Attributes:
        libraries: .sh3f files.
        out: the folder; it must not hold a catalogue yet.
    """

    libraries: tuple[Path, ...]
    out: Path


def class_of(name: str, category: str) -> str | None:
    """What a model of that name is, None where no class fits."""
    lower = name.lower()
    if category == "Doors and windows":
        return "window" if "window" in lower and "french" not in lower else "door"
    return next((label for label, pattern in CLASSES if re.search(pattern, lower)), None)


def unpack(options: Options) -> int:
    """Unpack the libraries; how many models there are.

    Models that their library turns before it shows them are left out.

    Raises:
        CaptureError: one cannot be read, is absurdly large, or reaches out of the folder; or there is a catalogue.
        CacheError: the folder cannot be written.
    """
    listed = options.out / "catalog.json"
    if listed.exists():
        raise CaptureError("is there already", path=listed, mend="delete it, or choose another folder for --out")
    rows: list[dict[str, Any]] = []
    for path in options.libraries:
        try:
            with zipfile.ZipFile(path) as library:
                if sum(info.file_size for info in library.infolist()) > MOST_BYTES:
                    raise ValueError(f"more than {MOST_BYTES >> 20} MiB unpacked")
                rows += _models(library, path.stem, options.out)
        except (OSError, ValueError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
            raise CaptureError(
                "is no furniture library",
                path=path,
                found=f"{type(e).__name__}: {e}"[:200],
                expected=f"a zip with {PROPERTIES}",
                mend="take it from Debian's sweethome3d-furniture, or from sweethome3d.com",
            ) from e
    if not rows:
        raise CaptureError("holds no models", path=options.libraries[0] if options.libraries else None)
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    write_atomic(listed, lambda tmp: tmp.write_text(text, encoding="utf-8"))
    return len(rows)


def _models(library: zipfile.ZipFile, pack: str, out: Path) -> list[dict[str, Any]]:
    told = _properties(library.read(PROPERTIES))
    files: dict[str, list[str]] = {}
    for name in library.namelist():
        files.setdefault(str(PurePosixPath(name).parent), []).append(name)
    rows: list[dict[str, Any]] = []
    for number in sorted((k[3:] for k in told if re.fullmatch(r"id#\d+", k)), key=int):
        model = {k[: -len(number) - 1]: v for k, v in told.items() if k.endswith(f"#{number}")}
        if "modelRotation" in model or not model["model"].lower().endswith(".obj"):
            continue
        source = PurePosixPath(model["model"].lstrip("/"))
        folder = PurePosixPath("models", re.sub(r"[^\w-]+", "__", model["id"]))
        for name in files[str(source.parent)]:
            if name.lower().endswith(NEEDED):
                _write(out / folder / _plain(name), library.read(name))
        size = {f"{side}_cm": float(model[side]) for side in ("width", "depth", "height")}
        rows.append(
            {
                "id": model["id"],
                "name": model["name"],
                "category": model.get("category", ""),
                "class": class_of(model["name"], model.get("category", "")),
                **size,
                "creator": model.get("creator", "unknown"),
                "licence": LICENCES.get(pack, OTHERWISE),
                "obj": str(folder / _plain(source.name)),
            }
        )
    return rows


def _plain(name: str) -> str:
    """The last part of a path in a zip.

    Raises:
        ValueError: it leads out of the folder.
    """
    last = PurePosixPath(name).name
    if last in ("", "..") or "\\" in last or ":" in last:
        raise ValueError(f"a file named {name!r}")
    return last


def _write(path: Path, data: bytes) -> None:
    write_atomic(path, lambda tmp: tmp.write_bytes(data))


def _properties(data: bytes) -> Mapping[str, str]:
    """Java properties: Latin-1, with ``\\uXXXX`` for the rest; one key a line."""
    out: dict[str, str] = {}
    for line in data.decode("latin-1").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith(("#", "!")):
            out[key.strip()] = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), value.strip())
    return out


def main() -> None:
    """The command line."""
    with told_and_exited():
        options = tyro.cli(Options)
        total = unpack(options)
        print(f"{total} models: {options.out}")


if __name__ == "__main__":
    main()
