"""Names of the fake room's two boxes, and what prompts for them find."""

from __future__ import annotations

import numpy as np

from engine.api.replies import PromptFound, PromptReply, Region, SceneNamed
from engine.api.requests import PromptQuery
from engine.api.scene import SceneInfo, Volume

Pos = tuple[float, float, float]
VOCABULARY = ("chair", "table", "wall")


def named(volume: Volume, id: int = 0) -> SceneNamed:
    likely = np.tile(np.arange(3, dtype=np.uint16), (len(volume.index), 1))
    chance = np.tile(np.array([153, 51, 2], np.uint8), (len(volume.index), 1))
    return SceneNamed(id=id, version=volume.version, vocabulary=VOCABULARY, photos=True, likely=likely, chance=chance)


def prompted(
    scene: SceneInfo,
    volume: Volume,
    request: PromptQuery,
    boxes: dict[str, tuple[Pos, Pos]],
) -> PromptReply:
    """A prompt for a box finds its voxels, and the left half of every photo; any other word is not known."""
    found: list[PromptFound] = []
    for prompt, threshold in zip(request.prompts, request.thresholds, strict=True):
        known = prompt in boxes
        relevancy = np.zeros(len(volume.index), np.uint8)
        regions: tuple[Region, ...] = ()
        if known:
            low, high = boxes[prompt]
            pos_w = volume.centres_w()
            inside = ((pos_w >= np.array(low)) & (pos_w <= np.array(high))).all(axis=1)
            relevancy[inside] = 204
            x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
            if threshold <= 0.8:
                regions = (Region((x, y, z), low, high, 1.0, 0.8),)
        views = {}
        for view in scene.views:
            half = np.zeros((36, 48), np.uint8)
            half[:, :24] = 204 if known else 0
            views[view.index] = half
        found.append(
            PromptFound(
                prompt=prompt, relevancy=relevancy, views=views, best=0.8 if known else 0.0,
                known=(prompt,) if known else (), unknown=() if known else (prompt,),
                nearest=((prompt, 1.0),) if known else (), within=known, spelled=() if known else ("chair",),
                regions=regions,
            )
        )  # fmt: skip
    return PromptReply(id=request.id, version=volume.version, found=tuple(found), milliseconds=3.0)
