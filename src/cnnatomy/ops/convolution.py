"""Convolution as a function: torch's arithmetic, under every padding rule, width and mode.

Equal widths of zeros are torch's own argument, and such a call goes straight to torch. Everything else is
settled here, in no more copies than torch itself would make: a border that no window reads is not written,
zeros are added on one side alone where the widths differ, and only the other modes write a padded copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.backends.result_memory import demand
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError, TensorError
from cnnatomy.geometry.padding_rules import Rule, paddings, per_axis, resolve
from cnnatomy.geometry.window import Window
from cnnatomy.ops.padding import Mode, checked_mode, pad
from cnnatomy.ops.routing import demand_dense, overridable, plain, tracing, transformed

Sizes = int | Sequence[int]
Ints = tuple[int, ...]
Rules = tuple[Rule, ...]

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
PIECE = 2**23
"""Bytes of a padded copy that the processor's caches hold."""


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Rule | Sequence[Rule] = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: Mode = "zeros",
) -> Tensor:
    """Convolve (cross-correlate) one to three axes, under any padding rule at any stride.

    y[n, o, t] = bias[o] + sum over i and j of weight[o, i, j] * x[n, i, t * stride - before + j * dilation]

    Args:
        x: (N, C, *spatial) or (C, *spatial); or a plain map, a matrix or a row, with a kernel alike.
        weight: (O, C / groups, *kernel); its axes say how many spatial ones there are, one to three.
        bias: (O,).
        stride: cells from one window to the next; an int or one per axis (.., y, x), as all that follow.
        padding: "valid", "same", "keep", "full", "causal", cells on both sides, or a pair (before, after).
        dilation: cells from one tap to the next.
        groups: parts of the channels that are convolved apart.
        padding_mode: what is in the padding: any mode of `cnnatomy.pad`, by NumPy's name or torch's.

    Returns:
        (N, O, *sizes) or (O, *sizes), with the sizes of `cnnatomy.Window`.

    Raises:
        ArgumentError: shapes that do not fit each other, or a rule or mode that is unknown.

    Example:
        >>> import torch
        >>> x, weight = torch.arange(6.0).view(1, 1, 6), torch.ones(1, 1, 3)
        >>> convolve(x, weight, stride=2, padding="same")
        tensor([[[3., 9., 9.]]])
        >>> convolve(x, weight, stride=2, padding=((0, 1),), padding_mode="edge")
        tensor([[[ 3.,  9., 14.]]])
        >>> convolve(torch.eye(3), torch.ones(2, 2))
        tensor([[2., 1.],
                [1., 2.]])
    """
    if isinstance(weight, Tensor) and isinstance(x, Tensor) and x.dim() == weight.dim() <= 2:
        plane, kernel = x[(None, None)], weight[(None, None)]
        return convolve(plane, kernel, bias, stride, padding, dilation, groups, padding_mode)[0, 0]
    rank = spatial_axes(weight)
    steps, apart = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    rules = settled(paddings(padding, rank), weight.shape[2:], steps, apart)
    return run(x, weight, bias, steps, rules, apart, groups, checked_mode(padding_mode))


@overridable
def run(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    rules: Rules,
    dilation: Ints,
    groups: int,
    mode: Mode,
) -> Tensor:
    """`convolve` with checked arguments, one per axis, and NumPy's name of the mode."""
    convolution = CONVOLUTIONS[len(stride)]
    try:
        if mode == "constant" and all(isinstance(rule, int) for rule in rules):
            return convolution(x, weight, bias, stride, rules, dilation, groups)
        windows = _windows(x, weight, stride, rules, dilation)
        if mode == "constant":
            wider, widths = _one_sided(x, windows)
            return convolution(wider, weight, bias, stride, widths, dilation, groups)

        def padded(part: Tensor) -> Tensor:
            part = pad(part, [window.padding for window in windows], mode)
            return convolution(part, weight, bias, stride, 0, dilation, groups)

        return _in_pieces(x, padded) if _large(x, weight) else padded(x)
    except (RuntimeError, TypeError) as error:
        with as_torch():
            check(x, weight, bias, groups, weight.shape[1] * groups, weight.shape[0])
            windows = _windows(x, weight, stride, rules, dilation)
            outs = [w.output_size(n) for w, n in zip(windows, spatial(x, len(stride)), strict=True)]
            demand(x, (*x.shape[: -len(outs) - 1], weight.shape[0], *outs))
            demand_kind(x, error)
        raise


@contextmanager
def as_torch() -> Iterator[None]:
    """Raise what is wrong as torch would too: a RuntimeError."""
    try:
        yield
    except ArgumentError as error:
        raise TensorError(str(error)) from error


def demand_kind(x: Tensor, error: Exception) -> None:
    """See that torch did not refuse x for its dtype."""
    if isinstance(error, NotImplementedError):
        raise ArgumentError("no convolution of this dtype", expected="floating point", got=str(x.dtype))


def spatial_axes(weight: Tensor) -> int:
    """The number of spatial axes that a weight has."""
    demand_dense("convolution", weight)
    rank = weight.dim() - 2
    if rank not in CONVOLUTIONS:
        expected = "(out, in / groups, *kernel) with one to three axes of the kernel"
        raise ArgumentError(
            "this is no weight of a convolution", expected=expected, got=f"shape {tuple(weight.shape)}"
        )
    return rank


def settled(rules: Rules, kernel: Sequence[int], stride: Ints, dilation: Ints) -> Rules:
    """The same rules, in cells where these are the same for every size: at stride 1, and by most names.

    Example:
        >>> settled(("same", "same", "full"), (3, 3, 3), (1, 2, 2), (1, 1, 1))
        (1, 'same', 2)
    """
    found: list[Rule] = []
    for rule, k, s, d in zip(rules, kernel, stride, dilation, strict=True):
        before, after = resolve(rule, 1, k, s, d)
        fixed = s == 1 or rule not in ("same", "keep")
        found.append((before if before == after else (before, after)) if fixed else rule)
    return tuple(found)


def spatial(x: Tensor, rank: int) -> Sequence[int]:
    """The sizes of x along its spatial axes."""
    demand_dense("convolution", x)
    if x.dim() not in (rank + 1, rank + 2):
        expected = f"a tensor of {rank + 2} axes, or {rank + 1} for a single picture"
        what, got = "convolution wants (N, C, *spatial)", f"shape {tuple(x.shape)}"
        hint = "x[None], for a picture of one channel" if x.dim() == rank else None
        raise ArgumentError(what, expected=expected, got=got, hint=hint)
    return x.shape[-rank:]


def check(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, inputs: int, outputs: int) -> None:
    """Say what is wrong where torch refused.

    Raises:
        ArgumentError: the axes or channels of x, the groups or the bias do not fit the weight.
    """
    rank = weight.dim() - 2
    spatial(x, rank)
    for what, other in {"the weight": weight, "the bias": bias}.items():
        if other is not None and (other.dtype, other.device) != (x.dtype, x.device):
            expected, got = (f"{t.dtype} on {t.device}" for t in (x, other))
            raise ArgumentError(f"{what} is unlike the input", expected=expected, got=got)
    whole_number("groups", groups, least=1)
    if weight.shape[0] % groups:
        expected = f"a divisor of {weight.shape[0]}"
        raise ArgumentError("groups do not divide the channels", expected=expected, got=str(groups))
    if x.shape[-rank - 1] != inputs:
        got = f"{x.shape[-rank - 1]} in shape {tuple(x.shape)}"
        raise ArgumentError("channels of the input do not fit the weight", expected=str(inputs), got=got)
    if bias is not None and bias.shape != (outputs,):
        got = f"shape {tuple(bias.shape)}"
        raise ArgumentError("the bias does not fit the weight", expected=f"{outputs} values", got=got)


def _windows(x: Tensor, weight: Tensor, stride: Ints, rules: Rules, dilation: Ints) -> list[Window]:
    sizes = spatial(x, len(stride))
    axes = zip(sizes, weight.shape[2:], stride, rules, dilation, strict=True)
    return [Window(k, s, resolve(rule, n, k, s, d), d) for n, k, s, rule, d in axes]


def _one_sided(x: Tensor, windows: Sequence[Window]) -> tuple[Tensor, list[int]]:
    """Zeros on the side that wants more, and the widths that both sides then want of torch."""
    widths: list[int] = []
    rest: list[int] = []
    for window, n in zip(windows, x.shape[-len(windows) :], strict=True):
        before, after = window.padding
        both = min(before, after) if type(before) is int else 0  # to compare symbolic sizes would fix them
        if type(n) is int and _reads_as_much(window, before, n):
            both = after = before
        widths.append(both)
        rest[:0] = before - both, after - both
    return F.pad(x, rest) if any(type(width) is not int or width for width in rest) else x, widths


def _reads_as_much(window: Window, width: int, n: int) -> bool:
    """True if as many windows fit where both widths are as the one before: no window reads what differs."""
    equal = replace(window, padding=(width, width))
    return equal.slack(n) >= 0 and equal.output_size(n) == window.output_size(n)


def _large(x: Tensor, weight: Tensor) -> bool:
    """True if the padded copy exceeds the caches and nothing keeps it: then it is better never whole."""
    return (
        not torch.compiler.is_compiling()
        and plain(x)
        and x.device.type == "cpu"
        and x.dim() == weight.dim()
        and x.numel() * x.element_size() > 2 * PIECE
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and not transformed()
        and not tracing()
    )


def _in_pieces(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """function(x), for a few pictures at a time."""
    some = max(1, PIECE * len(x) // (x.numel() * x.element_size()))
    first = function(x[:some])
    y = torch.empty_strided((len(x), *first.shape[1:]), first.stride(), dtype=first.dtype, device=x.device)
    y[:some] = first
    for start in range(some, len(x), some):
        y[start : start + some] = function(x[start : start + some])
    return y
