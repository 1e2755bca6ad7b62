"""One door for pictures: a name, a folder, an archive or idx files in; a training set and a test set out."""

from __future__ import annotations

from pathlib import Path

from cnnatomy.data.album import Album, to_dataset
from cnnatomy.data.builtin import read_digits, read_idx_source
from cnnatomy.data.catalog import SOURCES, one_of
from cnnatomy.data.fit import Frame, Size
from cnnatomy.data.idx_sets import find_pairs, read_pairs
from cnnatomy.data.pictures import Dataset, Progress, silent
from cnnatomy.errors import ArgumentError


def load(
    source: str | Path,
    *,
    size: Size,
    channels: int,
    fit: str = "letterbox",
    skip_bad: bool = False,
    seed: int = 0,
    test_fraction: float = 0.2,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Return the pictures of `source`, uint8 (N, channels, *size), as a training set and a test set.

    Example:
        >>> digits = load("digits", size=(32, 32), channels=1)
        >>> tuple(digits.train.images.shape), len(digits.test)
        ((1438, 1, 32, 32), 359)
        >>> digits.fitted.sentence()
        '1,797 pictures 8x8 enlarged x4 to 32x32'
    """
    frame = Frame(size, channels, fit)
    if not 0 < test_fraction < 1:
        raise ArgumentError(
            "test_fraction is a part of the pictures", expected="between 0 and 1", got=str(test_fraction)
        )
    name = source if isinstance(source, str) else source.name
    album = _read(source, frame, skip_bad, data_dir, progress or silent)
    return to_dataset(album, name, frame, seed=seed, test_fraction=test_fraction)


def _read(
    source: str | Path, frame: Frame, skip_bad: bool, data_dir: Path | None, progress: Progress
) -> Album:
    if source == "digits":
        return read_digits(frame)
    if source in ("mnist", "fashion-mnist"):
        return read_idx_source(str(source), frame, data_dir)
    path = Path(source)
    if path.is_dir() and (pairs := find_pairs(path)):
        return read_pairs(pairs, frame, path.name)
    one_of("data source", str(source), SOURCES)
    raise AssertionError
