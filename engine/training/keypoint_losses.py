"""What the keypoint head is trained by: places that agree, scores that tell the outcome, local descriptors that match.

Positions are pixels (x, y) of the map, centres at +0.5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WINDOW = 4
"""Half the side of the window in which a maximum is told from its surroundings, pixels."""
SHARPNESS_PX = 0.7
"""Standard deviation of where a maximum should be."""


def at_pixels(logits: Tensor, pos_px: Tensor) -> Tensor:
    """(h, w) logits at the pixels that hold (N, 2) positions: (N,)."""
    h, w = logits.shape
    x = pos_px[:, 0].long().clamp(0, w - 1)
    y = pos_px[:, 1].long().clamp(0, h - 1)
    return logits[y, x]


def window_cross_entropy(logits: Tensor, pos_px: Tensor) -> Tensor:
    """How far from a single peak at (N, 2) positions the logits (h, w) around them are: a scalar.

    Cross-entropy between the softmax over each window and a narrow Gaussian at the position: it moves maxima to where
    the other view has them, below the pixel, and makes them lonely (in the role of R2D2's peakiness loss, Revaud et
    al., 2019, and of SuperPoint's cross-entropy over cells). Positions nearer than the window to the border are left
    out.
    """
    h, w = logits.shape
    centre = pos_px.floor().long()
    inside = ((centre >= WINDOW) & (centre < torch.tensor([w, h], device=centre.device) - WINDOW)).all(dim=1)
    if not bool(inside.any()):
        return logits.sum() * 0
    pos_px, centre = pos_px[inside], centre[inside]
    step = torch.arange(-WINDOW, WINDOW + 1, device=logits.device)
    dy, dx = (d.flatten() for d in torch.meshgrid(step, step, indexing="ij"))
    x, y = centre[:, :1] + dx, centre[:, 1:] + dy
    square = (x + 0.5 - pos_px[:, :1]) ** 2 + (y + 0.5 - pos_px[:, 1:]) ** 2
    target = torch.softmax(-square / (2 * SHARPNESS_PX**2), dim=1)
    return nn.functional.cross_entropy(logits[y, x], target)


def outcome_loss(logits: Tensor, pos_px: Tensor, outcome: Tensor) -> Tensor:
    """Binary cross-entropy of scores at (N, 2) keypoints against what became of them, (N,) in [0, 1].

    The score learns the chance that a keypoint is found again and matched (as R2D2's reliability), so that the
    highest are those worth keeping.
    """
    if not len(pos_px):
        return logits.sum() * 0
    return nn.functional.binary_cross_entropy_with_logits(at_pixels(logits, pos_px), outcome)


def teacher_loss(logits: Tensor, pos_px: Tensor) -> Tensor:
    """Binary cross-entropy of a score map (h, w) against a teacher's keypoints (N, 2), which weigh as much as all else.

    Pixels beside a keypoint are not asked.
    """
    h, w = logits.shape
    hit = torch.zeros(h, w, device=logits.device)
    x, y = pos_px[:, 0].long().clamp(0, w - 1), pos_px[:, 1].long().clamp(0, h - 1)
    hit[y, x] = 1
    near = nn.functional.max_pool2d(hit[None, None], 2 * WINDOW + 1, 1, WINDOW)[0, 0] > 0
    found, empty = hit > 0, ~near
    loss = logits.sum() * 0
    for mask, sign in ((found, -1.0), (empty, 1.0)):
        if bool(mask.any()):
            loss = loss + nn.functional.softplus(sign * logits[mask]).mean()
    return loss


def sample_map(features: Tensor, rel: Tensor) -> Tensor:
    """(D, h, w) at (N, 2) relative positions, bilinear: (N, D) of unit length, differentiable."""
    grid = (2 * rel - 1)[None, None].to(features.dtype)
    sampled = nn.functional.grid_sample(features[None], grid, align_corners=False, padding_mode="border")
    return nn.functional.normalize(sampled[0, :, 0].T, dim=1)


def matching_loss(similarity: Tensor, true_px: Tensor, columns_px: Tensor, spread_px: float = 1.5) -> Tensor:
    """InfoNCE of which of M places in the other view each of N points is; near its true place counts in part.

    Args:
        similarity: (N, M) logits.
        true_px: (N, 2) where the points truly are.
        columns_px: (M, 2) the places, some of which are within a pixel or so of every true one.
        spread_px: standard deviation of what still counts.
    """
    square = torch.cdist(true_px, columns_px) ** 2
    return nn.functional.cross_entropy(similarity, torch.softmax(-square / (2 * spread_px**2), dim=1))
