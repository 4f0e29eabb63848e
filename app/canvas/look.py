"""Colours of the canvas: backdrop, outlines, marks. ``theme`` picks one of these for the window."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]
Rgba = tuple[float, float, float, float]


def rgb(code: str) -> Rgb:
    """``"#rrggbb"`` to three numbers in 0..1."""
    return (int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:7], 16) / 255)


@dataclass(frozen=True)
class Look:
    """One theme's canvas colours."""

    backdrop_low: Rgb
    backdrop_high: Rgb
    grid: Rgb
    frustum: Rgba
    held_out: Rgba
    accent: Rgb
    truth: Rgb
    rim: Rgb


DARK = Look(
    backdrop_low=rgb("#0f1116"),
    backdrop_high=rgb("#262b36"),
    grid=rgb("#59637a"),
    frustum=(*rgb("#aab4c8"), 0.55),
    held_out=(*rgb("#8a93a6"), 0.30),
    accent=rgb("#4cc2ff"),
    truth=rgb("#7ee787"),
    rim=rgb("#0b0d11"),
)
LIGHT = Look(
    backdrop_low=rgb("#d5dae3"),
    backdrop_high=rgb("#f7f8fb"),
    grid=rgb("#9aa3b5"),
    frustum=(*rgb("#4a5468"), 0.55),
    held_out=(*rgb("#6b7488"), 0.30),
    accent=rgb("#0a6fd6"),
    truth=rgb("#1a8a3a"),
    rim=rgb("#ffffff"),
)
LOOKS = {"dark": DARK, "light": LIGHT}
