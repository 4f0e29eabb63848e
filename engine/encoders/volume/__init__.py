"""3D encoders: from a grid's sparse voxels to a feature for each, in one pass."""

from engine.encoders.volume.minkunet import MinkUNet14, load_minkunet
from engine.encoders.volume.unet import VolumeConfig, VolumeEncoder, VolumeFeatures, load_volume_encoder

__all__ = ["MinkUNet14", "VolumeConfig", "VolumeEncoder", "VolumeFeatures", "load_minkunet", "load_volume_encoder"]
