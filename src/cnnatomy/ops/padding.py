"""Padding as an operator: `pad`, with the modes of np.pad.

Every mode is a *filler*: a function of x, an axis and the two widths that gives both borders. Axes are padded
in order, first to last, so that the last one decides the corners. Modes that repeat cells, and large borders
of one value, take a shorter way (`border.py`) wherever nobody traces or transforms them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from math import isfinite
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.backends import FLOATING, INTEGERS
from cnnatomy.backends.cpu.runtime.huge_pages import LARGE
from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.backends.result_memory import demand
from cnnatomy.checks import index
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.borders import Pair, cropped, pairs, settled
from cnnatomy.ops import border, border_values
from cnnatomy.ops.routing import demand_dense, eager, overridable, transformed

Borders: TypeAlias = tuple[Tensor, Tensor]
Filler: TypeAlias = Callable[..., Borders]
Mode: TypeAlias = str | Callable[..., Any]

OPTIONS: dict[str, str] = {
    "constant": "constant_values",
    "edge": "",
    "empty": "",
    "linear_ramp": "end_values",
    "maximum": "stat_length",
    "mean": "stat_length",
    "median": "stat_length",
    "minimum": "stat_length",
    "reflect": "reflect_type",
    "symmetric": "reflect_type",
    "wrap": "",
}
"""np.pad's modes, and the option that each takes."""

SYNONYMS = {"zeros": "constant", "replicate": "edge", "circular": "wrap", "nearest": "edge"}
"""torch's names of three modes, and SciPy's of one."""

_ORDERED = (*FLOATING, *INTEGERS, torch.bool)
_COMPLEX = (torch.complex64, torch.complex128)


@overridable
def pad(
    x: Tensor,
    widths: Any,
    mode: Mode = "constant",
    *,
    axes: int | Sequence[int] | None = None,
    constant_values: Any = None,
    end_values: Any = None,
    stat_length: Any = None,
    reflect_type: str | None = None,
    **kwargs: Any,
) -> Tensor:
    """Put borders around x as np.pad does: y[i] = x[source(i - before)] for the modes that repeat cells.

    | mode | border |
    |---|---|
    | `"constant"` | `constant_values`, 0 if left out |
    | `"edge"` | the first or last cell again: `a a [a b c] c c` |
    | `"reflect"` | mirrored at the edge cell: `c b [a b c] b a` |
    | `"symmetric"` | mirrored beside the edge cell: `b a [a b c] c b` |
    | `"wrap"` | from the other end: `b c [a b c] a b` |
    | `"linear_ramp"` | straight from the edge cell to `end_values`, 0 if left out |
    | `"maximum"`, `"mean"`, `"median"`, `"minimum"` | of `stat_length` cells next to the border, or of all |
    | `"empty"` | undefined |
    | a function | `(left, right) = f(x, axis, before, after, **kwargs)`, the two borders along the axis |
    | np.pad's function | `f(vector, iaxis_pad_width, iaxis, kwargs)`, which fills both |

    torch's `"zeros"`, `"replicate"` and `"circular"` are `"constant"`, `"edge"` and `"wrap"`.

    A negative width crops; all cropping comes before all padding. Borders may be wider than x: mirrors and
    wraps go on. Axes are padded first to last, later ones over the corners of earlier ones.

    Args:
        x: any tensor, of any rank.
        widths: an int for every border, a (before, after) for every axis, or one pair (or int) per axis, in
            x's order of axes. Fewer pairs than axes are those of the last axes: `((1, 1), (2, 2))` pads rows
            and columns of (N, C, H, W). An int or a single (before, after) means every axis, as in np.pad.
        mode: np.pad's name of it or torch's, or a function; `per_vector` marks one of np.pad's own whose last
            argument has another name than `kwargs`.
        axes: the axes that `widths` and the options speak of, instead of all or the last ones.
        constant_values: a number, a (before, after), or one pair per padded axis.
        end_values: where ramps end; given like `constant_values`.
        stat_length: cells that count, an int >= 1; given like `widths`.
        reflect_type: `"even"`, or `"odd"` for 2 * edge - mirrored, which goes on with the slope.
        kwargs: for the function.

    Returns:
        y, its axes longer by before + after, in x's dtype and memory format. Integers are rounded as np.pad
        does: means and medians to the nearest, halves to even, and ramps down.

    Raises:
        ArgumentError: there is no such mode or axis, widths or options do not fit, or x is empty.

    Source: np.pad of NumPy, whose results these are.

    Example:
        >>> x = torch.tensor([1, 2, 3])
        >>> pad(x, 2, "reflect")
        tensor([3, 2, 1, 2, 3, 2, 1])
        >>> pad(x, (2, -1), constant_values=9)
        tensor([9, 9, 1, 2])
        >>> pad(torch.rand(8, 3, 32, 32), ((1, 1), (2, 0)), "edge").shape
        torch.Size([8, 3, 34, 34])
        >>> pad(x, 1, lambda x, axis, before, after: (x[:before] - 10, x[:after] + 10))
        tensor([-9,  1,  2,  3, 11])
    """
    demand_dense("padding", x)
    given = {
        "constant_values": constant_values,
        "end_values": end_values,
        "stat_length": stat_length,
        "reflect_type": reflect_type,
    }
    mode = checked_mode(mode, "mode")
    _check_options(mode, {**{name: value for name, value in given.items() if value is not None}, **kwargs})
    chosen = _axes(x, widths, axes)
    for axis, pair in zip(chosen, pairs(widths, len(chosen), "widths", least=None), strict=True):
        if pair[0] < 0 or pair[1] < 0:
            first, count, _ = cropped(x.shape[axis], pair, axis)
            x = x.narrow(axis, first, count)
    added = [(max(lo, 0), max(hi, 0)) for lo, hi in pairs(widths, len(chosen), "widths", least=None)]
    wanted = dict(zip(chosen, added, strict=True))
    full = tuple(wanted.get(axis, (0, 0)) for axis in range(x.dim()))
    _check_size(x, full, mode)
    if all(pair == (0, 0) for pair in full):
        return x.clone()
    if not isinstance(mode, str):
        return _by_axis(x, full, {axis: partial(_checked, mode, kwargs) for axis in chosen})
    return _by_mode(x, full, mode, chosen, given[OPTIONS[mode]] if OPTIONS[mode] else None)


def checked_mode(mode: Mode, what: str = "padding_mode") -> Mode:
    """NumPy's name of a padding mode, or a function of an axis and its two widths; `what` is the argument.

    Example:
        >>> checked_mode("replicate")
        'edge'
    """
    if callable(mode):
        return _function(mode)
    name = SYNONYMS.get(mode, mode) if isinstance(mode, str) else None
    if name in OPTIONS:
        return name
    known = (*SYNONYMS, *OPTIONS)
    near = get_close_matches(str(mode), known, n=1)
    raise ArgumentError(
        f"{what} {mode!r} is unknown",
        expected=f"{', '.join(known)} or a function",
        hint=repr(near[0]) if near else None,
    )


def _function(function: Filler) -> Filler:
    """A function of an axis, made of one of np.pad's own where it is one.

    Raises:
        ArgumentError: it takes other arguments.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # some of C's tell none
        return function
    given = list(signature.parameters.values())
    if len(given) == 4 and given[3].name == "kwargs" and given[3].kind is given[3].POSITIONAL_OR_KEYWORD:
        return border_values.per_vector(function)
    optional = [one for one in given[4:] if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    try:
        signature.bind(*"xabc", **{one.name: one.name for one in optional})
    except TypeError:
        expected = "f(x, axis, before, after) or np.pad's f(vector, iaxis_pad_width, iaxis, kwargs)"
        what = "the padding function takes other arguments"
        raise ArgumentError(what, expected=expected, got=f"f{signature}") from None
    return function


def _by_mode(x: Tensor, full: tuple[Pair, ...], mode: str, chosen: Sequence[int], option: Any) -> Tensor:
    count = len(chosen)
    if mode == "constant" or mode == "linear_ramp":
        name = OPTIONS[mode]
        ends = border_values.numbers(0 if option is None else option, count, name, x.dtype)
        first = ends[0][0]
        alike = all(value == first for pair in ends for value in pair)
        if mode == "constant" and alike and not isinstance(first, complex):
            if eager(x) and x.is_floating_point() and x.nbytes >= LARGE and _holds(x.dtype, first):
                return _spread(x, mode, full, first)
            return F.pad(x, [width for pair in reversed(full) for width in pair], value=first)
        make: Any = border_values.constant if mode == "constant" else border_values.ramp
        return _by_axis(x, full, dict(zip(chosen, [partial(make, pair) for pair in ends], strict=True)))
    if mode == "empty":
        return _by_axis(x, full, dict.fromkeys(chosen, border_values.empty))
    if OPTIONS[mode] == "stat_length":
        demand_dense(f"{mode} of cells", x, _ORDERED if mode != "mean" else (*_ORDERED, *_COMPLEX))
        whole = ((None, None),) * count
        spans: Any = whole if option is None else pairs(option, count, "stat_length", least=1)
        made = [partial(border_values.statistic, mode, span) for span in spans]
        return _by_axis(x, full, dict(zip(chosen, made, strict=True)))
    if option not in (None, "even", "odd"):
        raise ArgumentError("reflect_type is unknown", expected="'even' or 'odd'", got=repr(option))
    if option == "odd":
        return _by_axis(x, full, dict.fromkeys(chosen, partial(border_values.odd, mode)))
    if eager(x) and border.sides(x.shape, mode, full):
        return _spread(x, mode, full)
    kinds = {axis: settled(mode, x.shape[axis], full[axis]) for axis in chosen}
    return _by_axis(x, full, {axis: partial(border_values.repeated, kind) for axis, kind in kinds.items()})


def _holds(dtype: torch.dtype, value: float) -> bool:
    """True unless a finite value is beyond the dtype's."""
    return not isfinite(value) or abs(value) <= torch.finfo(dtype).max


def _spread(x: Tensor, mode: str, full: tuple[Pair, ...], value: float = 0.0) -> Tensor:
    if torch.is_grad_enabled() and x.requires_grad:
        y: Tensor = border.Spread.apply(x, mode, full, value)  # type: ignore[no-untyped-call]
        return y
    return border.spread(x, mode, full, value)


def _by_axis(x: Tensor, full: Sequence[Pair], fillers: dict[int, Any]) -> Tensor:
    last = not transformed() and is_last(x)
    for axis, (before, after) in enumerate(full):
        if before or after:
            left, right = fillers[axis](x, axis, before, after)
            x = torch.cat([left, x, right], axis)
    return x.contiguous(memory_format=memory_format(x.dim() - 2, True)) if last else x


def _checked(
    function: Filler, kwargs: dict[str, Any], x: Tensor, axis: int, before: int, after: int
) -> Borders:
    """A user's borders, if they have the shape of borders."""
    found = function(x, axis, before, after, **kwargs)
    whole = isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(t, Tensor) for t in found)
    sizes = [[*x.shape[:axis], width, *x.shape[axis + 1 :]] for width in (before, after)]
    got = [list(t.shape) for t in found] if whole else type(found).__name__
    if got != sizes:
        expected = f"shapes {sizes}"
        raise ArgumentError("a padding function gives (left, right)", expected=expected, got=str(got))
    return found[0].to(x.dtype), found[1].to(x.dtype)


def _check_options(mode: Mode, options: dict[str, Any]) -> None:
    if callable(mode):
        if spare := set(options) & set(OPTIONS.values()):
            raise ArgumentError(f"a padding function does not take {', '.join(sorted(spare))}")
        return
    for name in options:
        if name != OPTIONS[mode]:
            expected = OPTIONS[mode] or "no option"
            raise ArgumentError(f"mode {mode!r} does not take {name}", expected=expected, got=name)


def _axes(x: Tensor, widths: Any, axes: int | Sequence[int] | None) -> tuple[int, ...]:
    """The axes that widths speak of, counted from the first."""
    if axes is not None:
        listed = [axes] if not isinstance(axes, Sequence) else list(axes)
        rank = x.dim()
        chosen = tuple(index("axis", a + rank if isinstance(a, int) and a < 0 else a, rank) for a in listed)
        if len(set(chosen)) < len(chosen):
            raise ArgumentError("an axis is named twice", got=repr(axes))
        return chosen
    entries = widths.tolist() if hasattr(widths, "tolist") else widths
    several = isinstance(entries, Sequence) and any(
        isinstance(e, Sequence) and not isinstance(e, str) for e in entries
    )
    if several and len(entries) > x.dim():
        expected = f"at most {x.dim()} pairs, for shape {tuple(x.shape)}"
        raise ArgumentError("widths has too many pairs", expected=expected, got=str(len(entries)))
    return tuple(range(x.dim() - len(entries) if several else 0, x.dim()))


def _check_size(x: Tensor, full: Sequence[Pair], mode: object) -> None:
    for axis, (n, pair) in enumerate(zip(x.shape, full, strict=True)):
        if pair != (0, 0) and n == 0 and mode not in ("constant", "empty"):
            what = f"axis {axis} has no cell to fill a border from"
            raise ArgumentError(what, got=f"shape {tuple(x.shape)}", hint="mode='constant'")
    sizes = [n + lo + hi for n, (lo, hi) in zip(x.shape, full, strict=True)]
    demand(x, sizes)
