"""One process at a time at a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from cnnatomy.files.private import made


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock that goes with `path` while others wait; false where its folder cannot be written."""
    with contextlib.ExitStack() as stack:
        try:
            made(path.parent)
            stack.enter_context(FileLock(f"{path}.lock"))
            writable = True
        except OSError:
            writable = False
        yield writable
