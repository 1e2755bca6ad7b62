"""The k-th largest or smallest value."""

from __future__ import annotations

from dataclasses import dataclass

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.shared.order_statistics import Rank
from cnnatomy.reducers.shared.rank_tracking import Order


@dataclass(frozen=True)
class Kth(Order):
    """The k-th largest value of a region, or the k-th smallest; equal values count each.

    A region of fewer than k values gives the last there is: its smallest, or its largest. The first tap of
    the value in row-major order takes the whole gradient. A NaN wins; a region without any tap is NaN.

    Args:
        k: 1 is the largest (or the smallest) itself.
        largest: count from the largest.

    Raises:
        ArgumentError: k is below 1.

    Source: Nodes & Gallagher, "Median filters: some modifications and their properties", IEEE Transactions on
    Acoustics, Speech, and Signal Processing 30, 1982 (ranked-order operations).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 9.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Kth(2), "global", rank=1)
        tensor([[[3.]]])
        >>> cnnatomy.pool(x, cnnatomy.Kth(2, largest=False), "global", rank=1)
        tensor([[[2.]]])
    """

    k: int = 1
    largest: bool = True

    name = "kth"
    summary = "the k-th largest or smallest value"
    formula = "x_(n-k), or x_(k-1)"
    source = "Nodes & Gallagher 1982"

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ArgumentError("there is no such place", expected="an int k >= 1", got=repr(self.k))
        super().__post_init__()

    @property
    def rank(self) -> Rank:
        """n - k, or k - 1"""
        return Rank(0.0, self.k - 1, descending=self.largest)
