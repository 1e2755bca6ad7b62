"""Reading picture files: decoded by a few threads, straight into their place in one array."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from cnnatomy.data.classes import Arrangement, arrange
from cnnatomy.data.decode import BadPictureError, Decoded, decode, strict_pillow
from cnnatomy.data.decoded import DecodedSet
from cnnatomy.data.fit_policies import Bytes, Frame
from cnnatomy.data.picture_memory import room
from cnnatomy.data.picture_sources import FileSource, Read
from cnnatomy.data.pictures import Progress, Skipped
from cnnatomy.errors import DataError
from cnnatomy.files.printable import shown

_CHUNK = 32  # the files a thread takes at a time: a small one is decoded in 0.1 ms
Found = TypeVar("Found")
Outcome = Decoded | str  # what a picture was, or why it is bad


def read_files(file_source: FileSource, frame: Frame, progress: Progress) -> DecodedSet:
    """Decode picture files in a folder for each class; bad pictures are left out and listed.

    Raises:
        DataError: what `arrange` raises; a class whose pictures are all bad; more pictures than memory holds.
    """
    plan = arrange(file_source.listing, file_source.path)
    images = room((len(plan.names), frame.channels, *frame.size), shown(file_source.path))
    rows = {name: images[i] for i, name in enumerate(plan.names)}
    what, total = f"decoding {shown(file_source.path.name)}", len(rows)
    with file_source.open(plan.names) as files:
        found = decode_all(files, rows, frame, lambda done: progress(what, done, total, "pictures"))
    decoded = [outcome for outcome in found.values() if not isinstance(outcome, str)]
    good = np.array([not isinstance(found[name], str) for name in plan.names])
    skipped = _skipped(plan, found, file_source.path)
    for to, at in enumerate(np.flatnonzero(good) if skipped else ()):
        images[to] = images[at]
    return DecodedSet(
        images=images[: good.sum()],
        labels=plan.labels[good],
        classes=plan.classes,
        names=[name for name, keep in zip(plan.names, good, strict=True) if keep],
        train=None if plan.train is None else int(good[: plan.train].sum()),
        validation=None if plan.validation is None else int(good[plan.train :][: plan.validation].sum()),
        sizes=Counter(one.size for one in decoded),
        conversions=Counter(name for one in decoded for name in one.conversions),
        skipped=skipped,
        notes=plan.notes,
    )


def _skipped(plan: Arrangement, found: Mapping[str, Outcome], where: Path) -> tuple[Skipped, ...]:
    """Return the bad pictures; raise DataError where they leave a class with nothing to train on."""
    reasons = [found[name] for name in plan.names]
    bad = [Skipped(name, why) for name, why in zip(plan.names, reasons, strict=True) if isinstance(why, str)]
    for label, name in enumerate(plan.classes):
        members = np.flatnonzero(plan.labels[: plan.train] == label)
        if all(isinstance(reasons[i], str) for i in members):
            first = plan.names[members[0]]
            raise DataError(f"no picture of {name} can be read: {shown(where / first)} {found[first]}")
    return tuple(bad)


def decode_all(
    files: Iterable[tuple[str, Read]],
    rows: Mapping[str, Bytes],
    frame: Frame,
    done: Callable[[int], object] = lambda count: None,
) -> dict[str, Outcome]:
    """Decode each file into its row, telling `done` how many there are so far; return what came of each."""
    return each_file(files, lambda name, read: decode(read(), frame, rows[name]), done)


def each_file(
    files: Iterable[tuple[str, Read]],
    work: Callable[[str, Read], Found],
    done: Callable[[int], object] = lambda count: None,
) -> dict[str, Found | str]:
    """Give each file to `work`, in a few threads; return what it found, or why a picture is bad."""

    def found(name: str, read: Read) -> Found | str:
        try:
            return work(name, read)
        except BadPictureError as error:
            return str(error)

    outcomes: dict[str, Found | str] = {}
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[dict[str, Found | str]]] = deque()
    source = iter(files)
    with strict_pillow(), ThreadPoolExecutor(workers, "read") as pool:
        while (chunk := list(islice(source, _CHUNK))) or waiting:
            if chunk:
                waiting.append(
                    pool.submit(lambda part: {name: found(name, read) for name, read in part}, chunk)
                )
            # A few chunks ahead and no more, because what was read from an archive waits in memory.
            if not chunk or len(waiting) > 2 * workers:
                outcomes |= waiting.popleft().result()
                done(len(outcomes))
    return outcomes
