"""ConDense engine: captures, radiance grids, dense features and queries. No Qt and no GL in here."""

import os

__version__ = "0.1.0"

# Before numba is imported: Open3D brings a TBB that numba finds, refuses as too old and warns about.
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")
