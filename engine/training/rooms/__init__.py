"""Synthetic captures: furnished rooms, ray cast with soft light, with exact depth and object names.

``models`` reads furniture, ``shapes`` makes walls and other plain pieces, ``scene`` puts them together, ``light``
computes diffuse illumination once per surface cell, ``render`` makes views and ``capture`` writes them (the demo room,
with care). ``generate`` makes rooms by the thousand: ``library`` divides the models, ``furnish`` and ``cameras`` choose
what stands where, ``quick`` renders, ``pack`` writes shards, ``shards`` reads them, ``grid`` fuses their depth.
Frames: room units are metres, z up; cameras as in ``engine.api.camera``. Colours are linear RGB until written.
"""
