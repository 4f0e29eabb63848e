"""3D encoders: from a grid's sparse voxels to a feature for each, in one pass."""

from engine.encoders.volume.minkunet import MinkUNet14, load_minkunet

__all__ = ["MinkUNet14", "load_minkunet"]
