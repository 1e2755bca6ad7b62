"""One door for pictures: a name, a folder, an archive or idx files in; a training set and a test set out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cnnatomy.data.builtin import Opened, Wish, file_source_of, open_files, open_pairs, open_source
from cnnatomy.data.data_catalog import SOURCES, one_of
from cnnatomy.data.decoded import DecodedSet, to_dataset
from cnnatomy.data.fit_policies import Frame, Size
from cnnatomy.data.idx_sets import Pair, find_pairs, stem_of
from cnnatomy.data.picture_memory import room
from cnnatomy.data.picture_sources import read_file
from cnnatomy.data.pictures import Dataset, Progress, silent
from cnnatomy.data.threaded_decoding import decode_all
from cnnatomy.errors import ArgumentError, DataError
from cnnatomy.files.printable import shown


def load(
    source: str | Path,
    *,
    size: Size | None = None,
    channels: int | None = None,
    fit: str = "letterbox",
    skip_bad: bool = False,
    seed: int = 0,
    test_fraction: float = 0.2,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Return the pictures of `source`, uint8 (N, channels, *size), as a training set and a test set.

    `source` is a name from `SOURCES`; a folder or an archive with a sub-folder for each class, below train/
    and test/ or not; or a folder, a file or the beginning of the names of idx files. What has no test set of
    its own gives `test_fraction` of each class, drawn by `seed`. Left out, `size` is the pictures' own, if
    they all have one, and `channels` 3 if any has room for colours, else 1. `fit` is one of `POLICIES`. Files
    of named sources are looked for in `data_dir` (else CNNATOMY_DATA), then in the cache, else fetched.

    Raises:
        ArgumentError: an argument out of its range; a source that is neither a name nor there.
        DataError: pictures that cannot be read, which `skip_bad` lists in `Dataset.skipped` instead; a source
            that is damaged, unsafe to read, or lacks classes or pictures.

    Example:
        >>> digits = load("digits", size=(32, 32), channels=1)
        >>> tuple(digits.train.images.shape), len(digits.test)
        ((1438, 1, 32, 32), 359)
        >>> digits.fitted.sentence()
        '1,797 pictures 8x8 enlarged x4 to 32x32'
    """
    if not 0 < test_fraction < 1:
        raise ArgumentError(
            "test_fraction is a part of the pictures", expected="between 0 and 1", got=str(test_fraction)
        )
    report_progress = progress or silent
    opened = open_any(source, data_dir=data_dir, progress=report_progress)
    if size is None or channels is None:
        size, channels = _own(opened, size, channels, report_progress)
    frame = Frame((size[0], size[1]), channels, fit)
    decoded = opened.read(frame, report_progress)
    if decoded.skipped and not skip_bad:
        raise DataError(_complaint(decoded), hint="skip_bad (--skip-bad) to leave such pictures out")
    return to_dataset(decoded, opened.name, frame, seed=seed, test_fraction=test_fraction)


def _own(opened: Opened, size: Size | None, channels: int | None, progress: Progress) -> tuple[Size, int]:
    """The size and the channels that the pictures have themselves, where they are not given."""
    from cnnatomy.data.survey.headers import read_headers

    headers = read_headers(opened.pictures, progress=progress)
    if size is None and len(headers.sizes) != 1:
        few = ", ".join(f"{h}x{w}" for h, w in list(headers.sizes)[:3])
        got = f"{len(headers.sizes)} of them, such as {few}" if headers.sizes else "none"
        raise ArgumentError("the pictures have no one size", expected="size=", got=got, hint="size=(64, 64)")
    return size or next(iter(headers.sizes)), channels or (3 if headers.coloured else 1)


def open_any(source: str | Path, *, data_dir: Path | None = None, progress: Progress = silent) -> Opened:
    """Return a source of any kind, found and not read yet; for the arguments and errors see `load`."""
    if not str(source):
        one_of("data source", "", SOURCES, also="a folder or a file")
    if source in SOURCES:
        return open_source(str(source), Wish(data_dir, progress))
    path = _path(source)
    name = path.resolve().name
    if pairs := _idx_pairs(path):
        return open_pairs(name, pairs)
    if not path.exists():
        if len(path.parts) == 1:
            one_of("data source", str(path), SOURCES, also="a folder or a file")
        raise DataError(f"there is no file or folder {shown(path)}")
    return open_files(name, file_source_of(path))


def _path(source: str | Path) -> Path:
    path = Path(os.path.expanduser(source))
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # it may be the beginning of the names of idx files
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {shown(path)}: {getattr(error, 'strerror', error)}") from error
    return path


def _idx_pairs(path: Path) -> tuple[Pair, ...]:
    """Return the idx pairs in a folder, of a file, or whose names begin as `path` does."""
    if path.is_dir():
        return find_pairs(path)
    stem = stem_of(path)
    if not path.parent.is_dir() or (path.exists() and stem is None):
        return ()
    return find_pairs(path.parent, path.name if stem is None else stem)


def _complaint(decoded: DecodedSet) -> str:
    bad, first = len(decoded.skipped), decoded.skipped[0]
    sentence = f"{shown(first.path)} {first.reason}"
    if bad == 1:
        return sentence
    return f"{bad:,} of {bad + len(decoded.labels):,} pictures cannot be read, the first: {sentence}"


def read_pictures(
    paths: Sequence[str | Path], *, size: Size, channels: int, fit: str = "letterbox"
) -> Tensor:
    """Return picture files as `load` would: uint8 (len(paths), channels, *size), in the order of `paths`.

    Raises:
        ArgumentError: an argument out of its range.
        DataError: a picture that cannot be read; the first one is named.
    """
    frame = Frame((size[0], size[1]), channels, fit)
    files = [Path(os.path.expanduser(path)) for path in paths]
    images = room((len(files), frame.channels, *frame.size), f"a set of {len(files):,} pictures")
    keys = [str(i) for i in range(len(files))]
    rows = dict(zip(keys, images, strict=True))
    found = decode_all(
        [(key, partial(read_file, path)) for key, path in zip(keys, files, strict=True)], rows, frame
    )
    for key, path in zip(keys, files, strict=True):
        if isinstance(reason := found[key], str):
            raise DataError(f"{shown(path)} {reason}")
    return torch.from_numpy(images)
