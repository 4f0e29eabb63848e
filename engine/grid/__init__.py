"""Radiance grid of one capture: fit, fusion from depth, pruning, lifting of features, storage."""

from engine.grid.fit import FitSettings, fit_grid
from engine.grid.lift import LiftAccumulator, LiftedFeatures, lift_features
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec

__all__ = ["FitSettings", "GridSpec", "LiftAccumulator", "LiftedFeatures", "RadianceGrid", "fit_grid", "lift_features"]
