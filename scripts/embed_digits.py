"""Write the digits that ship inside the package, from scikit-learn's copy of the UCI set.

    python scripts/embed_digits.py

The pixels keep their 17 grey levels 0..16; `cnnatomy.data` scales them to 0..255 when it reads them.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

ASSETS = Path(__file__).parents[1] / "src" / "cnnatomy" / "data" / "assets"


def write_idx(path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """Write `array` as a gzipped idx file; the same array always gives the same bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    digits = load_digits()
    write_idx(ASSETS / "digits-images-idx3-ubyte.gz", digits.images.astype(np.uint8))
    write_idx(ASSETS / "digits-labels-idx1-ubyte.gz", digits.target.astype(np.uint8))
