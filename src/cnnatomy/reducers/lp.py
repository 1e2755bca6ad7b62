"""Lp pooling: the p-norm of a region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnnatomy.reducers.contract import FastPath, Lane, Line, Pooling, TorchOperator, Windows
from cnnatomy.reducers.l2 import L2
from cnnatomy.reducers.max import Max
from cnnatomy.reducers.mean import Mean
from cnnatomy.reducers.shared import parameter_checks
from cnnatomy.reducers.shared.power import Power

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Lp(Power):
    """The p-norm of a region: y = (sum_i |x_i|^p)^(1/p).

    Where y = 0 the gradient is 0. A region without any tap gives 0, or NaN where something is divided by n.
    Nothing overflows that y does not, except the squares of p = 2, which runs as `L2`; p = 1 runs as the mean
    and p = inf as the maximum of |x|.

    Args:
        p: a number from 1 to 1000, or inf.
        normalize: `"sum"` as above; `"mean"` gives ((1/n) sum)^(1/p); `"size"` gives (1/n) (sum)^(1/p).

    Raises:
        ArgumentError: p is out of range, or there is no such normalization.

    Source: Sermanet, Chintala & LeCun, "Convolutional neural networks applied to house numbers digit
    classification", ICPR 2012.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, -2.0, 3.0]]])
        >>> cnnatomy.pool(x, Lp(3), 2, rank=1)
        tensor([[[4.0207, 3.2711]]])
        >>> cnnatomy.pool(x, Lp(float("inf")), 2, rank=1)
        tensor([[[4., 3.]]])
    """

    p: float = 2.0
    normalize: str = "sum"

    name = "lp"
    summary = "the p-norm"
    formula = "(sum_i |x_i|^p)^(1/p)"
    source = "Sermanet, Chintala & LeCun 2012"
    work = "s + abs(x) ** p"

    def __post_init__(self) -> None:
        parameter_checks.real(
            self, "p", "a number from 1 to 1000, or inf", lambda p: 1 <= p <= 1000 or p == math.inf
        )
        parameter_checks.word(self, "normalize", ("sum", "mean", "size"))
        super().__post_init__()

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The sum of powers, or the largest |x|."""
        if self.p != math.inf:
            return super().define(windows)
        y = self._most(Max().define(replace(windows, values=windows.values.abs()))[0])
        return y / windows.divisor if self.normalize == "size" else y, None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The root of the powers, or the largest |x|."""
        if self.p != math.inf:
            return super().line(windows, learned)
        text = "max(<{b};, >)" + ("/{n}" if self.normalize == "size" else "")
        return Line(text, {"b": windows.values.abs()})

    @property
    def division(self) -> str:
        """As asked for."""
        return self.normalize

    @property
    def fast(self) -> FastPath:
        """A plain sum forward, and torch's average pooling of powers where these are summed."""
        summed = self.normalize == "sum" and self.p < math.inf
        return FastPath(super().fast.fold, torch=TorchOperator("avg", power=self.p) if summed else None)

    @property
    def blended(self) -> bool:
        """True where another pooling does the same in fewer operations."""
        return self.p in (1, 2, math.inf)

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """L2, the mean or sum of |x|, or its maximum."""
        if self.p == 2:
            return pool(x, L2(self.normalize))
        if self.p == 1:
            return pool(x.abs(), Mean(divisor=1.0) if self.normalize == "sum" else Mean())
        y = self._most(pool(x.abs(), Max()))
        return y / pool(x.new_ones(1, 1, *x.shape[2:]), Mean(divisor=1.0)) if self.normalize == "size" else y

    def _most(self, largest: Tensor) -> Tensor:
        """The largest |x|, with a value for no tap at all."""
        import torch

        return torch.where(largest < 0, math.nan if self.normalize == "mean" else 0, largest)

    def bases(self, values: Tensor) -> Tensor:
        """|x|"""
        return values.abs()

    def base(self, x: Lane) -> Lane:
        """|x|"""
        return x.abs()

    def turn(self, x: Lane, slope: Lane) -> Lane:
        """The slope with the sign of x"""
        return (x < 0.0).select(slope * -1.0, slope)
