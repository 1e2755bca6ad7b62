"""The transpose of a convolution as a function, under every padding rule, to a wanted size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional as F

from cnnatomy.backends.result_memory import demand
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import Rule, paddings, per_axis, resolve
from cnnatomy.geometry.window import Window
from cnnatomy.ops.convolution import (
    Ints,
    Rules,
    Sizes,
    as_torch,
    check,
    demand_kind,
    spatial,
    spatial_axes,
)
from cnnatomy.ops.routing import overridable

TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


def convolve_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Rule | Sequence[Rule] = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    *,
    output_size: Sizes | None = None,
) -> Tensor:
    """Apply the transpose of a convolution: what takes its outputs' gradient to that of its inputs.

    y[n, o, t] = bias[o] + sum of weight[i, o, j] * x[n, i, u], u * stride - before + j * dilation = t

    Padding is the convolution's own and takes cells away here. Several sizes have the same number of windows:
    "same" makes the largest, n * stride, and "keep" n; otherwise `output_padding` or `output_size` chooses.

    Args:
        x: (N, C, *spatial) or (C, *spatial).
        weight: (C, O / groups, *kernel).
        bias: (O,).
        stride, padding, groups, dilation: as in `convolve`.
        output_padding: cells that the output has after those of the smallest size.
        output_size: the wanted spatial sizes, in place of `output_padding`; leading axes may be given too.

    Returns:
        (N, O, *sizes) or (O, *sizes). A size that torch has no way to ask for is cut: a view.

    Raises:
        ArgumentError: shapes that do not fit each other, or a size that no `output_padding` gives.

    Source: Zeiler, Krishnan, Taylor and Fergus (2010); the sizes are of Dumoulin and Visin (2016), section 4.

    Example:
        >>> import torch
        >>> x, weight = torch.ones(1, 1, 3), torch.ones(1, 1, 3)
        >>> convolve_transposed(x, weight, stride=2, padding="same")
        tensor([[[1., 1., 2., 1., 2., 1.]]])
        >>> convolve_transposed(x, weight, stride=2, padding=1, output_size=9)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: no output_padding makes 3 cells into 9: expected 5 .. 6, got 9
    """
    rank = spatial_axes(weight)
    steps, apart = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    more = per_axis(output_padding, rank, "output_padding", least=0)
    return run_transposed(x, weight, bias, steps, paddings(padding, rank), more, groups, apart, output_size)


@overridable
def run_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    rules: Rules,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
    output_size: Sizes | None,
) -> Tensor:
    """`convolve_transposed` with checked arguments, one per axis."""
    rank = len(stride)
    convolution = TRANSPOSED[rank]
    try:
        if output_size is None and all(isinstance(rule, int) for rule in rules):
            return convolution(x, weight, bias, stride, rules, output_padding, groups, dilation)
        axes = _axes(x, weight, stride, rules, output_padding, dilation, output_size)
        widths, more = [axis[0] for axis in axes], [axis[1] for axis in axes]
        y = convolution(x, weight, bias, stride, widths, more, groups, dilation)
    except (RuntimeError, TypeError) as error:
        with as_torch():
            check(x, weight, bias, groups, weight.shape[0], weight.shape[1] * groups)
            outs = [
                axis[3] for axis in _axes(x, weight, stride, rules, output_padding, dilation, output_size)
            ]
            demand(x, (*x.shape[: -rank - 1], weight.shape[1] * groups, *outs))
            demand_kind(x, error)
        raise
    for axis, (_, _, first, size) in enumerate(axes, start=-rank):
        y = y.narrow(axis, first, size) if y.shape[axis] != size else y
    return y


Axis = tuple[int, int, int, int]
"""What torch is asked for on one axis, its padding and output_padding, and what is taken: (first, size)."""


def _axes(
    x: Tensor,
    weight: Tensor,
    stride: Ints,
    rules: Rules,
    output_padding: Ints,
    dilation: Ints,
    output_size: Sizes | None,
) -> list[Axis]:
    sizes = spatial(x, len(stride))
    if isinstance(output_size, Sequence) and len(output_size) == x.dim():
        output_size = output_size[-len(stride) :]
    wanted = (None,) * len(sizes) if output_size is None else per_axis(output_size, len(sizes), "output_size")
    axes = zip(sizes, weight.shape[2:], stride, rules, dilation, output_padding, wanted, strict=True)
    return [_axis(*axis) for axis in axes]


def _axis(n: int, kernel: int, stride: int, rule: Rule, dilation: int, more: int, wanted: int | None) -> Axis:
    if wanted is None and rule in ("same", "keep"):
        if more:
            raise ArgumentError(f"padding {rule!r} says the size", expected="output_padding=0", got=str(more))
        wanted = n * stride if rule == "same" else n
    widths = resolve(rule, n if wanted is None else wanted, kernel, stride, dilation)
    window = Window(kernel, stride, widths, dilation)
    before, after = widths
    extra = more if wanted is None else window.output_padding_for(n, wanted)
    size = window.transposed_size(n, extra)
    # torch takes `padding` cells away on both sides and gives `output_padding` back after: where that can
    # make up for the difference of the widths nothing is left to cut off.
    difference = before - after + extra
    if 0 <= difference < max(stride, dilation):
        return before, difference, 0, size
    least = min(widths)
    return least, extra, before - least, size
