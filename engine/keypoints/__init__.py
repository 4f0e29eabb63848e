"""Sparse keypoints: where they are on a score map and among voxels, and the network that scores pixels."""

from engine.keypoints.detect import keypoints_2d, keypoints_3d

__all__ = ["keypoints_2d", "keypoints_3d"]
