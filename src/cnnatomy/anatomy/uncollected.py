"""Making records in peace from the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection of garbage inside: among thousands of new records, all kept, it costs more than they do.

    The new ones alone are looked at in the end; else all that the process has ever made might be, at once.

    Example:
        >>> with uncollected():
        ...     gc.isenabled()
        False
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.collect(0)
            gc.enable()
