"""Encoders: photos to dense features (``load_encoder``), features to colours (``ColourBasis``)."""

from engine.encoders.image import ImageEncoder
from engine.encoders.pca import ColourBasis
from engine.encoders.registry import encoder_names, load_encoder

__all__ = ["ColourBasis", "ImageEncoder", "encoder_names", "load_encoder"]
