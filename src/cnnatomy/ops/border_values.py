"""What fills borders: for each mode a function of x, an axis and two widths that gives both borders.

Plain operations of torch on slices: differentiable in every mode and order, deterministic, and traceable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.borders import Run, rounds, runs

Borders = tuple[Tensor, Tensor]
Number = int | float | complex | bool


def numbers(value: Any, count: int, name: str, dtype: torch.dtype) -> tuple[tuple[Number, Number], ...]:
    """Expand a number to (before, after) for each of `count` axes, checked against what the dtype holds."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ((_number(name, value, dtype),) * 2,) * count
    if len(value) == 2 and not any(isinstance(entry, Sequence) for entry in value):
        return ((_number(name, value[0], dtype), _number(name, value[1], dtype)),) * count
    found = tuple(entry for entry in value if isinstance(entry, Sequence) and len(entry) == 2)
    if len(found) != len(value) or len(value) not in (1, count):
        expected = f"a number, (before, after), or {count} pairs (before, after)"
        raise ArgumentError(f"{name} has the wrong length", expected=expected, got=repr(value))
    checked = tuple((_number(name, lo, dtype), _number(name, hi, dtype)) for lo, hi in found)
    return checked * count if len(checked) == 1 else checked


def _number(name: str, value: Any, dtype: torch.dtype) -> Number:
    if not isinstance(value, int | float | complex):
        raise ArgumentError(f"{name} is no number", expected="a number", got=repr(value))
    if isinstance(value, complex) and not dtype.is_complex:
        raise ArgumentError(f"{name} is complex", expected=f"a real number for {dtype}", got=repr(value))
    if dtype.is_floating_point or dtype.is_complex or isinstance(value, complex):
        return value
    if dtype == torch.bool:
        return bool(value) if name == "constant_values" else value
    limits = torch.iinfo(dtype)
    if not math.isfinite(value) or not limits.min <= int(value) <= limits.max:
        expected = f"{limits.min} .. {limits.max} for {dtype}"
        raise ArgumentError(f"{name} does not fit", expected=expected, got=repr(value))
    return int(value) if name == "constant_values" else value


def _size(x: Tensor, axis: int, width: int) -> list[int]:
    return [*x.shape[:axis], width, *x.shape[axis + 1 :]]


def constant(values: tuple[Number, Number], x: Tensor, axis: int, before: int, after: int) -> Borders:
    """A number before, and a number after."""
    left, right = (x.new_full(_size(x, axis, n), v) for n, v in zip((before, after), values, strict=True))
    return left, right


def empty(x: Tensor, axis: int, before: int, after: int) -> Borders:
    """Nothing in particular."""
    return x.new_empty(_size(x, axis, before)), x.new_empty(_size(x, axis, after))


def repeated(mode: str, x: Tensor, axis: int, before: int, after: int) -> Borders:
    """Cells of x again: of one run each, or of whole periods laid end to end."""
    n = x.shape[axis]
    found = runs(mode, n, (before, after))
    if found is not None:
        return _run(x, axis, found[0]), _run(x, axis, found[1])
    cycle = x
    if mode != "wrap":
        back = x if mode == "symmetric" else x.narrow(axis, 1, n - 2)
        cycle = torch.cat([x, back.flip(axis)], axis)
    times, skip = rounds(mode, n, (before, after))
    tiled = cycle.repeat([times if a == axis else 1 for a in range(x.dim())])
    return tiled.narrow(axis, skip, before), tiled.narrow(axis, skip + before + n, after)


def _run(x: Tensor, axis: int, run: Run) -> Tensor:
    start, count, step = run
    if step == 0:
        return x.narrow(axis, start, 1).expand(_size(x, axis, count))
    if step > 0:
        return x.narrow(axis, start, count)
    return x.narrow(axis, start - count + 1, count).flip(axis)


def odd(mode: str, x: Tensor, axis: int, before: int, after: int) -> Borders:
    """Mirrors of twice the edge less x, each step as far as whole mirrors reach, in np.pad's order."""
    n, edge = x.shape[axis], 0 if mode == "symmetric" else 1
    if n == 1:
        return repeated("edge", x, axis, before, after)

    def mirror(twice: Tensor, cells: Tensor) -> Tensor:
        if x.dtype == torch.bool:  # arithmetic is that of whole numbers, and all but 0 are true
            return (2 * twice.long() - cells.long()).bool()
        return 2 * twice - cells

    grown, lo, hi = x, before, after
    while lo > 0 or hi > 0:
        size = grown.shape[axis]
        period = n - edge
        most = (size - edge) // period * period
        left, right = min(lo, most), min(hi, most)
        first, last = grown.narrow(axis, 0, 1), grown.narrow(axis, size - 1, 1)
        mirrored = grown.narrow(axis, edge, left).flip(axis)
        joined = torch.cat([mirror(first, mirrored), grown], axis)
        mirrored = joined.narrow(axis, left + size - edge - right, right).flip(axis)
        grown = torch.cat([joined, mirror(last, mirrored)], axis)
        lo, hi = lo - left, hi - right
    return grown.narrow(axis, 0, before), grown.narrow(axis, before + n, after)


def ramp(ends: tuple[Number, Number], x: Tensor, axis: int, before: int, after: int) -> Borders:
    """Equal steps from an end value up to the edge cell: end + k (edge - end) / width, in float64."""
    wide = torch.complex128 if x.is_complex() else torch.float64
    found: list[Tensor] = []
    for end, width, at in zip(ends, (before, after), (0, x.shape[axis] - 1), strict=True):
        edge = x.narrow(axis, at, 1).to(wide)
        shape = [width if a == axis else 1 for a in range(x.dim())]
        steps = torch.arange(width, dtype=torch.float64, device=x.device).view(shape)
        many = steps.new_full((1,) * x.dim(), max(width, 1))  # by a number, torch may multiply by 1/number
        step = (edge - end) / many  # np.linspace's rounding: another where some step is 0
        line = torch.where((step == 0).any(), steps / many * (edge - end), steps * step) + end
        line = line.flip(axis) if found else line
        whole = not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
        found.append((line.floor() if whole else line).to(x.dtype))
    return found[0], found[1]


def statistic(
    mode: str, spans: tuple[int | None, int | None], x: Tensor, axis: int, before: int, after: int
) -> Borders:
    """A statistic of the cells next to each border."""
    n = x.shape[axis]
    low, high = (n if span is None else min(span, n) for span in spans)
    left = _STATISTICS[mode](x.narrow(axis, 0, low), axis)
    right = left if low == high == n else _STATISTICS[mode](x.narrow(axis, n - high, high), axis)
    return left.expand(_size(x, axis, before)), right.expand(_size(x, axis, after))


def _mean(x: Tensor, axis: int) -> Tensor:
    if x.is_floating_point() or x.is_complex():
        return x.mean(axis, keepdim=True)
    mean = x.double().mean(axis, keepdim=True)
    return (mean if x.dtype == torch.bool else mean.round()).to(x.dtype)


def _median(x: Tensor, axis: int) -> Tensor:
    """The middle cell in order, or the mean of the middle two; NaN if there is one."""
    ordered, n = x.sort(dim=axis).values, x.shape[axis]
    middle = _mean(ordered.narrow(axis, (n - 1) // 2, 2 - n % 2), axis)
    if not x.is_floating_point():
        return middle
    return torch.where(x.isnan().any(axis, keepdim=True), math.nan, middle)


_STATISTICS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "maximum": lambda x, axis: x.amax(axis, keepdim=True),
    "minimum": lambda x, axis: x.amin(axis, keepdim=True),
    "mean": _mean,
    "median": _median,
}


def per_vector(function: Callable[..., Any]) -> Callable[..., Borders]:
    """Make a padding function of one in np.pad's protocol, `function(vector, (before, after), axis, kwargs)`.

    That one gets every vector along the axis, one by one, as a tensor with zeros in its borders, and fills
    those in place. What it does to the cells between is dropped. Derivatives go through it.

    Example:
        >>> import torch; from cnnatomy.ops.padding import pad
        >>> def fill(vector, widths, axis, kwargs):
        ...     vector[: widths[0]] = kwargs["value"]
        ...     vector[-widths[1] :] = vector[widths[0]]
        >>> pad(torch.tensor([1, 2]), 1, per_vector(fill), value=7)
        tensor([7, 1, 2, 1])
    """

    def borders(x: Tensor, axis: int, before: int, after: int, **kwargs: Any) -> Borders:
        zeros = [x.new_zeros(_size(x, axis, width)) for width in (before, after)]
        moved = torch.cat([zeros[0], x, zeros[1]], axis).movedim(axis, -1)
        rows = [row.clone() for row in moved.reshape(-1, moved.shape[-1]).unbind()]
        for row in rows:
            function(row, (before, after), axis, kwargs)
        whole = torch.stack(rows).view(moved.shape) if rows else moved
        whole = whole.movedim(-1, axis)
        return whole.narrow(axis, 0, before), whole.narrow(axis, before + x.shape[axis], after)

    return borders
