"""Upsampling that learns: sub-pixel convolution, and resizing before a convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from cnnatomy.backends import FLOATING
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import per_axis
from cnnatomy.ops.resampling import resample
from cnnatomy.ops.routing import demand_dense, dense, overridable

CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""The convolution of one, two and three dimensions that these modules hold."""

Sizes = int | Sequence[int]
Order = Literal["crd", "dcr"]


@overridable
def depth_to_space(
    x: Tensor, scale_factor: Sizes, order: Order = "crd", *, rank: int | None = None
) -> Tensor:
    """Turn channels into cells: y[c, o] = x[channel(c, o mod s), floor(o / s)], for scales s and S = prod(s).

    With j the row-major number of o mod s, the channel is c S + j in order `"crd"` (channels, then the cells
    of a block: `torch.nn.PixelShuffle`), and j C + c in order `"dcr"` (blocks first: TensorFlow).

    Args:
        x: (N, C * S, *spatial) with one to three spatial axes, or (C * S, *spatial) if `rank` says so.
        scale_factor: cells that one becomes, an int for all axes or one per axis (.., y, x).
        order: how the channels are numbered.
        rank: the number of spatial axes; all but the first two if left out.

    Returns:
        y (N, C, *(n * s)).

    Raises:
        ArgumentError: there are no such axes, the channels are no multiple of S, or the order is unknown.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", CVPR 2016, equation 4; ONNX, DepthToSpace.

    Example:
        >>> depth_to_space(torch.tensor([[[1.0, 3.0], [2.0, 4.0]]]), 2)
        tensor([[[1., 2., 3., 4.]]])
    """
    lead, axes, steps = _blocks(x, scale_factor, order, rank)
    count, channels = math.prod(steps), x.shape[len(lead)]
    if channels % count:
        expected = f"a multiple of {' * '.join(map(str, steps))} = {count}"
        raise ArgumentError("the channels do not fill blocks of cells", expected=expected, got=str(channels))
    depth = (channels // count,)
    split = (*depth, *steps) if order == "crd" else (*steps, *depth)
    first, n = len(lead), len(axes)
    blocks = [first + (order == "crd") + i for i in range(n)]
    cells = [first + 1 + n + i for i in range(n)]
    keep = first if order == "crd" else first + n
    order_of = [*range(first), keep, *(axis for pair in zip(cells, blocks, strict=True) for axis in pair)]
    sizes = [size * step for size, step in zip(axes, steps, strict=True)]
    return x.reshape(*lead, *split, *axes).permute(order_of).reshape(*lead, *depth, *sizes)


@overridable
def space_to_depth(
    x: Tensor, scale_factor: Sizes, order: Order = "crd", *, rank: int | None = None
) -> Tensor:
    """Turn cells into channels: what `depth_to_space` undoes, with the same arguments.

    Raises:
        ArgumentError: there are no such axes, a size is no multiple of the scale, or the order is unknown.

    Source: ONNX, SpaceToDepth, whose order is `"dcr"`; `torch.nn.PixelUnshuffle`, whose order is `"crd"`.

    Example:
        >>> space_to_depth(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), 2)
        tensor([[[1., 3.],
                 [2., 4.]]])
    """
    lead, axes, steps = _blocks(x, scale_factor, order, rank)
    if any(size % step for size, step in zip(axes, steps, strict=True)):
        raise ArgumentError("the cells do not fill blocks", expected=f"multiples of {steps}", got=str(axes))
    first, n = len(lead), len(axes)
    pairs = [entry for size, step in zip(axes, steps, strict=True) for entry in (size // step, step)]
    blocks, cells = ([first + 1 + 2 * i + k for i in range(n)] for k in (1, 0))
    ahead = [first, *blocks] if order == "crd" else [*blocks, first]
    count, sizes = math.prod(steps), pairs[::2]
    split = x.reshape(*lead, x.shape[first], *pairs)
    return split.permute(*range(first), *ahead, *cells).reshape(*lead, x.shape[first] * count, *sizes)


def _blocks(x: Tensor, scale_factor: Sizes, order: str, rank: int | None) -> tuple[Any, Any, tuple[int, ...]]:
    """The sizes before the channels, those after them, and the scale of each."""
    demand_dense("the channels' turn into cells, or back,", x)
    if order not in ("crd", "dcr"):
        raise ArgumentError(f"order {order!r} is unknown", expected="'crd' or 'dcr'")
    spatial = x.dim() - 2 if rank is None else rank
    if not 1 <= spatial <= 3 or x.dim() not in (spatial + 1, spatial + 2):
        expected = "(N, C, *spatial), or (C, *spatial) with rank=, and one to three spatial axes"
        raise ArgumentError("channels and cells", expected=expected, got=f"shape {tuple(x.shape)}")
    return (
        x.shape[: x.dim() - spatial - 1],
        x.shape[x.dim() - spatial :],
        per_axis(scale_factor, spatial, "scale_factor"),
    )


def icnr_(weight: Tensor, scale_factor: Sizes) -> Tensor:
    """Let the filters of each output channel start equal (ICNR), in place: its block is then one value.

    A sub-pixel convolution that starts like this gives a nearest-neighbour upsampling of a convolution, free
    of the checkerboard that independent filters draw.

    Args:
        weight: (C * S, .., *kernel), filled with values to start from, of which every S-th filter stays.
        scale_factor: the scales, an int for all axes or one per axis.

    Source: Aitken et al., "Checkerboard artifact free sub-pixel convolution", arXiv:1707.02937, 2017.

    Example:
        >>> icnr_(torch.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2).flatten()
        tensor([1., 1., 3., 3.])
    """
    count = math.prod(per_axis(scale_factor, weight.dim() - 2, "scale_factor"))
    if weight.shape[0] % count:
        raise ArgumentError("no such filters", expected=f"a multiple of {count}", got=str(weight.shape[0]))
    with torch.no_grad():
        return weight.copy_(weight[::count].repeat_interleave(count, 0))


class SubpixelConv(nn.Module):
    """What `SubpixelConv*d` share."""

    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        scale_factor: Sizes,
        stride: Sizes = 1,
        padding: Any = "same",
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.scale_factor = per_axis(scale_factor, self.rank, "scale_factor")
        channels = per_axis((out_channels,), 1, "out_channels")[0] * math.prod(self.scale_factor)
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
        make: Any = CONVOLUTIONS[self.rank - 1]
        self.conv = make(
            in_channels,
            channels,
            kernel_size,
            **options,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )
        self._alike()

    def reset_parameters(self) -> None:
        """Start again: torch's own initialisation, then ICNR."""
        self.conv.reset_parameters()
        self._alike()

    def _alike(self) -> None:
        icnr_(self.conv.weight, self.scale_factor)
        if self.conv.bias is not None:
            count = math.prod(self.scale_factor)
            with torch.no_grad():
                self.conv.bias.copy_(self.conv.bias[::count].repeat_interleave(count))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) or (C, *spatial) -> the convolution's sizes times the scale."""
        x = dense("sub-pixel convolution", x, FLOATING)
        return depth_to_space(self.conv(x), self.scale_factor, rank=self.rank)

    def extra_repr(self) -> str:
        """The scale of every axis."""
        return f"scale_factor={self.scale_factor}"


class SubpixelConv1d(SubpixelConv):
    """Upsample (N, C, L) or (C, L) by a convolution to more channels; see `SubpixelConv2d`.

    Example:
        >>> SubpixelConv1d(4, 2, 3, scale_factor=3)(torch.rand(1, 4, 10)).shape
        torch.Size([1, 2, 30])
    """

    rank = 1


class SubpixelConv2d(SubpixelConv):
    """Upsample (N, C, H, W) or (C, H, W): convolve to S times the channels, then `depth_to_space`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        kernel_size: taps of the convolution, an int or (y, x).
        scale_factor: cells that one becomes, an int or (y, x); S is their product.
        stride, padding, dilation, groups, bias, padding_mode: the convolution's; by default it keeps sizes.
        device, dtype: where and what the parameters are.

    Weights and biases start as ICNR says (`icnr_`): the first output is a nearest-neighbour upsampling.

    Raises:
        ArgumentError: a size is out of range.

    Source: Shi et al., CVPR 2016; Aitken et al., arXiv:1707.02937, 2017.

    Example:
        >>> SubpixelConv2d(16, 3, 3, scale_factor=2)(torch.rand(1, 16, 10, 20)).shape
        torch.Size([1, 3, 20, 40])
    """

    rank = 2


class SubpixelConv3d(SubpixelConv):
    """Upsample (N, C, D, H, W) or (C, D, H, W) by a convolution to more channels; see `SubpixelConv2d`.

    Example:
        >>> SubpixelConv3d(2, 1, 3, scale_factor=(1, 2, 2))(torch.rand(1, 2, 4, 5, 6)).shape
        torch.Size([1, 1, 4, 10, 12])
    """

    rank = 3


class ResizeConv(nn.Module):
    """What `ResizeConv*d` share."""

    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        scale_factor: float | Sequence[float],
        method: str = "nearest",
        padding: Any = "same",
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        scales = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * self.rank
        real = all(
            isinstance(s, int | float) and not isinstance(s, bool) and 0 < s < math.inf for s in scales
        )
        if not real or len(scales) != self.rank:
            expected = f"a positive finite number, or {self.rank} of them"
            raise ArgumentError("nothing can be scaled by this", expected=expected, got=repr(scale_factor))
        self.scale_factor, self.method = scales, method
        make: Any = CONVOLUTIONS[self.rank - 1]
        options = {"padding": padding, "groups": groups, "bias": bias, "padding_mode": padding_mode}
        self.conv = make(in_channels, out_channels, kernel_size, **options, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) or (C, *spatial) -> the resized map's convolution."""
        found: Tensor = self.conv(
            resample(x, scale_factor=self.scale_factor, method=self.method, rank=self.rank)
        )
        return found

    def extra_repr(self) -> str:
        """The scale of every axis, and the method."""
        return f"scale_factor={self.scale_factor}, method={self.method!r}"


class ResizeConv1d(ResizeConv):
    """Resize (N, C, L) or (C, L), then convolve; see `ResizeConv2d`."""

    rank = 1


class ResizeConv2d(ResizeConv):
    """Resize (N, C, H, W) or (C, H, W), then convolve: upsampling without a checkerboard.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        kernel_size: taps of the convolution, an int or (y, x).
        scale_factor: how many times as large, any positive number or (y, x).
        method: how `cnnatomy.resample` resizes: `"nearest"` (the paper's best), `"linear"`, ...
        padding, groups, bias, padding_mode: the convolution's, which keeps sizes by default.
        device, dtype: where and what the parameters are.

    Raises:
        ArgumentError: a scale is not positive and finite.

    Source: Odena, Dumoulin & Olah, "Deconvolution and checkerboard artifacts", Distill, 2016.
    """

    rank = 2


class ResizeConv3d(ResizeConv):
    """Resize (N, C, D, H, W) or (C, D, H, W), then convolve; see `ResizeConv2d`."""

    rank = 3
