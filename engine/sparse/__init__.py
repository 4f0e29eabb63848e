"""Sparse convolutions over voxels in plain torch: gather and one matrix product, with a backward that only gathers."""

from engine.sparse.conv import DownConv, GatherConv, StridedConv, SubmanifoldConv, UpConv
from engine.sparse.maps import ConvMap, Pyramid, TreeMap, coarsen, conv_map, tree_map
from engine.sparse.voxels import Voxels

__all__ = [
    "ConvMap",
    "DownConv",
    "GatherConv",
    "Pyramid",
    "StridedConv",
    "SubmanifoldConv",
    "TreeMap",
    "UpConv",
    "Voxels",
    "coarsen",
    "conv_map",
    "tree_map",
]
