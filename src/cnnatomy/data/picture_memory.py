"""Memory for decoded pictures: given only where the machine has it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cnnatomy.errors import DataError
from cnnatomy.files.machine import free_memory
from cnnatomy.files.printable import byte_count


def room(shape: tuple[int, int, int, int], what: str) -> NDArray[np.uint8]:
    """Return zeroed room for the pictures of `what`, (N, C, H, W).

    Raises:
        DataError: it is more than the memory that is free; nothing was allocated.

    Example:
        >>> room((10**6, 3, 9_999, 9_999), "mnist")
        Traceback (most recent call last):
        cnnatomy.errors.DataError: mnist does not fit into memory at 9999x9999: expected at most ... got ...
    """
    wanted, has = math.prod(shape), free_memory()
    if has is not None and wanted > has:
        raise DataError(
            f"{what} does not fit into memory at {shape[2]}x{shape[3]}",
            expected=f"at most {byte_count(has)}",
            got=byte_count(wanted),
            hint="a smaller size or fewer pictures",
        )
    return np.zeros(shape, np.uint8)
