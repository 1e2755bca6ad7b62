"""Memory for decoded pictures: given only where the machine has it."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnatomy.errors import DataError
from cnnatomy.files.text import byte_count

_FREE = Path("/proc/meminfo")


def room(shape: tuple[int, int, int, int], what: str) -> NDArray[np.uint8]:
    """Return zeroed room for the pictures of `what`, (N, C, H, W).

    Raises:
        DataError: it is more than the memory that is free; nothing was allocated.

    Example:
        >>> room((10**6, 3, 9_999, 9_999), "mnist")
        Traceback (most recent call last):
        cnnatomy.errors.DataError: mnist does not fit into memory at 9999x9999: expected at most ... got ...
    """
    if (wanted := math.prod(shape)) > (has := free_memory()):
        raise DataError(
            f"{what} does not fit into memory at {shape[2]}x{shape[3]}",
            expected=f"at most {byte_count(has)}",
            got=byte_count(wanted),
            hint="a smaller size or fewer pictures",
        )
    return np.zeros(shape, np.uint8)


def free_memory() -> int:
    """How many bytes can be had without taking them from others; all there are where that is not known."""
    try:
        if found := re.search(r"MemAvailable: +(\d+) kB", _FREE.read_text()):
            return int(found[1]) << 10
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # no such question to this platform
        return 1 << 62
