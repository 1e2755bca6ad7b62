"""The sources that have a name: found in the package, in the data folder, in the cache, or fetched."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from cnnatomy.data.album import Album
from cnnatomy.data.catalog import DIGITS, SOURCES, Remote
from cnnatomy.data.fit import Frame
from cnnatomy.data.idx import read_pair
from cnnatomy.data.idx_sets import Pair, read_pairs
from cnnatomy.data.places import cache_dir, data_dir
from cnnatomy.errors import DataError


def read_digits(frame: Frame) -> Album:
    """Return the 1,797 digits of the package, in the order of the source; 17 grey levels become 0..255."""
    with as_file(files("cnnatomy.data") / "assets") as assets:
        pictures, labels = read_pair(
            assets / "digits-images-idx3-ubyte.gz", assets / "digits-labels-idx1-ubyte.gz"
        )
    grey = (pictures.astype(np.uint16) * 255 // 16).astype(np.uint8)
    return Album(
        images=frame.stack(grey[:, None]),
        labels=labels.astype(np.int64),
        classes=DIGITS,
        names=[f"digits#{i}" for i in range(len(labels))],
        train=None,
        sizes={(8, 8): len(labels)},
    )


def read_idx_source(name: str, frame: Frame, folder: Path | None) -> Album:
    """Return a named source that is a train and a t10k pair of idx files."""
    source = SOURCES[name]
    paths = [_find(remote, folder) for remote in source.files]
    pairs = [Pair("train", paths[0], paths[1]), Pair("t10k", paths[2], paths[3])]
    return read_pairs(pairs, frame, name, source.classes)


def _find(remote: Remote, folder: Path | None) -> Path:
    for place in filter(None, [data_dir(folder), cache_dir()]):
        for path in (place / remote.path.removesuffix(".gz"), place / remote.path):
            if path.is_file():
                return path
    raise DataError(f"no {remote.path}")
