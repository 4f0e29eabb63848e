"""Synthetic captures: furnished rooms, ray cast with soft light, with exact depth and object names.

``models`` reads furniture, ``shapes`` makes walls and other plain pieces, ``scene`` puts them together, ``light``
computes diffuse illumination once per surface cell, ``render`` makes views and ``capture`` writes them.
Frames: room units are metres, z up; cameras as in ``engine.api.camera``. Colours are linear RGB until written.
"""
