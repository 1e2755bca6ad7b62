"""Local importance pooling: a second map says how much each value weighs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import (
    FastFold,
    FastPath,
    Field,
    Fold,
    Lane,
    Line,
    Mask,
    Output,
    State,
    Windows,
)
from cnnatomy.reducers.shared import parameter_checks, scaled_sums

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Importance(Fold):
    """The mean of a region weighted by a second map: y = sum_i w_i x_i / sum_i w_i, w = exp(logits).

    The map of logits has the input's shape, and is most often computed from it by a small network. No finite
    logit overflows. A logit of minus infinity leaves a value out, if that is finite; a region without any
    weight gives NaN, and so does a logit of plus infinity.

    Args:
        normalize: `"weights"` divides by the sum of the weights, `"size"` by n once more.

    Raises:
        ArgumentError: there is no such normalization.

    Source: Gao, Wang & Wu, "LIP: local importance-based pooling", ICCV 2019.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> logits = torch.tensor([[[0.0, 0.0, 9.0, -9.0]]])
        >>> cnnatomy.pool(x, Importance(), 2, logits=logits, rank=1)
        tensor([[[2.5000, 2.0000]]])
    """

    normalize: str = "weights"

    name = "importance"
    summary = "the mean weighted by a second map"
    formula = "sum_i w_i x_i / sum_i w_i, w = exp(logits)"
    source = "Gao, Wang & Wu 2019"
    work = "max(m, l); exp(l - m); s + e; n + e * x"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    companions: ClassVar[tuple[str, ...]] = ("logits",)
    saves: ClassVar[tuple[Field, ...]] = ("value", "value", "value")
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x",)
    counts: ClassVar[bool] = True
    identity = (scaled_sums.NOTHING, 0.0, 0.0)

    def __post_init__(self) -> None:
        parameter_checks.word(self, "normalize", ("weights", "size"))
        super().__post_init__()

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The sum of e^logit x over the sum of e^logit, both less the largest logit in the exponent."""
        import torch

        grown, _ = scaled_sums.weights(windows.companions[0], windows.inside)
        values = torch.where(windows.inside, windows.values, 0)
        mean = (grown * values).sum(-1) / grown.sum(-1)
        return mean / windows.divisor if self.normalize == "size" else mean, None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """Every value times its share, over the count if that is asked for."""
        grown, _ = scaled_sums.weights(windows.companions[0], windows.inside)
        text = "(<{share}·{x}; + >)/{n}" if self.normalize == "size" else "<{share}·{x}; + >"
        return scaled_sums.shared(grown, windows.inside, text)

    def fields(self, track: bool) -> tuple[Field, ...]:
        """(k, s, t): the sums of the weights and of the weighted values are s 2^k and t 2^k."""
        return ("value", "value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(k, m, m x) with e^logit = m 2^k"""
        x, m, k = self.input_terms(values)
        return k, m, m * x

    def merge(self, state: State, other: State) -> State:
        """Both sums, at the larger exponent."""
        return scaled_sums.merge(state, other)

    def finish(self, state: State, count: Lane) -> Lane:
        """t / s, over the count if that is asked for."""
        mean = state[2] / state[1]
        return mean / count if self.normalize == "size" else mean

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """(k, 1 / s, t / s)"""
        inverse = y.like(1.0) / state[1]
        return state[0], inverse, state[2] * inverse

    @property
    def fast(self) -> FastPath:
        """Plain sums forward."""
        return FastPath(_PlainSums(self.normalize))

    def input_terms(self, values: State) -> State:
        """(x, m, k), which spares the pairs an exponential."""
        x, logit = values
        return (x, *logit.exponential())

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(k, grad / s, t / s)"""
        k, inverse, mean = output.saved
        part = grad * inverse
        return k, part / output.count if self.normalize == "size" else part, mean

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """dy/dx_i = w_i / sum w and dy/dlogit_i = w_i (x_i - y) / sum w"""
        (x, m, k), (top, part, mean) = own, given
        share = m.scale(k - top) * part
        return share, share * (x - mean)


class _PlainSums(FastFold):
    """The plain sums of e^logit and of that times x, where no exponential comes near the format's ends."""

    identity = (0.0, 0.0)

    def __init__(self, normalize: str) -> None:
        self.normalize = normalize

    def fields(self, track: bool) -> tuple[Field, ...]:
        """The sums of the weights, and of the weighted values."""
        return ("value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(e^logit, e^logit x)"""
        x, logit = values
        held = scaled_sums.held(logit)
        weight = held.decay()
        lost = (logit < held) & (x.abs() > 2.0**40)  # a raised weight would show
        return weight, lost.select(x.like(math.nan), weight * x)

    def merge(self, state: State, other: State) -> State:
        """Both sums."""
        return state[0] + other[0], state[1] + other[1]

    def finish(self, state: State, count: Lane) -> Lane:
        """t / s, over the count if that is asked for."""
        mean = state[1] / state[0]
        return mean / count if self.normalize == "size" else mean

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """(k, 1 / m, t / s) with s = m 2^k"""
        m, k = state[0].split()
        return k, y.like(1.0) / m, state[1] / state[0]

    def trusts(self, state: State) -> Mask:
        """Whether the sum of the weights is far from both ends, and that of the values is a number."""
        total, values = state
        return scaled_sums.moderate(total) & (total > 2.0**-40) & (values.abs() < 2.0**120)
