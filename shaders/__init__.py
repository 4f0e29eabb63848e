"""GLSL 1.20 sources, one ``.vert``/``.frag`` pair per visual, read by ``shaders.loader``."""
