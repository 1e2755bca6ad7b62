"""Quantile pooling."""

from __future__ import annotations

from dataclasses import dataclass

from cnnatomy.reducers.shared import parameter_checks
from cnnatomy.reducers.shared.order_statistics import TIE, Rank
from cnnatomy.reducers.shared.rank_tracking import Order


@dataclass(frozen=True)
class Quantile(Order):
    """A quantile of a region by nearest rank: y = x_(r), r = floor(q (n - 1) + 1/2).

    It is the one of the region's values that stands nearest to the share q of the way from the least to the
    greatest; half-way between two (to a thousandth of a rank) it is the greater. q = 0 is the minimum, q = 1
    the maximum. The first tap of that value in row-major order takes the whole gradient. A NaN wins; a region
    without any tap is NaN.

    Args:
        q: the share, 0 to 1.

    Raises:
        ArgumentError: q lies outside 0 .. 1.

    Source: Hyndman & Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996
    (q (n - 1) is the position of their definition 7, here rounded instead of interpolated).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[5.0, 1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Quantile(0.75), "global", rank=1)
        tensor([[[4.]]])
    """

    q: float = 0.5

    name = "quantile"
    summary = "the value at a share of the way from least to greatest"
    formula = "x_(r), r = floor(q (n - 1) + 1/2)"
    source = "Hyndman & Fan 1996 (nearest rank)"

    def __post_init__(self) -> None:
        parameter_checks.real(self, "q", "a share from 0 to 1", lambda q: 0 <= q <= 1)
        super().__post_init__()

    @property
    def rank(self) -> Rank:
        """floor(q (n - 1) + 1/2)"""
        return Rank(self.q, 0.5 - self.q + TIE)
