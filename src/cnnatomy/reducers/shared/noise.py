"""Counter-based noise: a hash of seed, plane and position, the same on every backend and for any threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BITS = 24
"""How many random bits a draw has: as many as every number below 1 in single precision."""

_MASK = 2**32 - 1
_ODD = 0x9E3779B1  # about 2^32 times the golden section: neighbouring positions come to lie far apart


class Word(Protocol):
    """An unsigned 32-bit integer for each lane; products are taken modulo 2^32."""

    def __mul__(self: W, other: int, /) -> W: ...
    def __xor__(self: W, other: W, /) -> W: ...
    def shifted(self: W, bits: int, /) -> W:
        """Moved down by so many bits, zeros coming in."""
        ...


W = TypeVar("W", bound=Word)


def mix(word: W) -> W:
    """A bijection in which every bit of the argument decides over every bit of the result.

    Source: Wellons, "Prospecting for hash functions", 2018 (lowbias32).
    """
    word = (word ^ word.shifted(16)) * 0x7FEB352D
    word = (word ^ word.shifted(15)) * 0x846CA68B
    return word ^ word.shifted(16)


def uniform(seed: tuple[W, W], plane: W, position: W) -> W:
    """A draw of `BITS` bits for an output, a number in [0, 1) once it is divided by 2^BITS.

    Args:
        seed: the low and the high half.
        plane: image times channels plus channel.
        position: the output's place in its plane, in row-major order.
    """
    low, high = seed
    key = mix(mix(mix(low) ^ high) ^ plane)
    return mix(key ^ position * _ODD).shifted(32 - BITS)


@dataclass(frozen=True)
class _Integers:
    """Words in a tensor of 64-bit integers."""

    value: Tensor

    def __mul__(self, other: int) -> _Integers:
        return _Integers(self.value * other & _MASK)

    def __xor__(self, other: _Integers) -> _Integers:
        return _Integers(self.value ^ other.value)

    def shifted(self, bits: int) -> _Integers:
        return _Integers(self.value >> bits)


def noise(seed: int | Tensor, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """The draws for every output of (N, C, *out), uniform in [0, 1), in single precision.

    The seed has 64 bits, as a number or as a tensor of one.

    Example:
        >>> draws = noise(0, (2, 3, 4, 4))
        >>> bool((draws == noise(0, (2, 3, 4, 4))).all()), bool((draws == noise(1, (2, 3, 4, 4))).any())
        (True, False)
    """
    import torch

    def words(first: int, last: int) -> _Integers:
        return _Integers(torch.arange(first, last, device=device))

    halves = (seed & _MASK, seed >> 32 & _MASK)
    low, high = (_Integers(torch.as_tensor(half, dtype=torch.int64, device=device)) for half in halves)
    planes = _Integers(words(0, math.prod(shape[:2])).value.unsqueeze(-1))
    drawn = uniform((low, high), planes, words(0, math.prod(shape[2:]))).value
    return (drawn.to(torch.float32) * 2.0**-BITS).view(tuple(shape))
