"""Tables of connections: which input map each output map of a convolution reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError

Table = Sequence[Sequence[int]] | Tensor


class Wired(nn.modules.conv._ConvNd):
    """A convolution whose weight may have one row for each connection that exists, (connections, *kernel).

    Rows are in the order of torch's dense weight. No parameter, no gradient and no entry of the state_dict
    belongs to an absent connection: the forward pass scatters the rows into a dense kernel of zeros for one
    dense convolution. That is the fastest way while tables are dense: LeNet-5's C3 (60 of 96 connections,
    batch 128, one core, forward and backward) takes 3 ms so, as a plain dense layer does, but 57 ms as three
    grouped convolutions over gathered maps and 38 ms as sixteen small ones.
    """

    places: Tensor | None

    def _wire(
        self, table: Tensor | None, bias: bool, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        """Give each connection its row, in place of the dense weight; None keeps that."""
        self.register_buffer("places", None, persistent=False)
        if table is None:
            return
        places = (table if self.transposed else table.t()).reshape(-1).nonzero().squeeze(1)
        rows = torch.empty(len(places), *self.kernel_size, device=device, dtype=dtype)
        self.places = places.to(rows.device)
        self.weight = nn.Parameter(rows)
        if bias:
            self.bias = nn.Parameter(rows.new_empty(self.out_channels))
        self.reset_parameters()

    @property
    def table(self) -> Tensor:
        """The table of 0 and 1, (input maps, output maps); without connections, that of the groups."""
        inputs, outputs = self.in_channels, self.out_channels
        if self.places is None:
            part = torch.ones(inputs // self.groups, outputs // self.groups, dtype=torch.int64)
            whole: Tensor = torch.block_diag(*[part] * self.groups)  # type: ignore[no-untyped-call]
            return whole.to(self.weight.device)
        flat = torch.zeros(inputs * outputs, dtype=torch.int64, device=self.places.device)
        flat = flat.index_fill(0, self.places, 1)
        return flat.view(inputs, outputs) if self.transposed else flat.view(outputs, inputs).t()

    def fan_in(self) -> Tensor:
        """Count the inputs that one unit of each output map reads (at stride 1 if transposed), (O,)."""
        return self.table.sum(0) * math.prod(self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw as torch does; with connections, uniformly within 1 / sqrt(fan-in) of each output map."""
        if getattr(self, "places", None) is None:
            super().reset_parameters()
        else:
            self.uniform_(self.fan_in().rsqrt())

    @torch.no_grad()
    def uniform_(self, bound: Tensor) -> None:
        """Draw the weights and bias of output map o uniformly from -bound[o] to bound[o].

        Raises:
            ArgumentError: the layer has no connections.
        """
        if self.places is None:
            raise ArgumentError("this layer has no table of connections", hint="torch.nn.init.uniform_")
        maps = self.places % self.out_channels if self.transposed else self.places // self.in_channels
        self.weight.uniform_(-1, 1).mul_(bound[maps].view(-1, *(1,) * len(self.kernel_size)))
        if self.bias is not None:
            self.bias.uniform_(-1, 1).mul_(bound)

    def dense_weight(self) -> Tensor:
        """The weight as torch has it, absent connections 0."""
        if self.places is None:
            return self.weight
        inputs, outputs = self.in_channels, self.out_channels
        maps = (inputs, outputs) if self.transposed else (outputs, inputs)
        return scattered(self.weight, self.places, maps)

    def extra_repr(self) -> str:
        """Name the arguments that printing the module shows."""
        connections = "" if self.places is None else f", connections={len(self.places)}"
        return f"{super().extra_repr()}{connections}"  # type: ignore[no-untyped-call]


def scattered(weight: Tensor, places: Tensor, maps: tuple[int, int]) -> Tensor:
    """A dense weight (*maps, *kernel) from the rows (connections, *kernel) at their places, and 0 elsewhere.

    Example:
        >>> scattered(torch.tensor([[2.0], [3.0]]), torch.tensor([0, 3]), (2, 2)).squeeze()
        tensor([[2., 0.],
                [0., 3.]])
    """
    kernel = weight.shape[1:]
    return weight.new_zeros(maps[0] * maps[1], *kernel).index_copy(0, places, weight).view(*maps, *kernel)


def checked_table(table: Table) -> Tensor:
    """A table of connections as booleans, (input maps, output maps).

    Raises:
        ArgumentError: it is not rectangular, holds anything but 0 and 1, or leaves an output map with nothing
            to read.

    Example:
        >>> checked_table([[1, 0], [1, 1]])
        tensor([[ True, False],
                [ True,  True]])
    """
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
