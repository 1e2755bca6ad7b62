"""Pictures by the batch, decoded by threads ahead of whoever takes them, never more than a few batches."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnatomy.data.decode import BadPictureError, decode, strict_pillow
from cnnatomy.data.fit_policies import Bytes, Frame
from cnnatomy.data.picture_sources import Read

AHEAD = 2
"""So many batches are decoded while one is used."""
_CHUNK = 16  # the files a thread takes at a time: a small one is decoded in 0.1 ms


Files = Sequence[tuple[Path, Read]]
_Outcome = tuple[str | None, tuple[str, ...]]  # why a picture could not be read, and what changed its values


class Batch(NamedTuple):
    """Some pictures, in the order of their files."""

    paths: Sequence[Path]
    images: Bytes
    """(N, C, H, W); black where a picture could not be read."""
    problems: Sequence[str | None]
    """Why each could not be read, as the end of a sentence that begins with its path; None: it could."""
    conversions: Sequence[tuple[str, ...]]
    """What changed the values of each, of `colours.CONVERSIONS`."""


def batches(
    files: Iterable[tuple[Path, Read]], frame: Frame, *, size: int, threads: int | None = None
) -> Generator[Batch]:
    """Decode files in batches of `size`, in their order; close the iterator if it is not exhausted.

    Several `threads` decode beside the caller's; 1 stands for the caller's own, which then decodes each batch
    when it asks for it. Left out, there are as many as processors, but at most 8.
    """
    some = iter(partial(_next, iter(files), size), [])
    threads = threads or min(8, os.cpu_count() or 1)
    with strict_pillow():
        yield from _here(some, frame) if threads == 1 else _ahead(some, frame, threads)


def _here(some: Iterator[Files], frame: Frame) -> Generator[Batch]:
    """Decode each batch when it is asked for."""
    for files in some:
        images = _room(files, frame)
        yield _batch(files, images, _decode(files, frame, images))


def _ahead(some: Iterator[Files], frame: Frame, threads: int) -> Generator[Batch]:
    """Decode the next batches while one is used."""
    waiting: deque[Callable[[], Batch]] = deque()
    with ThreadPoolExecutor(threads, "decode") as pool:
        try:
            while True:
                waiting += [_begun(files, frame, pool) for files in islice(some, AHEAD + 1 - len(waiting))]
                if not waiting:
                    return
                yield waiting.popleft()()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begun(files: Files, frame: Frame, pool: ThreadPoolExecutor) -> Callable[[], Batch]:
    """Begin to decode a batch; what is returned waits for it."""
    images = _room(files, frame)
    chunks: list[Future[list[_Outcome]]] = [
        pool.submit(_decode, files[at : at + _CHUNK], frame, images[at : at + _CHUNK])
        for at in range(0, len(files), _CHUNK)
    ]

    def wait() -> Batch:
        return _batch(files, images, [outcome for chunk in chunks for outcome in chunk.result()])

    return wait


def _batch(files: Files, images: Bytes, outcomes: Sequence[_Outcome]) -> Batch:
    paths, problems, conversions = ([path for path, _ in files], *zip(*outcomes, strict=True))
    return Batch(paths, images, problems, conversions)


def _next(files: Iterator[tuple[Path, Read]], size: int) -> Files:
    return list(islice(files, size))


def _room(files: Files, frame: Frame) -> Bytes:
    return np.zeros((len(files), frame.channels, *frame.size), np.uint8)


def _decode(files: Files, frame: Frame, rows: Bytes) -> list[_Outcome]:
    outcomes: list[_Outcome] = []
    for (_, read), row in zip(files, rows, strict=True):
        try:
            outcomes.append((None, decode(read(), frame, row).conversions))
        except BadPictureError as error:
            row[:] = 0
            outcomes.append((str(error), ()))
    return outcomes
