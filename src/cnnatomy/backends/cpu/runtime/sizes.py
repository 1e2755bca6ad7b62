"""Sizes that all kernels agree on: elements of a dtype, values in a vector, work that is worth a thread."""

from __future__ import annotations

import torch

from cnnatomy.backends.cpu.runtime import jit

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
"""The names of the floating-point dtypes that kernels read."""

MANY = 8
"""Channels that fill a vector well enough: one of 32 bytes, and half of one of 64."""

GRAIN = 32_768
"""Elements that are worth a thread."""


def vector_widths(dtype: str) -> tuple[int, ...]:
    """How many values a vector may hold, widest first, down to one."""
    widest = jit.vector_bytes() // (8 if dtype == "float64" else 4)
    halves = [widest >> i for i in range(widest.bit_length()) if widest >> i >= 4]
    return (*halves, 1)


def aligned(size: int) -> int:
    """`size` bytes rounded up to whole cache lines."""
    return -(-size // 64) * 64
