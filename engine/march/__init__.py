"""Ray marching through a radiance grid: fast previews (numba) and the readable differentiable path (torch)."""

from engine.march.render import render_colour, render_table, surface_along, surface_points, unblocked, visible

__all__ = ["render_colour", "render_table", "surface_along", "surface_points", "unblocked", "visible"]
