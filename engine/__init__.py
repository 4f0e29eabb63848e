"""ConDense engine: captures, radiance grids, dense features and queries. No Qt and no GL in here."""

__version__ = "0.1.0"
