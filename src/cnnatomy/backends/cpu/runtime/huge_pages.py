"""Large results: what they are, and large pages for them.

The C library gives large blocks back as soon as they are freed, so that every call meets its result's memory
for the first time, page by page: filling 100 MB then takes several times as long as it should. Where a system
leaves the choice to programs (Linux, `transparent_hugepage` set to `madvise`), large pages are asked for.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable

from torch import Tensor

LARGE = 1 << 22
"""Bytes from which it pays."""

MAPPED = 1 << 25
"""Bytes from which the C library always has fresh memory; less may be memory that was asked for before."""

STREAM = 1 << 24
"""Bytes of a tensor that the processor's caches do not hold till it is read again."""

_MANY = 4096
_met: dict[int, int] = {}  # the addresses of results that were asked for, and their sizes


def _find() -> Callable[[int, int, int], int] | None:
    """The C library's `madvise`, where there are large pages to ask for."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        advise: Callable[[int, int, int], int] = ctypes.CDLL(None).madvise
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]  # type: ignore[attr-defined]
    except (OSError, AttributeError):
        return None
    return advise


_advise = _find()


def prefer_large(tensor: Tensor) -> None:
    """Ask for large pages under a fresh result, if it is large; it is only advice, and may go unheard."""
    nbytes = tensor.nbytes
    if _advise is None or nbytes < LARGE:
        return
    start = tensor.data_ptr()
    if nbytes < MAPPED:
        if _met.get(start) == nbytes:
            return  # a call to the system costs more than it could bring now
        if len(_met) >= _MANY:
            _met.clear()
        _met[start] = nbytes
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (start + nbytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
    _advise(first, size, mmap.MADV_HUGEPAGE)
