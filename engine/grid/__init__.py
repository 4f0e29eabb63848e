"""Radiance grid of one capture: fit, fusion from depth, pruning, lifting of features, storage.

Names are imported when first used: ``engine.grid.stored`` shows a fitted scene before numba and torch are loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.grid.fit import fit_grid
    from engine.grid.lift import LiftAccumulator, LiftedFeatures, lift_features
    from engine.grid.radiance import RadianceGrid
    from engine.grid.settings import FitSettings
    from engine.grid.spec import GridSpec

_HOME = {
    "FitSettings": "settings",
    "GridSpec": "spec",
    "LiftAccumulator": "lift",
    "LiftedFeatures": "lift",
    "RadianceGrid": "radiance",
    "fit_grid": "fit",
    "lift_features": "lift",
}

__all__ = ["FitSettings", "GridSpec", "LiftAccumulator", "LiftedFeatures", "RadianceGrid", "fit_grid", "lift_features"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
