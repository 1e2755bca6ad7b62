"""Median pooling."""

from __future__ import annotations

from dataclasses import dataclass

from cnnatomy.reducers.shared.order_statistics import Rank
from cnnatomy.reducers.shared.rank_tracking import Order


@dataclass(frozen=True)
class Median(Order):
    """The median of a region, of an even number the lower one: y = x_(r), r = floor((n - 1) / 2).

    It is one of the region's values, as in `torch.median`. The first tap of that value in row-major order
    takes the whole gradient. A NaN wins; a region without any tap is NaN.

    Source: Tukey, "Exploratory Data Analysis", 1977 (running medians).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 9.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Median(), 3, stride=1, rank=1)
        tensor([[[2., 3.]]])
    """

    name = "median"
    summary = "the middle value"
    formula = "x_(r), r = floor((n - 1) / 2)"
    source = "Tukey 1977"

    @property
    def rank(self) -> Rank:
        """floor((n - 1) / 2)"""
        return Rank(0.5, -0.5)
