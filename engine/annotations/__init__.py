"""Annotations of a capture: labels on voxels, boxes, lines, landmarks and notes; edits, tools, reviews and files."""
