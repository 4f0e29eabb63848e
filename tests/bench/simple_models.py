"""A catalogue of furniture made of boxes, for rooms where no catalogue of models is at hand.

python -m tests.bench.simple_models OUT

Ten designs in sixteen sizes and colours; by name a fifth of them is held out, as with any catalogue. No training saw
any of them, and they look like what they are: figures from rooms of them say less than those from real models.
"""

from __future__ import annotations

import colorsys
import json
import sys
from pathlib import Path

import numpy as np

Box = tuple[float, float, float, float, float, float]
"""Lower and upper corner in shares of the size: x, y up, z."""


def _legs(top: float, width: float) -> list[Box]:
    return [(x, 0, z, x + width, top, z + width) for x in (0, 1 - width) for z in (0, 1 - width)]


DESIGNS: dict[str, tuple[tuple[float, float, float], list[Box]]] = {
    "chair": ((0.44, 0.9, 0.46), [*_legs(0.48, 0.1), (0, 0.48, 0, 1, 0.54, 1), (0, 0.54, 0, 1, 1, 0.1)]),
    "table": ((1.3, 0.75, 0.8), [*_legs(0.93, 0.07), (0, 0.93, 0, 1, 1, 1)]),
    "sofa": (
        (1.8, 0.8, 0.85),
        [(0, 0.05, 0, 1, 0.5, 1), (0, 0.5, 0, 1, 1, 0.3), (0, 0.5, 0.3, 0.12, 0.75, 1), (0.88, 0.5, 0.3, 1, 0.75, 1)],
    ),
    "bed": ((1.5, 0.9, 2.0), [(0, 0, 0, 1, 1, 0.04), (0, 0.15, 0.04, 1, 0.55, 1), (0.1, 0.55, 0.06, 0.9, 0.65, 0.24)]),
    "bookcase": (
        (0.9, 1.9, 0.35),
        [(0, 0, 0, 0.04, 1, 1), (0.96, 0, 0, 1, 1, 1), (0, 0, 0, 1, 1, 0.06)]
        + [(0, y, 0, 1, y + 0.03, 1) for y in (0.0, 0.24, 0.48, 0.72, 0.97)]
        + [(0.1, y, 0.1, 0.7, y + 0.14, 0.8) for y in (0.03, 0.27, 0.51, 0.75)],
    ),
    "wardrobe": (
        (1.2, 2.0, 0.6),
        [(0, 0, 0, 1, 1, 0.96), (0.03, 0.03, 0.96, 0.49, 0.97, 1), (0.51, 0.03, 0.96, 0.97, 0.97, 1)],
    ),
    "chest": (
        (0.8, 0.8, 0.45),
        [(0, 0, 0, 1, 1, 0.95), *((0.04, y, 0.95, 0.96, y + 0.27, 1) for y in (0.04, 0.36, 0.68))],
    ),
    "lamp": (
        (0.32, 0.5, 0.32),
        [(0.3, 0, 0.3, 0.7, 0.06, 0.7), (0.46, 0.06, 0.46, 0.54, 0.6, 0.54), (0, 0.6, 0, 1, 1, 1)],
    ),
    "stool": ((0.38, 0.45, 0.38), [*_legs(0.88, 0.14), (0, 0.88, 0, 1, 1, 1)]),
    "box": ((0.34, 0.26, 0.3), [(0, 0, 0, 1, 0.8, 1), (-0.02, 0.8, -0.02, 1.02, 1, 1.02)]),
}  # fmt: skip
OF_EACH = 16
_FACES = ((0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6))


def write_catalogue(folder: Path) -> Path:
    """Write all models and ``catalog.json``; what is there already is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for design, (size, boxes) in DESIGNS.items():
        for n in range(OF_EACH):
            name = f"{design}{n}"
            scale = np.array(size) * rng.uniform(0.75, 1.3, 3)
            colours = [colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.1, 0.8), rng.uniform(0.3, 0.95)) for _ in boxes]
            (folder / f"{name}.obj").write_text(_obj(name, boxes, scale))
            (folder / f"{name}.mtl").write_text(
                "".join(f"newmtl m{k}\nKd {r:.3f} {g:.3f} {b:.3f}\n" for k, (r, g, b) in enumerate(colours))
            )
            cm = dict(zip(("width_cm", "height_cm", "depth_cm"), np.round(100 * scale, 1).tolist(), strict=True))
            row = {"id": f"simple#{name}", "name": f"{design} {n}", "class": design, **cm}
            rows.append({**row, "creator": "ConDense Studio", "licence": "Apache-2.0", "obj": f"{name}.obj"})
    (folder / "catalog.json").write_text(json.dumps(rows))
    return folder


def _obj(name: str, boxes: list[Box], scale: np.ndarray) -> str:
    lines = [f"mtllib {name}.mtl"]
    for k, box in enumerate(boxes):
        lo, hi = np.array(box[:3]) * scale, np.array(box[3:]) * scale
        for corner in range(8):
            x, y, z = np.where([corner & 1, corner & 2, corner & 4], hi, lo)
            lines.append(f"v {x:.4f} {y:.4f} {z:.4f}")
        lines.append(f"usemtl m{k}")
        lines += ["f " + " ".join(str(8 * k + i + 1) for i in face) for face in _FACES]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(write_catalogue(Path(sys.argv[1])))
