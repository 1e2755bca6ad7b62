"""What tests of kernels must know of processors, to be the same on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from cnnatomy.backends import fast
from cnnatomy.backends.cpu.moving import pad, unpool
from cnnatomy.backends.cpu.pooling import plan_backward, plan_forward, pooling_launch, window_tables
from cnnatomy.backends.cpu.pooling.kernel_choice import Way
from cnnatomy.backends.cpu.pooling.window_tables import Key, Plan, Spec
from cnnatomy.backends.cpu.resampling import resampling_launch
from cnnatomy.backends.cpu.runtime import jit, sizes

LENGTHS = (16, 32, 64)
"""How many bytes the vectors of processors hold."""

DTYPES = [dtype for dtype in sizes.DTYPES if fast(torch.empty(0, dtype=dtype))]
"""What kernels read: float16 only where the processor converts it."""

_OWN = jit.vector_bytes()


@contextmanager
def vectors_of(length: int) -> Iterator[None]:
    """As on a processor whose vectors hold so many bytes; where this one's hold less, LLVM splits them."""
    looks_up = jit.looks_up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jit, "vector_bytes", lambda: length)
        patch.setattr(jit, "looks_up", lambda: length <= _OWN and looks_up())
        forget()
        try:
            yield
        finally:
            forget()


def forget() -> None:
    """Empty what remembers plans and kernels; machine code, which is found by its text, stays."""
    for module in (
        resampling_launch,
        pad,
        pooling_launch,
        unpool,
        window_tables,
        plan_forward,
        plan_backward,
    ):
        for held in vars(module).values():
            if hasattr(held, "cache_clear"):
                held.cache_clear()


def ways(make: Callable[[Key], Plan], key: Key) -> list[Way]:
    """Which way is taken with vectors of each of the LENGTHS; nothing is compiled."""
    found = []
    for length in LENGTHS:
        with vectors_of(length), pytest.MonkeyPatch.context() as patch:
            patch.setattr(window_tables, "_kernel", _no_kernel)
            found.append(make(key).way)
    return found


def _no_kernel(spec: Spec, pointers: int) -> Any:
    return None
