"""Trainable subsampling: the pooling of LeNet-5, with a coefficient and a bias for every map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnatomy.backends import FLOATING
from cnnatomy.errors import ArgumentError
from cnnatomy.nn.dropin import AvgPool2d
from cnnatomy.ops.routing import dense, overridable


class Subsample2d(AvgPool2d):
    """Sum each window of a map, scale the sum by the map's coefficient and add the map's bias.

    y[n, c, i, j] = weight[c] * sum(x over window (i, j)) + bias[c]

    Source: LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document
    recognition", section II.B (layers S2 and S4 of LeNet-5): two parameters per map.

    Args:
        maps: number of maps C.
        kernel_size: side of the square window.
        stride: step between windows; the kernel when left out, so that windows tile the map.

    Shapes: (N, C, H, W) -> (N, C, H', W') with H' = floor((H - kernel) / stride) + 1; or without N.

    Raises:
        ArgumentError: maps, kernel_size or stride is below 1.

    Example:
        >>> layer = Subsample2d(1)
        >>> _ = torch.nn.init.constant_(layer.weight, 0.5), torch.nn.init.constant_(layer.bias, 1.0)
        >>> layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).item()
        6.0
    """

    kernel_size: int
    stride: int

    def __init__(self, maps: int, kernel_size: int = 2, stride: int | None = None) -> None:
        stride = kernel_size if stride is None else stride
        for name, value in (("maps", maps), ("kernel_size", kernel_size), ("stride", stride)):
            if value < 1:
                raise ArgumentError(f"{name} of a Subsample2d", expected="an int >= 1", got=repr(value))
        super().__init__(kernel_size, stride, divisor_override=1)
        self.maps = maps
        self.weight = nn.Parameter(torch.empty(maps))
        self.bias = nn.Parameter(torch.empty(maps))
        self.reset_parameters()

    def scripts(self) -> bool:
        """False: torch has no such module."""
        return False

    def reset_parameters(self) -> None:
        """Start as the mean of the window: coefficient 1 / kernel^2, bias 0."""
        nn.init.constant_(self.weight, 1 / self.kernel_size**2)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Subsample (N, C, H, W) or (C, H, W)."""
        sums = super().forward(dense("subsampling", x, FLOATING))
        return _scaled(sums, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Name the arguments that printing the module shows."""
        return f"{self.maps}, kernel_size={self.kernel_size}, stride={self.stride}"


@overridable
def _scaled(sums: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addcmul(bias[:, None, None], sums, weight[:, None, None])
