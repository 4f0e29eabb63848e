"""Captures: posed photos with optional depth and points, whatever format they come in."""

from engine.captures.capture import Capture, Photo, View
from engine.captures.detect import open_capture

__all__ = ["Capture", "Photo", "View", "open_capture"]
