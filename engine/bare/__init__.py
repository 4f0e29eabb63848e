"""Bare geometry: scenes that nobody photographed."""
