"""The sources that have a name: found in the package, in the data folder, in the cache, or fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cnnatomy.data.archives import open_archive
from cnnatomy.data.cache import cached
from cnnatomy.data.cifar import SIDE, read_binary
from cnnatomy.data.colours import stacked
from cnnatomy.data.data_catalog import SOURCES, Source
from cnnatomy.data.data_folders import data_dir
from cnnatomy.data.decoded import DecodedSet
from cnnatomy.data.fit_policies import Frame
from cnnatomy.data.idx import read_pair, shape_of
from cnnatomy.data.idx_sets import Pair, read_pairs
from cnnatomy.data.picture_sources import FileSource, FolderSource
from cnnatomy.data.pictures import Progress
from cnnatomy.data.threaded_decoding import read_files
from cnnatomy.data.uniform import Uniform
from cnnatomy.errors import DataError
from cnnatomy.files.cache_folders import cache_dir
from cnnatomy.files.download import OfflineError, fetch
from cnnatomy.files.printable import shown


@dataclass(frozen=True)
class Wish:
    """Where named sources are looked for, and who is told of the progress."""

    folder: Path | None
    progress: Progress


@dataclass(frozen=True)
class Opened:
    """A source that was found: what its pictures are before they are read, and how to read them."""

    name: str
    pictures: FileSource | Uniform
    read: Callable[[Frame, Progress], DecodedSet]


def open_source(name: str, wish: Wish) -> Opened:
    """Return the source of that name.

    Raises:
        DataError: its files are not on this machine and cannot be fetched, or are damaged.
    """
    return _OPENERS[name](SOURCES[name], wish)


def open_files(name: str, file_source: FileSource) -> Opened:
    """Return the source that the picture files of a folder or an archive are."""
    return Opened(
        name,
        file_source,
        lambda frame, progress: cached(
            file_source.stamp, frame, lambda: read_files(file_source, frame, progress)
        ),
    )


def open_pairs(name: str, pairs: Sequence[Pair], classes: tuple[str, ...] = ()) -> Opened:
    """Return the source that idx files are.

    Raises:
        DataError: one cannot be read, or is no idx file.
    """
    shapes = [shape_of(pair.images, 3) for pair in pairs]
    uniform = Uniform((shapes[0][1], shapes[0][2]), 1, sum(shape[0] for shape in shapes))
    return Opened(name, uniform, lambda frame, progress: read_pairs(pairs, frame, name, classes))


def _open_digits(source: Source, wish: Wish) -> Opened:
    with as_file(files("cnnatomy.data") / "assets") as assets:
        pictures, labels = read_pair(
            assets / "digits-images-idx3-ubyte.gz", assets / "digits-labels-idx1-ubyte.gz"
        )
    levels = pictures.astype(np.uint16)[:, None]  # the scans have 17, 0..16
    grey = (levels * 255 // 16).astype(np.uint8)

    def read(frame: Frame, progress: Progress) -> DecodedSet:
        return DecodedSet(
            images=frame.stack(grey),
            labels=labels.astype(np.int64),
            classes=source.classes,
            names=[f"digits#{i}" for i in range(len(labels))],
            train=None,
            sizes={(8, 8): len(labels)},
            conversions=stacked(grey, frame.channels),
        )

    return Opened(source.name, Uniform((8, 8), 1, len(labels)), read)


def _open_idx(source: Source, wish: Wish) -> Opened:
    paths = _local(source, wish.folder) or _fetched(source, wish)
    pairs = [Pair("train", paths[0], paths[1]), Pair("t10k", paths[2], paths[3])]
    return open_pairs(source.name, pairs, source.classes)


def _open_cifar10(source: Source, wish: Wish) -> Opened:
    """Return CIFAR-10 from its original archive, or from JPEG copies where only those are there."""
    copies = _first_in_places(wish.folder, "cifar10", "cifar10-jpeg.tar.xz", "cifar10-jpeg.zip")
    original = _local(source, wish.folder)
    if copies and not original:
        return _open_copies(source, copies)
    file_source = open_archive((original or _fetched(source, wish))[0])
    return Opened(
        source.name,
        Uniform((SIDE, SIDE), 3, None),
        lambda frame, progress: cached(
            file_source.stamp, frame, lambda: read_binary(file_source, frame, source.classes)
        ),
    )


def _open_copies(source: Source, path: Path) -> Opened:
    copies = open_files(source.name, file_source_of(path))

    def read(frame: Frame, progress: Progress) -> DecodedSet:
        decoded = copies.read(frame, progress)
        if decoded.classes != source.classes:
            raise DataError(
                f"{shown(path)} is not CIFAR-10",
                expected=", ".join(source.classes),
                got=", ".join(decoded.classes),
            )
        decoded.notes += (f"the pictures are copies ({path.name}), not the original pixels of CIFAR-10",)
        return decoded

    return Opened(source.name, copies.pictures, read)


_OPENERS: Mapping[str, Callable[[Source, Wish], Opened]] = MappingProxyType(
    {"digits": _open_digits, "mnist": _open_idx, "fashion-mnist": _open_idx, "cifar10": _open_cifar10}
)


def file_source_of(path: Path) -> FileSource:
    """Return the files of a folder or an archive."""
    return FolderSource(path) if path.is_dir() else open_archive(path)


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
