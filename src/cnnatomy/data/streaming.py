"""Pictures by the batch, decoded by threads ahead of whoever takes them, never more than a few batches."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnatomy.data.decode import BadPictureError, decode, strict_pillow
from cnnatomy.data.fit import Bytes, Frame
from cnnatomy.data.shelves import Read

AHEAD = 2
"""So many batches are decoded while one is used."""
_CHUNK = 16  # the files a thread takes at a time: a small one is decoded in 0.1 ms


class Batch(NamedTuple):
    """Some pictures, in the order of their files."""

    paths: Sequence[Path]
    images: Bytes
    """(N, C, H, W); black where a picture could not be read."""
    problems: Sequence[str | None]
    """Why each could not be read, as the end of a sentence that begins with its path; None: it could."""


def batches(
    files: Iterable[tuple[Path, Read]], frame: Frame, *, size: int, threads: int | None = None
) -> Generator[Batch]:
    """Decode files in batches of `size`, in their order; close the iterator if it is not exhausted.

    `threads` decode at a time; left out, as many as there are processors, but at most 8.
    """
    source = iter(files)
    waiting: deque[Callable[[], Batch]] = deque()
    with strict_pillow(), ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1), "decode") as pool:
        try:
            while True:
                while len(waiting) <= AHEAD and (some := list(islice(source, size))):
                    waiting.append(_begun(some, frame, pool))
                if not waiting:
                    return
                yield waiting.popleft()()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begun(files: Sequence[tuple[Path, Read]], frame: Frame, pool: ThreadPoolExecutor) -> Callable[[], Batch]:
    """Begin to decode a batch; what is returned waits for it."""
    images = np.zeros((len(files), frame.channels, *frame.size), np.uint8)
    chunks: list[Future[list[str | None]]] = [
        pool.submit(_decode, files[at : at + _CHUNK], frame, images[at : at + _CHUNK])
        for at in range(0, len(files), _CHUNK)
    ]

    def wait() -> Batch:
        problems = [problem for chunk in chunks for problem in chunk.result()]
        return Batch([path for path, _ in files], images, problems)

    return wait


def _decode(files: Sequence[tuple[Path, Read]], frame: Frame, rows: Bytes) -> list[str | None]:
    problems: list[str | None] = []
    for (_, read), row in zip(files, rows, strict=True):
        try:
            decode(read(), frame, row)
            problems.append(None)
        except BadPictureError as error:
            row[:] = 0
            problems.append(str(error))
    return problems
