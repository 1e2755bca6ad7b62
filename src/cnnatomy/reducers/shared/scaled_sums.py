"""Sums of numbers beyond the range of the format: (k, s, ..) stands for s 2^k and so on.

Exponentials and powers of finite numbers never overflow in this form, and merging two sums takes neither an
exponential nor a logarithm: the sum with the smaller exponent is scaled by an exact power of two.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnnatomy.reducers.contract import Lane, Line, Mask, State

if TYPE_CHECKING:
    from torch import Tensor

TIMES = 64
"""Whole powers up to this are products."""

_LOWEST, _HIGHEST = -87.0, 88.0

NOTHING = -math.inf
"""The exponent of an empty sum. It meets itself only as 0 2^(-inf + inf), which `Lane.scale` makes 0."""


def merge(state: State, other: State) -> State:
    """(k, s, ..) + (k', s', ..)"""
    k = state[0].larger(other[0])
    down, other_down = state[0] - k, other[0] - k
    sums = zip(state[1:], other[1:], strict=True)
    return (k, *(s.scale(down) + t.scale(other_down) for s, t in sums))


def held(v: Lane) -> Lane:
    """v itself where e^v is a normal number in single precision, and the nearest such v elsewhere."""
    return v.like(_HIGHEST).smaller(v.like(_LOWEST).larger(v))


def moderate(total: Lane) -> Mask:
    """Whether a sum of exponentials of `held` numbers is so far from both ends that no number was changed.

    A number that was raised adds 2^-56 of such a sum at most; one that was lowered would make it larger.
    """
    return (total > 2.0**-70) & (total < 2.0**120)


def number(m: Lane, k: Lane) -> Lane:
    """m 2^k in two steps, since 2^k alone may be out of range where the product is not."""
    half = (k * 0.5).floor()
    return m.scale(half).scale(k - half)


def power(m: Lane, k: Lane, exponent: float) -> tuple[Lane, Lane]:
    """(m 2^k)^exponent as (m', k'), for m as `Lane.split` gives it: no rounding grows with k.

    Integral exponents take multiplications; others e^(exponent ln m), with exponent k in a whole and a rest.
    """
    if exponent == int(exponent) and abs(exponent) <= TIMES:
        whole = repeated(m, int(abs(exponent)))
        return (m.like(1.0) / whole if exponent < 0 else whole), k * exponent
    high, low = parts(exponent)
    whole = (k * high).floor()
    rest = (k * high - whole) + k * low
    found, more = (m.log() * exponent + rest * math.log(2)).exponential()
    return found, whole + more


def root(m: Lane, k: Lane, degree: float) -> Lane:
    """(m 2^k)^(1 / degree), with k = degree q + r: e^((ln m + r ln 2) / degree) 2^q."""
    held = k.larger(-(2.0**30))  # of an empty sum
    high, low = parts(degree)
    q = (held * (1 / degree)).floor()
    r = (held - q * high) - q * low
    return number(((m.log() + r * math.log(2)) * (1 / degree)).exp(), q)


def parts(value: float) -> tuple[float, float]:
    """A number in two parts, the first so short that its product with an exponent of a format is exact."""
    fraction, exponent = math.frexp(value)
    high = math.ldexp(math.floor(math.ldexp(fraction, 12)), exponent - 12)
    return high, value - high


def weights(values: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """e^(v - top) along the last axis, 0 outside, and the top: the largest value inside, if that is finite.

    For definitions: nothing that lies outside reaches a derivative.
    """
    import torch

    top = torch.where(inside, values.detach(), -math.inf).amax(-1, keepdim=True)
    top = torch.where(top.isfinite(), top, 0)
    grown = (torch.where(inside, values, top) - top).exp()
    return torch.where(inside, grown, 0), top


def shared(grown: Tensor, inside: Tensor, text: str) -> Line:
    """The line of a mean by weights: each value's share of them; values of no weight are left out."""
    import torch

    place = torch.arange(grown.shape[-1]).expand(grown.shape)
    kept = torch.where(inside & (grown != 0), place, -1)
    return Line(text, {"share": grown / grown.sum(-1, keepdim=True)}, {}, kept)


def repeated(m: Lane, times: int) -> Lane:
    """m^times by squaring."""
    if times == 0:
        return m.like(1.0)
    if times == 1:
        return m
    half = repeated(m, times // 2)
    return half * half * m if times % 2 else half * half
