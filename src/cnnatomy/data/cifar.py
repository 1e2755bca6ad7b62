"""CIFAR-10 as its authors publish it: records of one label byte and 3x32x32 colour bytes.

Source: A. Krizhevsky, The CIFAR-10 dataset, "Binary version".
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from cnnatomy.data.colours import stacked
from cnnatomy.data.decoded import DecodedSet
from cnnatomy.data.fit_policies import Bytes, Frame
from cnnatomy.data.picture_sources import FileSource
from cnnatomy.errors import DataError
from cnnatomy.files.printable import shown

BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
SIDE = 32
_RECORD = 1 + 3 * SIDE * SIDE


def read_binary(file_source: FileSource, frame: Frame, classes: tuple[str, ...]) -> DecodedSet:
    """Return the decoded pictures of the six batches, the last of which is the test set.

    Raises:
        DataError: a batch is missing, is no whole number of records, or has a label that is no class.
    """
    at = {PurePosixPath(name).name: name for name in file_source.listing.files}
    if missing := [batch for batch in BATCHES if batch not in at]:
        raise DataError(f"{shown(file_source.path)} is not CIFAR-10", expected=f"a file {missing[0]} in it")
    with file_source.open([at[batch] for batch in BATCHES]) as files:
        read = {PurePosixPath(name).name: read() for name, read in files}
    parts = [_records(read[batch], f"{shown(file_source.path)}: {batch}", len(classes)) for batch in BATCHES]
    records, train = np.concatenate(parts), sum(map(len, parts[:-1]))
    names = [
        f"cifar10/{part}#{i}" for part, n in (("train", train), ("test", len(parts[-1]))) for i in range(n)
    ]
    pictures = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return DecodedSet(
        images=frame.stack(pictures),
        labels=records[:, 0].astype(np.int64),
        classes=classes,
        names=names,
        train=train,
        sizes={(SIDE, SIDE): len(records)},
        conversions=stacked(pictures, frame.channels),
    )


def _records(data: bytes, what: str, classes: int) -> Bytes:
    if not data or len(data) % _RECORD:
        raise DataError(
            f"{what} is cut off", expected=f"records of {_RECORD:,} bytes", got=f"{len(data):,} bytes"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    if (worst := int(records[:, 0].max())) >= classes:
        raise DataError(f"{what} has a label that is no class", expected=f"0..{classes - 1}", got=str(worst))
    return records
