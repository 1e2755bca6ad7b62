"""Soft pooling: every value weighs by its own exponential."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import (
    BEYOND,
    FastFold,
    FastPath,
    FastPull,
    Field,
    Fold,
    Lane,
    Learned,
    Line,
    Mask,
    Output,
    Pooling,
    State,
    Windows,
)
from cnnatomy.reducers.shared import parameter_checks, scaled_sums

if TYPE_CHECKING:
    from torch import Tensor

_FAR = -300.0
"""An exponent at which a weight is nothing beside another."""

_LN2 = {
    32: (0.693359375, -2.121944400546905827679e-4),
    64: (6.93147180369123816490e-1, 1.90821492927058770002e-10),
}
"""log 2 in two parts for each format, the first so short that its product with an exponent is exact (Cody and
Waite, "Software Manual for the Elementary Functions", 1980)."""


@dataclass(frozen=True)
class Soft(Fold):
    """The mean of a region weighted by its softmax: y = sum_i w_i x_i, w = softmax(x / T).

    A small temperature T comes near the largest value, a large one near the mean. No finite value overflows.
    Minus infinity weighs nothing. A region without any weight gives NaN, and so does one with plus infinity.

    Args:
        temperature: T, from 1e-30 to 1e30; where it is learned, its starting value.
        learned: how many temperatures are learned: 0 none, 1 that all channels share, or one for each.

    Raises:
        ArgumentError: the temperature is out of range, or `learned` is no such number.

    Source: Stergiou, Poppe & Kalliatakis, "Refining activation downsampling with SoftPool", ICCV 2021.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, Soft(), 2, rank=1)
        tensor([[[3.8577, 2.7311]]])
    """

    temperature: float = 1.0
    learned: int = 0

    name = "soft"
    summary = "the mean weighted by the softmax of the values"
    formula = "sum_i w_i x_i, w = softmax(x / T)"
    source = "Stergiou et al. 2021"
    work = "max(m, x); exp((x - m) / t); s + e; n + e * x"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    saves: ClassVar[tuple[Field, ...]] = ("value", "value", "value")
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x",)
    identity = (scaled_sums.NOTHING, 0.0, 0.0)

    def __post_init__(self) -> None:
        parameter_checks.real(
            self, "temperature", "a number from 1e-30 to 1e30", lambda t: 1e-30 <= t <= 1e30
        )
        parameter_checks.learned(self)
        super().__post_init__()

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The sum of e^(x / T) x over the sum of e^(x / T), both less the largest x / T in the exponent."""
        import torch

        grown, _ = scaled_sums.weights(windows.values / self.temperature, windows.inside)
        values = torch.where(windows.inside & (grown > 0), windows.values, 0)
        return (grown * values).sum(-1) / grown.sum(-1), None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """Every value times its share."""
        temperature = learned.get("temperature", self.temperature)
        grown, _ = scaled_sums.weights(windows.values / temperature, windows.inside)
        return scaled_sums.shared(grown, windows.inside, "<{share}·{x}; + >")

    @property
    def blended(self) -> bool:
        """True if the temperature is learned."""
        return self.learned > 0

    @property
    def parameters(self) -> tuple[Learned, ...]:
        """The temperatures."""
        return Learned.shared("temperature", self.temperature, self.learned)

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """T soft(x / T)"""
        temperature = inputs["temperature"]
        return pool(x / temperature, Soft()) * temperature

    def fields(self, track: bool) -> tuple[Field, ...]:
        """(k, s, t): the sum of the weights is s 2^k, that of weight times (x / T - k log 2) is t 2^k.

        Sums of x itself would round by more than a T, where x is large, and spoil the gradient.
        """
        return ("value", "value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(k, m, m r) with e^(x / T) = m 2^k and x / T = k log 2 + r"""
        k, m, rest = self.input_terms(values)
        return k, m, m * rest

    def merge(self, state: State, other: State) -> State:
        """Both sums, at the larger exponent."""
        k = state[0].larger(other[0])
        part, sums = _lowered(state, k)
        more, others = _lowered(other, k)
        return k, part + more, sums + others

    def finish(self, state: State, count: Lane) -> Lane:
        """T (k log 2 + t / s)"""
        k, total, rest = state
        y = k * math.log(2) + rest / total
        return y if self.temperature == 1 else y * self.temperature

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """(k, 1 / s, t / s)"""
        k, total, rest = state
        inverse = y.like(1.0) / total
        return k, inverse, rest * inverse

    @property
    def fast(self) -> FastPath:
        """Plain sums forward, and one exponential for each input backward."""
        return FastPath(_PlainSums(self), _OneExponential(self))

    def input_terms(self, values: State) -> State:
        """(k, m, r), which spares the pairs an exponential."""
        v = self.exponent(values)
        m, k = v.exponential()
        high, low = _LN2[v.bits]
        return k, m, ((v - k * high) - k * low).larger(-1.0).smaller(1.0)

    def exponent(self, values: State) -> Lane:
        """x / T"""
        (x,) = values
        return x if self.temperature == 1 else x * (1 / self.temperature)

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(k, grad / s, 1 - t / s)"""
        k, inverse, rest = output.saved
        return k, grad * inverse, rest.like(1.0) - rest

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """dy/dx_i = w_i (1 + (x_i - y) / T)"""
        (k, m, rest), (top, part, slope) = own, given
        down = (k - top).larger(_FAR)
        return (m.scale(down) * part * (down * math.log(2) + (rest + slope)),)


class _PlainSums(FastFold):
    """The plain sums of e^(x / T) and of that times x / T, far from the ends of the format."""

    identity = (0.0, 0.0)

    def __init__(self, soft: Soft) -> None:
        self.soft, self.temperature = soft, soft.temperature

    def fields(self, track: bool) -> tuple[Field, ...]:
        """The sums of the weights, and of weight times x / T."""
        return ("value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(e^v, e^v v), v = x / T"""
        held = scaled_sums.held(self.soft.exponent(values))
        weight = held.decay()
        return weight, weight * held

    def merge(self, state: State, other: State) -> State:
        """Both sums."""
        return state[0] + other[0], state[1] + other[1]

    def finish(self, state: State, count: Lane) -> Lane:
        """T t / s"""
        y = state[1] / state[0]
        return y if self.temperature == 1 else y * self.temperature

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """(k, 1 / m, t / s - k log 2) with s = m 2^k"""
        total, rest = state
        m, k = total.split()
        return k, y.like(1.0) / m, rest / total - k * math.log(2)

    def trusts(self, state: State) -> Mask:
        """Whether the sum of the weights is far from both ends."""
        return scaled_sums.moderate(state[0])


class _OneExponential(FastPull):
    """w_i as e^(x_i / T - k log 2) at once, for exponents that a format can have and finite gradients."""

    def __init__(self, soft: Soft) -> None:
        self.soft = soft

    def grad_terms(self, values: State, given: State, tap: Lane) -> State:
        """dy/dx_i = w_i (1 + (x_i - y) / T)"""
        v, (top, part, slope) = self.soft.exponent(values), given
        high, low = _LN2[v.bits]
        below = v.like(-BEYOND).larger((v - top * high) - top * low)  # x / T - k log 2
        return (v.over(top, part) * (below + slope),)

    def trusts(self, given: State) -> Mask:
        """Whether they are such: a number that is not finite is not 0 times 0."""
        k, part, slope = given
        return ((part + slope) * 0.0 + k).abs() < BEYOND


def _lowered(state: State, k: Lane) -> tuple[Lane, Lane]:
    """(s, t) as they are at the larger exponent k."""
    down = (state[0] - k).larger(_FAR)
    total = state[1].scale(down)
    return total, state[2].scale(down) + total * down * math.log(2)
