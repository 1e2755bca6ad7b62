"""torch.nn's power-average pooling names."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from cnnatomy.nn.dropin import DropIn, sliding
from cnnatomy.reducers import Reducer
from cnnatomy.reducers.lp import Lp
from cnnatomy.regions import Region, Sliding


class _Power(DropIn):
    norm_type: float
    kernel_size: Any

    def where(self, x: Tensor) -> Region | None:
        p, k = self.norm_type, self.kernel_size
        powers = type(p) in (int, float) and p > 1 and p % 2 != 1 and (p <= 1000 or p == math.inf)
        if not powers or (self.rank == 1 and type(k) is not int):
            return None
        region = sliding(x, self, self.rank)
        return None if region is None or _overhangs(region, tuple(x.shape[-self.rank :])) else region

    def what(self) -> Reducer:
        return Lp(float(self.norm_type))


def _overhangs(region: Sliding, size: tuple[int, ...]) -> bool:
    """True if a window reaches beyond the input, where torch scales what it finds up to a whole window."""
    return region.ceil_mode and replace(region, ceil_mode=False).outputs(size) != region.outputs(size)


class LPPool1d(_Power, nn.LPPool1d):
    """`torch.nn.LPPool1d`, the same but for speed, and as `LPPool2d` says."""

    rank = 1


class LPPool2d(_Power, nn.LPPool2d):
    """`torch.nn.LPPool2d`, the same but for speed, and where torch's powers are NaN or overflow.

    y = (sum_i |x_i|^p)^(1/p). torch sums x_i^p, which is NaN for a negative x_i and a p that is not whole,
    and soon overflows; here only the squares of p = 2 do. An odd p, under which signs cancel, p < 1 and
    p > 1000 stay torch's affair, and so do windows that overhang.

    Example:
        >>> import torch
        >>> LPPool2d(2, 2)(torch.tensor([[[-3.0, 4.0], [0.0, 0.0]]]))
        tensor([[[5.]]])
        >>> LPPool2d(1.5, 2)(torch.tensor([[[-4.0, 0.0], [0.0, 0.0]]]))
        tensor([[[4.]]])
    """

    rank = 2


class LPPool3d(_Power, nn.LPPool3d):
    """`torch.nn.LPPool3d`, the same but for speed, and as `LPPool2d` says."""

    rank = 3
