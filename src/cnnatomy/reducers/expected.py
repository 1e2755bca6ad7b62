"""The expected value of a draw by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import Field, Fold, Lane, Line, Output, State, Windows
from cnnatomy.reducers.shared import scaled_sums

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Expected(Fold):
    """The mean of a region weighted by its own positive part: y = sum_i (x_i^+)^2 / sum_i x_i^+.

    Where no value is positive, it is the plain mean. This is what stochastic pooling gives on average, and
    what stands for it outside of training. The slope of the positive part at 0 is taken as 0. A region with a
    NaN, or without any tap, is NaN; so is one with a plus infinity, inf / inf. The squares are summed as they
    are: in single precision values above 1.8e19 give infinity.

    Source: Zeiler & Fergus, "Stochastic pooling for regularization of deep convolutional neural networks",
    ICLR 2013, section 3.2 (probabilistic weighting).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 3.0, -2.0, -4.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Expected(), 2, rank=1)
        tensor([[[ 2.5000, -3.0000]]])
    """

    name = "expected"
    summary = "the mean weighted by the positive values"
    formula = "sum_i max(x_i, 0)^2 / sum_i max(x_i, 0)"
    source = "Zeiler & Fergus 2013 (probabilistic weighting)"
    work = "max(x, 0); s + w; n + w * x"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    saves: ClassVar[tuple[Field, ...]] = ("value",)
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x", "y")
    counts: ClassVar[bool] = True
    positive: ClassVar[bool] = True
    squares: ClassVar[bool] = True
    identity = (0.0, 0.0, 0.0)

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """Every value times its share of the positive ones, or an even share."""
        import torch

        weight = torch.relu(torch.where(windows.inside, windows.values, 0))
        even = windows.inside.to(weight.dtype).expand(weight.shape)
        some = weight.sum(-1, keepdim=True) > 0
        return scaled_sums.shared(torch.where(some, weight, even), windows.inside, "<{share}·{x}; + >")

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """Both sums; the mean where the weights are all 0."""
        import torch

        x = torch.where(windows.inside, windows.values, 0)
        weight = torch.relu(x)
        total, mean = weight.sum(-1), x.sum(-1) / windows.divisor
        some = total > 0
        return torch.where(some, (weight * weight).sum(-1) / torch.where(some, total, 1), mean), None

    def lift(self, values: State, tap: Lane | None) -> State:
        """(x, x^+^2, x^+)"""
        (x,) = values
        weight = x.like(0.0).larger(x)
        return x, weight * weight, weight

    def merge(self, state: State, other: State) -> State:
        """The sums of both parts."""
        return tuple(one + more for one, more in zip(state, other, strict=True))

    def finish(self, state: State, count: Lane) -> Lane:
        """sum x^+^2 / sum x^+, or the mean."""
        total, squares, weights = state
        return (weights > 0.0).select(squares / weights, total / count)

    def fields(self, track: bool) -> tuple[Field, ...]:
        """Three sums."""
        return ("value", "value", "value")

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(a, b, c): an input's gradient is a x + b if x is positive, else c."""
        (weights,) = output.saved
        some = weights > 0.0
        share, even = grad / weights, grad / output.count
        slope, shift = some.select(share * 2.0, 0.0), some.select(share * output.y * -1.0, even)
        return slope, shift, some.select(grad.like(0.0), even)

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """dy/dx = (2 x - y) / sum x^+ where x > 0, and 1/n where no value is positive."""
        (x,), (slope, shift, even) = own, given
        return ((x > 0.0).select(slope * x + shift, even),)
