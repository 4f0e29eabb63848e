"""The 3D encoder put to work on labelled data of a user's own: a head on its features, and how well it does."""

from typing import Literal

Up = Literal["auto", "x", "y", "z"]
"""The axis that points up in a file; auto: y in OBJ and GLB/GLTF, else z."""
