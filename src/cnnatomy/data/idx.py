"""The idx format of MNIST: two zero bytes, a type, a rank, big-endian sizes, then the bytes, gzipped or not.

Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database, "File formats".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cnnatomy.data.unpack_limits import allowed_size
from cnnatomy.errors import DataError
from cnnatomy.files.printable import byte_count, shown

UBYTE = 0x08
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_GZIP_MAGIC = b"\x1f\x8b"


class Readable(Protocol):
    """The little that is asked of an open file."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, or what is left of them."""


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """Return the uint8 array of `rank` axes held by the idx file `path`, gzipped or not.

    Raises:
        DataError: no such file, another format, type or rank, too few or too many bytes, damaged gzip.
    """
    with _opened(path) as stream:
        return _read(stream, path, rank)


def shape_of(path: Path, rank: int) -> tuple[int, ...]:
    """Return the shape that the idx file `path` announces, gzipped or not; for the errors see `read_idx`."""
    with _opened(path) as stream:
        return _read_shape(stream, path, rank)


@contextmanager
def _opened(path: Path) -> Iterator[Readable]:
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if zipped:
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield stream
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{shown(path)} is damaged: {error}", hint="fetching it again") from error
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error


def _read(stream: Readable, path: Path, rank: int) -> NDArray[np.uint8]:
    shape = _read_shape(stream, path, rank)
    count = math.prod(shape)
    allowed = allowed_size(path)
    if count > allowed:
        raise DataError(
            f"{shown(path)} announces far more than it can hold",
            expected=f"at most {byte_count(allowed)}",
            got=byte_count(count),
        )
    data = stream.read(count + 1)  # one more byte than announced shows a file that goes on
    if len(data) != count:
        got = f"{len(data):,}" if len(data) < count else f"more than {count:,}"
        raise DataError(f"{shown(path)} is cut off or damaged", expected=f"{count:,} bytes of data", got=got)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_shape(stream: Readable, path: Path, rank: int) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(
            f"{shown(path)} is not an idx file",
            expected=f"the magic number 0x{UBYTE << 8 | rank:08x}",
            got=f"0x{magic.hex()}" if magic else "an empty file",
        )
    if magic[2] != UBYTE:
        raise DataError(f"{shown(path)} holds another type", expected="uint8", got=_TYPES[magic[2]])
    if magic[3] != rank:
        what = {1: "labels", 3: "grey pictures"}.get(rank, "data")
        raise DataError(f"{shown(path)} does not hold {what}", expected=f"{rank} axes", got=str(magic[3]))
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{shown(path)} is cut off in its header")
    return struct.unpack(f">{rank}I", sizes)


def read_pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the pictures (N, H, W) and the labels (N,) of an idx pair, checked against each other.

    Raises:
        DataError: what `read_idx` raises; no pictures; another number of labels than pictures.
    """
    pictures, answers = read_idx(images, 3), read_idx(labels, 1)
    if len(pictures) != len(answers):
        raise DataError(
            f"{shown(labels)} does not belong to {shown(images)}",
            expected=f"{len(pictures):,} labels",
            got=f"{len(answers):,}",
        )
    if not pictures.size:
        raise DataError(f"{shown(images)} holds no pictures")
    return pictures, answers
