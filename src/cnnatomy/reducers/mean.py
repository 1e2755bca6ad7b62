"""Average pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import FastPath, Fold, Lane, Line, Output, State, TorchOperator, Windows
from cnnatomy.regions import Axis

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Mean(Fold):
    """The average of a region: y = (1/n) sum_i x_i.

    A region without any tap is 0/0, NaN, unless its padding counts.

    Args:
        count_include_pad: let n count the taps in the padding as well, as torch does by default.
        divisor: divide by this instead of n; 1 gives the sum.

    Raises:
        ArgumentError: the divisor is zero, or no finite number.

    Source: LeCun et al., "Handwritten digit recognition with a back-propagation network", NIPS 1989.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Mean(), 2, rank=1)
        tensor([[[2.5000, 2.5000]]])
        >>> cnnatomy.pool(x, cnnatomy.Mean(count_include_pad=True), 2, padding="full", rank=1)
        tensor([[[0.5000, 3.0000, 1.5000]]])
    """

    count_include_pad: bool = False
    divisor: float | None = None

    name = "mean"
    aliases = ("avg", "average")
    summary = "the average"
    formula = "(1/n) sum_i x_i"
    source = "LeCun et al. 1989"
    work = "s + x"
    gradient: ClassVar[Literal["sum"]] = "sum"
    linear: ClassVar[bool] = True
    counts: ClassVar[bool] = True
    identity = (0.0,)

    def __post_init__(self) -> None:
        number = self.divisor if self.divisor is not None else 1.0
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < abs(number) < math.inf:
            expected = "a finite number other than 0"
            raise ArgumentError("nothing can be divided by this divisor", expected=expected, got=repr(number))
        super().__post_init__()

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The sum of the taps inside, over the divisor."""
        import torch

        total = torch.where(windows.inside, windows.values, 0).sum(-1)
        return total / windows.divisor, None

    @property
    def fast(self) -> FastPath:
        """torch's average pooling, and its mean if the taps are what is divided by."""
        whole: Literal["mean"] | None = "mean" if self.divisor is None else None
        return FastPath(torch=TorchOperator("avg", whole, counts_padding=self.count_include_pad))

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The sum over the divisor."""
        return Line("<{x}; + >" if self.divisor == 1 else "(<{x}; + >)/{n}")

    def divisors(self, axes: Sequence[Axis]) -> tuple[tuple[float, ...], ...]:
        """The taps inside the input, or the input and its padding; or the divisor itself."""
        if self.divisor is not None:
            factors = [self.divisor] + [1.0] * (len(axes) - 1)
            return tuple((f,) * axis.table.outputs for f, axis in zip(factors, axes, strict=True))
        if self.count_include_pad:
            return tuple(axis.divisors for axis in axes)
        return super().divisors(axes)

    def lift(self, values: State, tap: Lane | None) -> State:
        """(value,)"""
        return values

    def merge(self, state: State, other: State) -> State:
        """The sum of both parts."""
        return (state[0] + other[0],)

    def finish(self, state: State, count: Lane) -> Lane:
        """Sum / count"""
        return state[0] / count

    def spread(self, grad: Lane, output: Output) -> Lane:
        """dy/dx = 1 / count, for every input of the window."""
        return grad / output.count
