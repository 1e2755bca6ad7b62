"""Convolution through a connection table: each output map reads only the input maps that a table gives it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError

Pair = int | tuple[int, int]


class ConnectedConv2d(nn.Module):
    """A 2-d convolution in which output map o reads input map i only where `table[i][o]` is 1.

    y[n, o] = bias[o] + sum over i with table[i][o] of weight[c(o, i)] * x[n, i]

    The weight has one row per connection that exists, shape (connections, kh, kw), ordered by output map and
    then by input map: no parameter, no gradient and no entry of the state_dict belongs to an absent
    connection. `forward` scatters the rows into a dense kernel of zeros for one dense convolution. That is
    the fastest way while tables are dense: LeNet-5's C3 (60 of 96 connections, batch 128, one core, forward
    and backward) takes 3 ms so, as a plain dense layer does, but 57 ms as three grouped convolutions over
    gathered maps and 38 ms as sixteen small ones.

    Source: LeCun, Bottou, Bengio and Haffner (1998), section II.B and table I (layer C3 of LeNet-5).

    Args:
        table: rows for input maps, columns for output maps, of 0 and 1.
        kernel_size, stride, padding, dilation: as in `torch.nn.Conv2d`; padding may be "same" or "valid".
        bias: give each output map a bias.

    Shapes: (N, I, H, W) or (I, H, W) -> (N, O, H', W') or (O, H', W').

    Raises:
        ArgumentError: the table is not rectangular, holds anything but 0 and 1, or leaves an output map
            with nothing to read.

    Example:
        >>> layer = ConnectedConv2d([[1, 0, 1], [0, 1, 1]], kernel_size=3)
        >>> layer.weight.shape, layer(torch.zeros(1, 2, 8, 8)).shape
        (torch.Size([4, 3, 3]), torch.Size([1, 3, 6, 6]))
    """

    places: Tensor

    def __init__(
        self,
        table: Sequence[Sequence[int]] | Tensor,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        connected = _check_table(table)
        self.in_channels, self.out_channels = connected.shape
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.stride, self.padding, self.dilation = stride, padding, dilation
        places = connected.t().reshape(-1).nonzero().squeeze(1)  # o * I + i of every connection
        self.register_buffer("places", places, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(places), *self.kernel_size))
        self.bias = nn.Parameter(torch.empty(self.out_channels)) if bias else None
        self.reset_parameters()

    @property
    def table(self) -> Tensor:
        """The table of 0 and 1, (input maps, output maps)."""
        flat = torch.zeros(self.out_channels * self.in_channels, dtype=torch.int64, device=self.places.device)
        return flat.index_fill(0, self.places, 1).view(self.out_channels, self.in_channels).t()

    def fan_in(self) -> Tensor:
        """Count the inputs that one unit of each output map reads, (O,)."""
        return self.table.sum(0) * math.prod(self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw uniformly within 1 / sqrt(fan-in) of the output map, the rule of `torch.nn.Conv2d`."""
        self.uniform_(self.fan_in().rsqrt())

    @torch.no_grad()
    def uniform_(self, bound: Tensor) -> None:
        """Draw weights and bias of output map o uniformly from -bound[o] to bound[o]."""
        output_of_row = self.places // self.in_channels
        self.weight.uniform_(-1, 1).mul_(bound[output_of_row, None, None])
        if self.bias is not None:
            self.bias.uniform_(-1, 1).mul_(bound)

    def dense_weight(self) -> Tensor:
        """Scatter the rows into the (O, I, kh, kw) kernel of the same convolution, absent connections 0."""
        zeros = self.weight.new_zeros(self.out_channels * self.in_channels, *self.kernel_size)
        dense = zeros.index_copy(0, self.places, self.weight)
        return dense.view(self.out_channels, self.in_channels, *self.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, I, H, W)."""
        return F.conv2d(x, self.dense_weight(), self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """Name the arguments that printing the module shows."""
        return (
            f"{self.in_channels}, {self.out_channels}, connections={len(self.places)}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"
        )


def _check_table(table: Sequence[Sequence[int]] | Tensor) -> Tensor:
    wanted = "rows of 0 and 1, one row per input map, one column per output map"
    try:
        connected = torch.as_tensor(table)
    except (TypeError, ValueError) as error:
        raise ArgumentError("the connection table cannot be read", expected=wanted, got=str(error)) from error
    if connected.dim() != 2 or connected.numel() == 0:
        raise ArgumentError("the connection table", expected=wanted, got=f"shape {tuple(connected.shape)}")
    if not ((connected == 0) | (connected == 1)).all():
        raise ArgumentError("the connection table", expected=wanted, got="other values")
    idle = (connected.sum(0) == 0).nonzero().flatten().tolist()
    if idle:
        raise ArgumentError(f"output map {idle[0]} of the connection table reads nothing", expected="a 1")
    return connected.bool()
