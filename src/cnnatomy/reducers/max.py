"""Max pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnatomy.reducers.contract import NO_TAP, FastPath, Lane, Mask, TorchOperator
from cnnatomy.reducers.shared.extreme import Extreme

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Max(Extreme):
    """The largest value of a region: y = max_i x_i.

    The first of equal values in row-major order is the winner and takes the whole gradient. A NaN wins; a
    region without any tap gives minus infinity.

    Source: Ranzato et al., "Unsupervised learning of invariant feature hierarchies", CVPR 2007.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Max(), 2, rank=1)
        tensor([[[4., 3.]]])
    """

    name = "max"
    summary = "the largest value"
    formula = "max_i x_i"
    source = "Ranzato et al. 2007"
    work = "max(y, x)"
    identity = (-math.inf, NO_TAP)

    def beats(self, one: Lane, other: Lane) -> Mask:
        """one > other"""
        return one > other

    def better(self, one: Lane, other: Lane) -> Lane:
        """maximum"""
        return one.maximum(other)

    @property
    def fast(self) -> FastPath:
        """torch's max pooling, and its amax."""
        return FastPath(torch=TorchOperator("max", "amax"))

    def best(self, values: Tensor) -> Tensor:
        """torch's amax"""
        return values.amax(-1)
