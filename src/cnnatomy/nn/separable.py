"""Convolutions in parts: over space alone, over channels alone, one after the other, and as a pooling."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import Rule, per_axis
from cnnatomy.nn.convolution_modules import Conv1d, Conv2d, Conv3d, Convolution
from cnnatomy.ops.convolution import Sizes
from cnnatomy.ops.padding import Mode

Padding = Rule | Sequence[Rule]


class Depthwise(Convolution):
    """What depthwise convolutions of every rank share: `multiplier` outputs from each channel alone."""

    def __init__(
        self,
        channels: int,
        kernel_size: Sizes,
        multiplier: int = 1,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        bias: bool = True,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        outputs = whole_number("channels", channels, least=1) * whole_number(
            "multiplier", multiplier, least=1
        )
        where = {"device": device, "dtype": dtype}
        axes = kernel_size, stride, padding, dilation
        super().__init__(channels, outputs, *axes, channels, bias, padding_mode, **where)


class DepthwiseConv1d(Depthwise, Conv1d):
    """A convolution of each channel alone; see `DepthwiseConv2d`."""


class DepthwiseConv2d(Depthwise, Conv2d):
    """A convolution of each channel alone, with `multiplier` kernels for each.

    y[n, c * multiplier + m] = bias[c * multiplier + m] + weight[c * multiplier + m] * x[n, c]

    Args:
        channels: maps of the input.
        kernel_size, stride, padding, dilation, bias, padding_mode, device, dtype: as in `Conv2d`.
        multiplier: outputs from each channel.

    Shapes: (N, C, H, W) -> (N, C * multiplier, H', W'); the weight is (C * multiplier, 1, kh, kw), as that of
    `torch.nn.Conv2d(C, C * multiplier, kernel_size, groups=C)`.

    Source: Sifre (2014), section 6.2; Howard et al. (2017).

    Example:
        >>> DepthwiseConv2d(3, 5, multiplier=2, padding="same")(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 6, 8, 8])
    """


class DepthwiseConv3d(Depthwise, Conv3d):
    """A convolution of each channel alone; see `DepthwiseConv2d`."""


class Pointwise(Convolution):
    """What pointwise convolutions of every rank share: a kernel of one cell."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        where = {"device": device, "dtype": dtype}
        super().__init__(in_channels, out_channels, 1, stride, groups=groups, bias=bias, **where)


class PointwiseConv1d(Pointwise, Conv1d):
    """A linear map of the channels at every place; see `PointwiseConv2d`."""


class PointwiseConv2d(Pointwise, Conv2d):
    """A linear map of the channels at every place: a convolution with a 1x1 kernel.

    y[n, o, t] = bias[o] + sum over i of weight[o, i] * x[n, i, t * stride]

    Args:
        in_channels, out_channels, stride, groups, bias, device, dtype: as in `Conv2d`.

    Shapes: (N, C, H, W) -> (N, O, H', W').

    Source: Lin, Chen and Yan (2013), section 3.1.

    Example:
        >>> PointwiseConv2d(3, 8)(torch.zeros(1, 3, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """


class PointwiseConv3d(Pointwise, Conv3d):
    """A linear map of the channels at every place; see `PointwiseConv2d`."""


class Separable(nn.Sequential):
    """What separable convolutions of every rank share: depthwise, what lies between, then pointwise."""

    parts: ClassVar[tuple[type[Depthwise], type[Pointwise]]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        multiplier: int = 1,
        bias: bool = True,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        between: nn.Module | None = None,
    ) -> None:
        depthwise, pointwise = self.parts
        axes = kernel_size, multiplier, stride, padding, dilation
        where = {"device": device, "dtype": dtype}
        parts: list[tuple[str, nn.Module]] = [
            ("depthwise", depthwise(in_channels, *axes, bias=False, padding_mode=padding_mode, **where)),
            ("pointwise", pointwise(in_channels * multiplier, out_channels, bias=bias, **where)),
        ]
        if between is not None:
            parts.insert(1, ("between", between))
        super().__init__(OrderedDict(parts))


class SeparableConv1d(Separable):
    """A depthwise and then a pointwise convolution; see `SeparableConv2d`."""

    parts = DepthwiseConv1d, PointwiseConv1d


class SeparableConv2d(Separable):
    """A depthwise convolution and then a pointwise one: space and channels apart.

    Only the pointwise part has a bias: what follows the depthwise one would take a bias of it up. Nothing
    lies between unless asked for, which Chollet found to be best.

    Args:
        in_channels, out_channels, bias: of the whole.
        kernel_size, stride, padding, dilation, padding_mode: of the depthwise part, as in `Conv2d`.
        multiplier: outputs of the depthwise part from each channel.
        between: a norm or activation between the parts; it has in_channels * multiplier channels.

    Shapes: (N, C, H, W) -> (N, O, H', W'). In the state are depthwise.weight, pointwise.weight and
    pointwise.bias.

    Source: Chollet (2017), sections 3.1 and 4.7.

    Example:
        >>> layer = SeparableConv2d(16, 32, 3, padding="same")
        >>> sum(p.numel() for p in layer.parameters()), layer(torch.zeros(1, 16, 8, 8)).shape
        (688, torch.Size([1, 32, 8, 8]))
    """

    parts = DepthwiseConv2d, PointwiseConv2d


class SeparableConv3d(Separable):
    """A depthwise and then a pointwise convolution; see `SeparableConv2d`."""

    parts = DepthwiseConv3d, PointwiseConv3d


class StridedConvPool(Convolution):
    """What strided convolutions in the place of a pooling share: they start as the mean."""

    def __init__(
        self,
        channels: int,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Padding = 0,
        dense: bool = False,
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if not isinstance(dense, bool):
            raise ArgumentError("dense is not a bool", expected="True or False", got=repr(dense))
        whole_number("channels", channels, least=1)
        kernel = per_axis(kernel_size, self.rank, "kernel_size")
        step = kernel if stride is None else stride
        groups = 1 if dense else channels
        where = {"device": device, "dtype": dtype}
        super().__init__(channels, channels, kernel, step, padding, groups=groups, bias=bias, **where)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start as the mean of each window of each channel."""
        share = 1 / math.prod(self.kernel_size)
        if self.groups == 1:
            self.weight.zero_()
            self.weight.diagonal().fill_(share)
        else:
            self.weight.fill_(share)
        if self.bias is not None:
            self.bias.zero_()


class StridedConvPool1d(StridedConvPool, Conv1d):
    """A strided convolution as a pooling; see `StridedConvPool2d`."""


class StridedConvPool2d(StridedConvPool, Conv2d):
    """A pooling that is learned: a strided convolution that starts as the mean of each window.

    By default each channel has a kernel of its own, as every other pooling works on channels alone. With
    `dense=True` all channels mix, as in the paper; that one too starts as the mean of each channel.

    Args:
        channels: maps of the input, and of the output.
        kernel_size, padding, bias, device, dtype: as in `Conv2d`.
        stride: the kernel's size if left out.
        dense: let every output read all channels.

    Shapes: (N, C, H, W) -> (N, C, H', W').

    Source: Springenberg, Dosovitskiy, Brox and Riedmiller (2014), section 2.

    Example:
        >>> x = torch.rand(1, 3, 6, 6)
        >>> pooled = StridedConvPool2d(3)(x)
        >>> torch.allclose(pooled, torch.nn.AvgPool2d(2)(x)), pooled.requires_grad
        (True, True)
    """


class StridedConvPool3d(StridedConvPool, Conv3d):
    """A strided convolution as a pooling; see `StridedConvPool2d`."""
