"""Local importance pooling, with the network that says what matters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.backends import FLOATING
from cnnatomy.nn.pooling_modules import Pool2d, Sizes
from cnnatomy.ops.routing import dense


class SoftGate(nn.Module):
    """Bound logits: y = most * sigmoid(x), so that a weight e^y stays between 1 and e^most.

    Source: Gao, Wang and Wu, "LIP: Local importance-based pooling", ICCV 2019, whose bound is 12.

    Example:
        >>> SoftGate()(torch.tensor([0.0, 100.0]))
        tensor([ 6., 12.])
    """

    def __init__(self, most: float = 12.0) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return self.most * torch.sigmoid(dense("a gate of logits", x, FLOATING))

    def extra_repr(self) -> str:
        """Name the argument that printing the module shows."""
        return f"most={self.most}"


class LIPool2d(Pool2d):
    """Average the windows of (N, C, H, W) with weights that a small network learns: local importance pooling.

    y = sum_i e^(g_i) x_i / sum_i e^(g_i), g = logits(x)

    The network left out is the authors' simplest: a 3x3 convolution, instance normalisation with weights, and
    a `SoftGate`. The convolution starts at 0, so that pooling starts as the average.

    Source: Gao, Wang and Wu, "LIP: Local importance-based pooling", ICCV 2019.

    Args:
        channels: C.
        kernel_size, stride, padding: the windows; padding has no weight.
        logits: any module that maps x to logits of x's shape, instead of the default.

    Raises:
        ArgumentError: a size is out of range.

    Example:
        >>> x = torch.rand(2, 8, 14, 14)
        >>> y = LIPool2d(8)(x)
        >>> y.shape, torch.allclose(y, Pool2d("mean", 3, 2, 1)(x), atol=1e-5)
        (torch.Size([2, 8, 7, 7]), True)
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Sizes = 3,
        stride: Sizes | None = 2,
        padding: int | tuple[int, int] = 1,
        logits: nn.Module | None = None,
    ) -> None:
        super().__init__("importance", kernel_size, stride, padding)
        self.logits = _simplest(channels) if logits is None else logits

    def forward(self, x: Tensor) -> Any:  # type: ignore[override]
        """(N, C, H, W) -> (N, C, H', W')."""
        return super().forward(x, logits=self.logits(dense("pooling", x, FLOATING)))


def _simplest(channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    nn.init.zeros_(convolution.weight)
    return nn.Sequential(convolution, nn.InstanceNorm2d(channels, affine=True), SoftGate())
