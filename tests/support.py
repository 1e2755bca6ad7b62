"""What several tests share: one table of tolerances, and random tensors with ties."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TOLERANCE: dict[torch.dtype, dict[str, Any]] = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 1.6e-2, "atol": 1.6e-2},
}
"""How far a result of each dtype may lie from the float64 truth, computed from the same rounded input."""

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def close(actual: Tensor, truth: Tensor, sums: float = 1.0) -> None:
    """Assert that a result equals the truth to its dtype's tolerance; `sums` widens it for longer sums."""
    allowed = {name: value * sums for name, value in TOLERANCE[actual.dtype].items()}
    torch.testing.assert_close(actual.double(), truth.double(), equal_nan=True, check_stride=False, **allowed)


def random(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0, ties: bool = False
) -> Tensor:
    """Random numbers, positive and negative; with `ties` from a handful of values."""
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return torch.randint(-2, 3, shape, generator=generator).to(dtype)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def last(x: Tensor) -> Tensor:
    """The same in the channels_last format."""
    return x.contiguous(memory_format=LAST[x.dim()])
