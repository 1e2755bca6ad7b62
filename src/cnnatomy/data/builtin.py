"""The sources that have a name: found in the package, in the data folder, in the cache, or fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cnnatomy.data.album import Album
from cnnatomy.data.archives import open_archive
from cnnatomy.data.cache import cached
from cnnatomy.data.catalog import SOURCES, Source
from cnnatomy.data.cifar import read_binary
from cnnatomy.data.colours import stacked
from cnnatomy.data.fit import Frame
from cnnatomy.data.idx import read_pair
from cnnatomy.data.idx_sets import Pair, read_pairs
from cnnatomy.data.pictures import Progress
from cnnatomy.data.places import data_dir
from cnnatomy.data.reading import read_shelf
from cnnatomy.data.shelves import FolderShelf, Shelf
from cnnatomy.errors import DataError
from cnnatomy.files.download import OfflineError, fetch
from cnnatomy.files.places import cache_dir
from cnnatomy.files.text import shown


@dataclass(frozen=True)
class Wish:
    """How a source is wanted: for which frame, from which data folder, and who is told of the progress."""

    frame: Frame
    folder: Path | None
    progress: Progress


def read_source(name: str, wish: Wish) -> Album:
    """Return the album of the source of that name.

    Raises:
        DataError: its files are damaged, or they are not on this machine and cannot be fetched.
    """
    return _READERS[name](SOURCES[name], wish)


def _read_digits(source: Source, wish: Wish) -> Album:
    with as_file(files("cnnatomy.data") / "assets") as assets:
        pictures, labels = read_pair(
            assets / "digits-images-idx3-ubyte.gz", assets / "digits-labels-idx1-ubyte.gz"
        )
    levels = pictures.astype(np.uint16)[:, None]  # the scans have 17, 0..16
    grey = (levels * 255 // 16).astype(np.uint8)
    return Album(
        images=wish.frame.stack(grey),
        labels=labels.astype(np.int64),
        classes=source.classes,
        names=[f"digits#{i}" for i in range(len(labels))],
        train=None,
        sizes={(8, 8): len(labels)},
        conversions=stacked(grey, wish.frame.channels),
    )


def _read_idx(source: Source, wish: Wish) -> Album:
    paths = _local(source, wish.folder) or _fetched(source, wish)
    pairs = [Pair("train", paths[0], paths[1]), Pair("t10k", paths[2], paths[3])]
    return read_pairs(pairs, wish.frame, source.name, source.classes)


def _read_cifar10(source: Source, wish: Wish) -> Album:
    """Return CIFAR-10 from its original archive, or from JPEG copies where only those are there."""
    copies = _first_in_places(wish.folder, "cifar10", "cifar10-jpeg.tar.xz", "cifar10-jpeg.zip")
    original = _local(source, wish.folder)
    if original or not copies:
        path = (original or _fetched(source, wish))[0]
        shelf = open_archive(path)
        return cached(shelf.stamp, wish.frame, lambda: read_binary(shelf, wish.frame, source.classes))
    copy = shelf_of(copies)
    album = cached(copy.stamp, wish.frame, lambda: read_shelf(copy, wish.frame, wish.progress))
    if album.classes != source.classes:
        raise DataError(
            f"{shown(copies)} is not CIFAR-10",
            expected=", ".join(source.classes),
            got=", ".join(album.classes),
        )
    album.notes += (f"the pictures are copies ({copies.name}), not the original pixels of CIFAR-10",)
    return album


_READERS: Mapping[str, Callable[[Source, Wish], Album]] = MappingProxyType(
    {"digits": _read_digits, "mnist": _read_idx, "fashion-mnist": _read_idx, "cifar10": _read_cifar10}
)


def shelf_of(path: Path) -> Shelf:
    """Return the shelf of a folder or an archive."""
    return FolderShelf(path) if path.is_dir() else open_archive(path)


def _local(source: Source, folder: Path | None) -> list[Path]:
    """Return all files of a source, packed or unpacked, or none unless all are there."""
    found = [
        _first_in_places(folder, remote.path.removesuffix(".gz"), remote.path) for remote in source.files
    ]
    paths = [path for path in found if path]
    return paths if len(paths) == len(found) else []


def _first_in_places(folder: Path | None, *names: str) -> Path | None:
    places = [place for place in (data_dir(folder), cache_dir()) if place]
    paths = [place / name for place in places for name in names]
    return next((path for path in paths if path.exists()), None)


def _fetched(source: Source, wish: Wish) -> list[Path]:
    try:
        return [fetch(remote, cache_dir(), wish.progress) for remote in source.files]
    except OfflineError as error:
        names = ", ".join(remote.path for remote in source.files)
        places = " or ".join(shown(place) for place in (data_dir(wish.folder), cache_dir()) if place)
        raise DataError(
            f"{source.name} is not on this machine and cannot be fetched ({error})",
            hint=f"again online, or put {names} into {places}",
        ) from error
