"""One process at a time at a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from cnnatomy.errors import CheckpointError
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


@contextlib.contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Hold a lock that nobody waits for.

    Raises:
        CheckpointError: another process holds it, which says what that is doing.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        what = f"another process is {doing}"
        raise CheckpointError(what, hint="waiting for it, or another folder") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        held.release()
