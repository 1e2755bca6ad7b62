"""Convolution through a connection table: each output map reads only the input maps that a table gives it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cnnatomy.geometry.padding_rules import Rule
from cnnatomy.nn.convolution_modules import Conv2d
from cnnatomy.nn.wiring import Table, checked_table
from cnnatomy.ops.convolution import Sizes


class ConnectedConv2d(Conv2d):
    """`Conv2d` with `connections=table`, which also says how many maps there are.

    y[n, o] = bias[o] + sum over i with table[i][o] of weight[c(o, i)] * x[n, i]

    The weight has one row per connection that exists, shape (connections, kh, kw), ordered by output map and
    then by input map.

    Source: LeCun, Bottou, Bengio and Haffner (1998), section II.B and table I (layer C3 of LeNet-5).

    Args:
        table: rows for input maps, columns for output maps, of 0 and 1.
        kernel_size, stride, padding, dilation: as in `Conv2d`.
        bias: give each output map a bias.

    Shapes: (N, I, H, W) or (I, H, W) -> (N, O, H', W') or (O, H', W').

    Raises:
        ArgumentError: the table is not rectangular, holds anything but 0 and 1, or leaves an output map
            with nothing to read.

    Example:
        >>> import torch
        >>> layer = ConnectedConv2d([[1, 0, 1], [0, 1, 1]], kernel_size=3)
        >>> import torch
        >>> layer.weight.shape, layer(torch.zeros(1, 2, 8, 8)).shape
        (torch.Size([4, 3, 3]), torch.Size([1, 3, 6, 6]))
    """

    places: Tensor

    def __init__(
        self,
        table: Table,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Rule | Sequence[Rule] = 0,
        dilation: Sizes = 1,
        *,
        bias: bool = True,
    ) -> None:
        rows, columns = checked_table(table).shape
        axes = kernel_size, stride, padding, dilation
        super().__init__(rows, columns, *axes, bias=bias, connections=table)
