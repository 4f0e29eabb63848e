"""What the window and the engine say to each other: numpy arrays and frozen dataclasses, nothing else.

This package imports numpy and the standard library only, so that the window can use it before torch is loaded.
Frames: OpenCV camera axes (x right, y down, z forward), camera-to-world poses, pixel centres at +0.5,
world = the capture's own units. Names carry their space: ``pos_w`` world, ``pos_c`` camera, ``pos_px`` pixels.
"""
