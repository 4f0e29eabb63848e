"""Which voxels labels are of: kept with them, so that they still have a place in the world when the grid is another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import AnnotationError, CacheError
from engine.grid.spec import GridSpec
from engine.storage import digest, read_tensors, write_tensors

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid

FORMAT = "annotated-voxels/1"


@dataclass(frozen=True, eq=False)
class VoxelPlaces:
    """The voxels of a grid without what they look like: ``spec`` and ``index`` (V, 3) int32."""

    spec: GridSpec
    index: NDArray[np.int32]

    @classmethod
    def of(cls, grid: RadianceGrid) -> VoxelPlaces:
        """Those of a radiance grid."""
        return cls(grid.spec, grid.index)

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def key(self) -> str:
        """The grid's fingerprint: another for any other place, size or set of voxels."""
        spec = self.spec
        at = f"{spec.lo_w.tolist()} {spec.voxel!r} {spec.dims}"
        return digest(at, np.ascontiguousarray(self.index, np.int32).tobytes())

    @property
    def centres_w(self) -> NDArray[np.float64]:
        """(V, 3) world units."""
        return self.spec.to_world(self.index + 0.5)

    def rows_at(self, pos_w: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) the voxels that hold world points (N, 3), or lie beside them; -1 for none."""
        from engine.carry import rows_beside

        lut = np.full(self.spec.dims, -1, np.int32)
        lut[tuple(self.index.T)] = np.arange(len(self.index), dtype=np.int32)
        pos_g = np.clip(self.spec.to_grid(pos_w), -2, 1 << 17)
        return rows_beside(np.nan_to_num(pos_g, nan=-2).astype(np.float32), lut)

    def write(self, path: Path) -> None:
        """Raises:
        CacheError: the file cannot be written.
        """
        spec = self.spec
        meta = {"format": FORMAT, "lo_w": spec.lo_w.tolist(), "voxel": spec.voxel, "dims": list(spec.dims)}
        write_tensors(path, {"index": self.index.astype(np.uint16)}, meta)

    @classmethod
    def read(cls, path: Path) -> VoxelPlaces:
        """What ``write`` wrote.

        Raises:
            AnnotationError: missing, damaged, or of another version.
        """
        try:
            tensors, meta = read_tensors(path)
            if meta.get("format") != FORMAT:
                raise ValueError(f"the format {meta.get('format')!r:.40}")
            spec = GridSpec(np.array(meta["lo_w"], np.float64), float(meta["voxel"]), tuple(meta["dims"]))
            index = tensors["index"]
            if index.dtype != np.uint16 or index.ndim != 2 or index.shape[1] != 3:
                raise ValueError(f"an index of {index.dtype} {index.shape}")
            if (index >= np.array(spec.dims)).any():
                raise ValueError("a voxel lies outside the grid")
        except (CacheError, KeyError, TypeError, ValueError, OverflowError) as e:
            raise AnnotationError(
                "the annotated voxels cannot be read", path=path, found=str(e), expected=f"the format '{FORMAT}'",
                mend="open the capture with the grid that was annotated; the file is then made again",
            ) from e  # fmt: skip
        return cls(spec, index.astype(np.int32))
