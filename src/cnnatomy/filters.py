"""The named kernels: averages, changes and changes of changes, in one to three dimensions.

Each is a float tensor with one axis per dimension (.., y, x), and laid over the input as it stands: filtering
is a correlation, y[o] = sum_j kernel[j] x[o + j - centre], as in every convolutional network. A convolution
proper flips the kernel first (`kernel.flip(tuple(range(kernel.dim())))`); of the kernels here that changes
`change` and `sobel`, which it negates.

>>> sorted(NAMES)
['binomial', 'change', 'curvature', 'gaussian', 'laplacian', 'sobel', 'uniform', 'weighted']
>>> named("uniform", size=5)
tensor([0.2000, 0.2000, 0.2000, 0.2000, 0.2000])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError, TensorError
from cnnatomy.geometry import Rule, Window, paddings, per_axis, resolve
from cnnatomy.ops.padding import Mode, checked_mode, pad

MOST = 4096
"""The most taps of a kernel along an axis."""

_CONVOLVE: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)


def uniform(size: int | Sequence[int] = 3, rank: int = 1) -> Tensor:
    """Uniform averaging: 1/n everywhere. Sums to 1.

    Args:
        size: taps, one for all axes or one per axis.
        rank: the number of axes, one to three.

    Example:
        >>> uniform(4)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    taps = _taps(size, _axes(rank))
    return torch.full(taps, 1 / math.prod(taps))


def weighted(rank: int = 1) -> Tensor:
    """Averaging with decaying weights: (0.1, 0.2, 0.4, 0.2, 0.1) along every axis. Sums to 1.

    Example:
        >>> weighted()
        tensor([0.1000, 0.2000, 0.4000, 0.2000, 0.1000])
    """
    return _product([[0.1, 0.2, 0.4, 0.2, 0.1]] * _axes(rank))


def binomial(size: int = 3, rank: int = 1) -> Tensor:
    """Binomial averaging: C(n - 1, j) / 2^(n - 1) along every axis. Sums to 1.

    It is near a Gaussian of variance (n - 1) / 4.

    Source: Burt, "Fast filter transforms for image processing", CGIP 16, 1981.

    Example:
        >>> binomial(3, rank=2) * 16
        tensor([[1., 2., 1.],
                [2., 4., 2.],
                [1., 2., 1.]])
    """
    (taps,) = _taps(size, 1)
    return _product([[math.comb(taps - 1, j) / 2 ** (taps - 1) for j in range(taps)]] * _axes(rank))


def gaussian(sigma: float = 1.0, size: int | None = None, rank: int = 1) -> Tensor:
    """Gaussian averaging: exp(-(j - centre)^2 / (2 sigma^2)) along every axis, over its sum. Sums to 1.

    Args:
        sigma: the standard deviation, in cells.
        size: taps; left out, as far as 4 sigma on both sides: 2 floor(4 sigma + 1/2) + 1.
        rank: the number of axes, one to three.

    Example:
        >>> gaussian(1.0, size=3)
        tensor([0.2741, 0.4519, 0.2741])
    """
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 < sigma < math.inf:
        raise ArgumentError("no such Gaussian", expected="a positive finite sigma", got=repr(sigma))
    (taps,) = _taps(2 * int(4 * sigma + 0.5) + 1 if size is None else size, 1)
    bell = [math.exp(-((j - (taps - 1) / 2) ** 2) / (2 * sigma**2)) for j in range(taps)]
    return _product([[value / math.fsum(bell) for value in bell]] * _axes(rank))


def change(axis: int = -1, rank: int = 1) -> Tensor:
    """Change along an axis, the first difference (-1, 0, 1): x[i + 1] - x[i - 1]. Sums to 0.

    It is twice the slope of a ramp: halve it for the derivative.

    Example:
        >>> change()
        tensor([-1.,  0.,  1.])
    """
    return _along(axis, rank, [-1.0, 0.0, 1.0], [1.0])


def curvature(axis: int = -1, rank: int = 1) -> Tensor:
    """Change of change along an axis, the second difference: (1, -2, 1). Sums to 0.

    x[i + 1] - 2 x[i] + x[i - 1] is the change after i less the change before it.

    Example:
        >>> curvature()
        tensor([ 1., -2.,  1.])
    """
    return _along(axis, rank, [1.0, -2.0, 1.0], [1.0])


def sobel(axis: int = -1, rank: int = 2) -> Tensor:
    """Change along an axis, (-1, 0, 1), averaged across the others by (1, 2, 1). Sums to 0.

    It is not normalised: 8 times the slope of a ramp in the plane.

    Source: Sobel & Feldman, "A 3x3 isotropic gradient operator for image processing", 1968.

    Example:
        >>> sobel(axis=-1)
        tensor([[-1.,  0.,  1.],
                [-2.,  0.,  2.],
                [-1.,  0.,  1.]])
    """
    return _along(axis, rank, [-1.0, 0.0, 1.0], [1.0, 2.0, 1.0])


def laplacian(corners: bool = False, rank: int = 2) -> Tensor:
    """The Laplacian: the sum of the neighbours less so many times the cell. Sums to 0.

    Args:
        corners: count all 3^rank - 1 cells around as neighbours, eight in the plane, and not only the
            2 * rank that share a face, four in the plane, which give the sum of the second differences.
        rank: the number of axes, one to three.

    Example:
        >>> laplacian()
        tensor([[ 0.,  1.,  0.],
                [ 1., -4.,  1.],
                [ 0.,  1.,  0.]])
        >>> laplacian(corners=True)[1]
        tensor([ 1., -8.,  1.])
    """
    if not isinstance(corners, bool):
        raise ArgumentError("corners is not a bool", expected="True or False", got=repr(corners))
    _axes(rank)
    if corners:
        kernel = torch.ones((3,) * rank)
        kernel[(1,) * rank] = 1.0 - kernel.numel()
        return kernel
    return sum((F.pad(curvature(i, rank), _around(i, rank)) for i in range(rank)), torch.zeros(()))


def _real(x: Tensor) -> bool:
    """True for a dense tensor of floats that can be filtered."""
    dense = x.layout is torch.strided and not x.is_nested
    return dense and x.is_floating_point() and x.dtype.itemsize > 1


def _taps(size: int | Sequence[int], rank: int) -> tuple[int, ...]:
    return tuple(whole_number("size", taps, 1, MOST) for taps in per_axis(size, rank, "size"))


NAMES: dict[str, Callable[..., Tensor]] = {
    make.__name__: make
    for make in (uniform, weighted, binomial, gaussian, change, curvature, sobel, laplacian)
}
"""Every kernel by its name."""


def named(name: str, **arguments: Any) -> Tensor:
    """A kernel by its name in `NAMES`, with its arguments.

    Raises:
        ArgumentError: there is no such kernel, or it takes other arguments.

    Example:
        >>> named("sobel", axis=0)[0]
        tensor([-1., -2., -1.])
    """
    if name not in NAMES:
        near = get_close_matches(str(name), NAMES, n=1)
        hint = repr(near[0]) if near else None
        raise ArgumentError(f"filter {name!r} is unknown", expected=", ".join(NAMES), hint=hint)
    try:
        return NAMES[name](**arguments)
    except TypeError as error:
        raise ArgumentError(f"filter {name!r} takes other arguments: {error}") from None


def apply(
    x: Tensor,
    kernel: Tensor,
    *,
    stride: int | Sequence[int] = 1,
    padding: Rule | Sequence[Rule] = "same",
    dilation: int | Sequence[int] = 1,
    padding_mode: Mode = "constant",
) -> Tensor:
    """Correlate every channel with a kernel: y[n, c, o] = sum_j kernel[j] x[n, c, o s + j d - lo].

    An even kernel has its odd cell after, as the rule `"same"` says.

    Args:
        x: (N, C, *spatial), (C, *spatial) or (*spatial), with as many spatial axes as the kernel has.
        kernel: (*taps), in one to three dimensions; converted to the dtype and device of x.
        stride: cells from one output to the next.
        padding: an int, a rule's name, or one entry per axis.
        dilation: cells from one tap to the next.
        padding_mode: what lies outside: 0, or any mode of `cnnatomy.pad`, by NumPy's name or torch's.

    Returns:
        y of as many axes.

    Raises:
        ArgumentError: x has other axes or is no floating-point tensor, or the kernel does not fit.

    Example:
        >>> apply(torch.tensor([[1.0, 2.0, 4.0, 7.0]]), change(), padding="valid")
        tensor([[3., 5.]])
        >>> apply(torch.tensor([[1.0, 2.0, 4.0, 7.0]]), uniform(), padding_mode="edge")
        tensor([[1.3333, 2.3333, 4.3333, 6.0000]])
    """
    if has_torch_function((x, kernel)):
        options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        options["padding_mode"] = padding_mode
        found: Tensor = handle_torch_function(apply, (x, kernel), x, kernel, **options)
        return found
    rank = _axes(kernel.dim() if isinstance(kernel, Tensor) else 0)
    if isinstance(x, Tensor) and x.dim() == rank:
        given: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        return apply(x[None], kernel, **given, padding_mode=padding_mode)[0]
    if not isinstance(x, Tensor) or x.dim() not in (rank + 1, rank + 2) or not _real(x):
        got = f"{x.layout} of {x.dtype}, {x.dim()} axes" if isinstance(x, Tensor) else type(x).__name__
        expected = f"(N, C, *spatial) or (C, *spatial) of floats, with {rank} spatial axes"
        raise TensorError("the filter does not fit", expected=expected, got=got)
    steps, spread = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    axes = tuple(zip(x.shape[-rank:], kernel.shape, steps, spread, strict=True))
    widths = [resolve(rule, *axis) for rule, axis in zip(paddings(padding, rank), axes, strict=True)]
    for width, (n, k, s, d) in zip(widths, axes, strict=True):
        Window(k, s, width, d).output_size(n)  # says what does not fit
    channels = x.shape[-rank - 1]
    if not channels:
        raise ArgumentError("there is nothing to filter", expected="at least one channel", got=str(x.shape))
    weight = kernel.to(x).expand(channels, 1, *kernel.shape)
    mode = checked_mode(padding_mode)
    if mode != "constant":
        x, widths = pad(x, widths, mode), [(0, 0)] * rank
    elif any(before != after for before, after in widths):
        x = F.pad(x, [cells for width in reversed(widths) for cells in width])
        widths = [(0, 0)] * rank
    sides = [before for before, _ in widths]
    return _CONVOLVE[rank - 1](x, weight, None, steps, sides, spread, channels)


class FixedFilter(torch.nn.Module):
    """What `FixedFilter*d` share."""

    rank: ClassVar[int]
    kernel: Tensor

    def __init__(
        self,
        kernel: Tensor | str,
        stride: int | Sequence[int] = 1,
        padding: Rule | Sequence[Rule] = "same",
        dilation: int | Sequence[int] = 1,
        padding_mode: Mode = "constant",
    ) -> None:
        super().__init__()
        values = named(kernel, rank=self.rank) if isinstance(kernel, str) else kernel
        if not isinstance(values, Tensor) or values.dim() != self.rank:
            got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise ArgumentError("this is no kernel", expected=f"a tensor with {self.rank} axes", got=got)
        self.register_buffer("kernel", values.detach().clone())
        self.stride = per_axis(stride, self.rank, "stride")
        self.padding = paddings(padding, self.rank)
        self.dilation = per_axis(dilation, self.rank, "dilation")
        self.padding_mode = checked_mode(padding_mode)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) or (C, *spatial) -> the same channels, filtered."""
        window = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return apply(x, self.kernel, **window, padding_mode=self.padding_mode)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        """The kernel's sizes, and how it slides."""
        size = tuple(self.kernel.shape)
        mode = "" if self.padding_mode == "constant" else f", padding_mode={self.padding_mode!r}"
        return f"{size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}{mode}"


class FixedFilter1d(FixedFilter):
    """Filter every channel of (N, C, L) or (C, L); see `FixedFilter2d`.

    Example:
        >>> FixedFilter1d("curvature", padding="valid")(torch.tensor([[1.0, 4.0, 9.0, 16.0]]))
        tensor([[2., 2.]])
    """

    rank = 1


class FixedFilter2d(FixedFilter):
    """Filter every channel of (N, C, H, W) or (C, H, W) with a kernel that is not learned: a buffer.

    Args:
        kernel: a tensor (y, x), or a name of `NAMES`.
        stride, padding, dilation, padding_mode: as in `apply`.

    Raises:
        ArgumentError: the kernel is unknown or has other axes, or a number is out of range.

    Example:
        >>> FixedFilter2d(sobel(), padding="valid")(torch.arange(9.0).view(1, 3, 3))
        tensor([[[8.]]])
    """

    rank = 2


class FixedFilter3d(FixedFilter):
    """Filter every channel of (N, C, D, H, W) or (C, D, H, W); see `FixedFilter2d`.

    Example:
        >>> FixedFilter3d("laplacian")(torch.ones(1, 1, 3, 3, 3))[0, 0, 1, 1, 1].item()
        0.0
    """

    rank = 3


def _axes(rank: int) -> int:
    if isinstance(rank, bool) or rank not in (1, 2, 3):
        raise ArgumentError("no kernel has so many axes", expected="1, 2 or 3", got=repr(rank))
    return rank


def _product(rows: Sequence[Sequence[float]]) -> Tensor:
    """The outer product of a row for each axis, computed in float64."""
    columns = [torch.tensor(row, dtype=torch.float64) for row in rows]
    return reduce(lambda product, row: product.unsqueeze(-1) * row, columns).float()


def _along(axis: int, rank: int, row: Sequence[float], others: Sequence[float]) -> Tensor:
    """A row along one axis, and another along all others."""
    _axes(rank)
    if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
        raise ArgumentError("there is no such axis", expected=f"{-rank} .. {rank - 1}", got=repr(axis))
    return _product([row if i == axis % rank else others for i in range(rank)])


def _around(axis: int, rank: int) -> list[int]:
    """What pads a row of three along an axis to three along all, in `F.pad`'s order."""
    return [cells for i in reversed(range(rank)) for cells in ((0, 0) if i == axis else (1, 1))]
