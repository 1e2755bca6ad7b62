"""torch.nn's convolutions with every padding rule, width and mode, and with tables of connections.

The names, arguments, results and saved weights are torch's: each is torch's module with more to ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import Rule, paddings, per_axis
from cnnatomy.nn.scripting import Scriptable
from cnnatomy.nn.wiring import Table, Wired, checked_table, scattered
from cnnatomy.ops.convolution import Sizes, run, settled
from cnnatomy.ops.padding import Mode, checked_mode
from cnnatomy.ops.routing import overridable
from cnnatomy.ops.transposed import run_transposed

Padding = Rule | Sequence[Rule]


class Convolutional(Scriptable, Wired):
    """What convolutions and their transposes share; comes before torch's own class among the bases."""

    rank: ClassVar[int]

    def scripts(self) -> bool:
        """True for what torch has."""
        whole = all(isinstance(rule, int) for rule in self.rules)
        return whole and self.places is None and self.mode == "constant"

    def _settle(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        padding: Padding,
        padding_mode: Mode,
        connections: Table | None,
        **options: Any,
    ) -> None:
        """Check the arguments, let torch's module set itself up, then keep what torch does not know."""
        channels = {"in_channels": in_channels, "out_channels": out_channels}
        groups = whole_number("groups", options["groups"], least=1)
        for name, count in channels.items():
            if whole_number(name, count, least=0) % groups:
                expected = f"a multiple of {groups}"
                raise ArgumentError(f"groups do not divide {name}", expected=expected, got=str(count))
        kernel = per_axis(kernel_size, self.rank, "kernel_size")
        for name, least in (("stride", 1), ("dilation", 1), ("output_padding", 0)):
            if name in options:
                options[name] = per_axis(options[name], self.rank, name, least)
        rules, mode = paddings(padding, self.rank), checked_mode(padding_mode)
        table = None if connections is None else checked_table(connections)
        if table is not None and (groups > 1 or table.shape != (in_channels, out_channels)):
            expected = f"{in_channels} rows, {out_channels} columns and groups=1"
            got = f"{table.shape[0]} rows, {table.shape[1]} columns and groups={groups}"
            raise ArgumentError("the connection table does not fit the layer", expected=expected, got=got)
        bias, device, dtype = options["bias"], options["device"], options["dtype"]
        if table is not None:
            options["device"] = "meta"  # torch's dense weight takes no memory, and draws nothing
        super().__init__(in_channels, out_channels, kernel, padding=0, **options)  # type: ignore[arg-type]
        axes = self.kernel_size, self.stride, self.dilation
        self.rules, self.mode = rules if self.transposed else settled(rules, *axes), mode
        self.padding = padding if isinstance(padding, str) else rules  # type: ignore[assignment]
        self.padding_mode = padding_mode  # type: ignore[assignment]
        self._wire(table, bias, device, dtype)


class Convolution(Convolutional):
    """A module of `convolve`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        connections: Table | None = None,
    ) -> None:
        options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": bias}
        where = {"device": device, "dtype": dtype}
        self._settle(
            in_channels, out_channels, kernel_size, padding, padding_mode, connections, **options, **where
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        axes = self.stride, self.rules, self.dilation
        if self.places is None:
            return run(input, weight, bias, *axes, self.groups, self.mode)
        wires = self.places, (self.out_channels, self.in_channels)
        return _wired(False, input, weight, *wires, bias, *axes, self.groups, self.mode)


class TransposedConvolution(Convolutional):
    """A module of `convolve_transposed`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        connections: Table | None = None,
    ) -> None:
        if padding_mode != "zeros":
            what = "a transposed convolution takes its padding away, so that it has no mode"
            raise ArgumentError(what, expected="'zeros'", got=repr(padding_mode))
        options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": bias}
        where = {"device": device, "dtype": dtype, "output_padding": output_padding}
        self._settle(
            in_channels, out_channels, kernel_size, padding, padding_mode, connections, **options, **where
        )

    def forward(self, input: Tensor, output_size: Sizes | None = None) -> Tensor:
        """(N, C, *spatial) or (C, *spatial) -> the same with the transposed sizes, or with those wanted."""
        axes = self.stride, self.rules, self.output_padding
        rest = self.groups, self.dilation, output_size
        if self.places is None:
            return run_transposed(input, self.weight, self.bias, *axes, *rest)
        wires = self.places, (self.in_channels, self.out_channels)
        return _wired(True, input, self.weight, *wires, self.bias, *axes, *rest)


@overridable
def _wired(
    transposed: bool,
    x: Tensor,
    weight: Tensor,
    places: Tensor,
    maps: tuple[int, int],
    *rest: Any,
) -> Tensor:
    """A convolution with one row of weights for each connection."""
    convolve = run_transposed if transposed else run
    return convolve(x, scattered(weight, places, maps), *rest)


class Conv1d(Convolution, nn.Conv1d):
    """`torch.nn.Conv1d` under every padding rule; see `Conv2d`."""

    rank = 1


class Conv2d(Convolution, nn.Conv2d):
    """`torch.nn.Conv2d` under every padding rule, width and mode, with a table of connections if wanted.

    y[n, o] = bias[o] + sum over i with connections[i][o] of weight[o, i] * x[n, i]

    Args:
        in_channels, out_channels, kernel_size, stride, dilation, groups, bias, device, dtype: as in torch.
        padding: "valid", "same", "keep", "full", "causal", cells on both sides, or one of these or a pair
            (before, after) for each axis; any of them at any stride.
        padding_mode: what is in the padding: any mode of `cnnatomy.pad`, by NumPy's name or torch's.
        connections: rows for input maps, columns for output maps, of 0 and 1. The weight then has one row
            for each connection, (connections, *kernel): those absent are nowhere, in no count or state.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, O, H', W') or (O, H', W').

    Raises:
        ArgumentError: an argument that means nothing, and an input that does not fit.

    Source: for tables, LeCun, Bottou, Bengio and Haffner (1998), section II.B and table I (C3 of LeNet-5).

    Example:
        >>> import torch
        >>> layer = Conv2d(3, 8, 3, stride=2, padding="same", padding_mode="reflect")
        >>> layer(torch.zeros(1, 3, 7, 8)).shape
        torch.Size([1, 8, 4, 4])
        >>> Conv2d(2, 3, 3, connections=[[1, 0, 1], [0, 1, 1]]).weight.shape
        torch.Size([4, 3, 3])
    """

    rank = 2


class Conv3d(Convolution, nn.Conv3d):
    """`torch.nn.Conv3d` under every padding rule; see `Conv2d`."""

    rank = 3


class ConvTranspose1d(TransposedConvolution, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` under every padding rule; see `ConvTranspose2d`."""

    rank = 1


class ConvTranspose2d(TransposedConvolution, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` under every padding rule and width, to any size that it can have.

    Args:
        in_channels, out_channels, kernel_size, stride, output_padding, groups, bias, dilation: as in torch.
        padding: a rule, cells on both sides, or one of these or a pair (before, after) for each axis, of the
            convolution that this one transposes. "same" gives n * stride, and "keep" n.
        connections: as in `Conv2d`.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, O, H', W') or (O, H', W').

    Raises:
        ArgumentError: an argument that means nothing, or a size out of reach; it names the reach.

    Example:
        >>> import torch
        >>> layer = ConvTranspose2d(8, 3, 3, stride=2, padding="same")
        >>> layer(torch.zeros(1, 8, 4, 5)).shape
        torch.Size([1, 3, 8, 10])
        >>> layer(torch.zeros(1, 8, 4, 5), output_size=(7, 9)).shape
        torch.Size([1, 3, 7, 9])
    """

    rank = 2


class ConvTranspose3d(TransposedConvolution, nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` under every padding rule; see `ConvTranspose2d`."""

    rank = 3
