"""Min pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnatomy.reducers.contract import NO_TAP, FastPath, Lane, Mask, TorchOperator
from cnnatomy.reducers.shared.extreme import Extreme

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Min(Extreme):
    """The smallest value of a region: y = min_i x_i, the same as -max(-x).

    The first of equal values in row-major order is the winner and takes the whole gradient. A NaN wins; a
    region without any tap gives plus infinity. In mathematical morphology this is a flat erosion.

    Source: Serra, "Image Analysis and Mathematical Morphology", 1982 (erosion by a flat structuring element).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Min(), 2, rank=1)
        tensor([[[1., 2.]]])
    """

    name = "min"
    summary = "the smallest value"
    formula = "min_i x_i"
    source = "Serra 1982 (flat erosion)"
    work = "min(y, x)"
    identity = (math.inf, NO_TAP)

    def beats(self, one: Lane, other: Lane) -> Mask:
        """one < other"""
        return one < other

    def better(self, one: Lane, other: Lane) -> Lane:
        """minimum"""
        return one.minimum(other)

    @property
    def fast(self) -> FastPath:
        """torch's max pooling of -x, and its amin."""
        return FastPath(torch=TorchOperator("max", "amin", negated=True))

    def best(self, values: Tensor) -> Tensor:
        """torch's amin"""
        return values.amin(-1)
