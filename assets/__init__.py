"""Shipped files: weights, the demo capture, icons, licences."""
