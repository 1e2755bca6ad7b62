"""What linear operators share: outputs that are sums of cells times factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnatomy.explain.plane_layout import ABSENT, Law, Values
from cnnatomy.reducers.contract import Line


def summing(
    formula: str,
    cells: Tensor,
    factors: Tensor,
    bias: Tensor | None = None,
    how: str = "sum",
    text: str | None = None,
    **more: Any,
) -> Law:
    """The law y[o] = bias + sum of factor times value.

    Args:
        formula: in the field's notation.
        cells: (O, T), ABSENT where there is no tap.
        factors: (O, T).
        bias: (O,) or a single number.
        how: sum, or copy where every factor is 1.
        text: the template of its line.
        more: further parts of the law.
    """
    there = cells != ABSENT
    known = factors.masked_fill(~there, 0)

    def compute(values: Values) -> Tensor:
        total = (known * values["x"].masked_fill(~there, 0)).sum(1)
        return total if bias is None else total + bias

    plus = "" if bias is None else " + {bias}"
    line = Line(text if text is not None else "<{factor}·{x}; + >" + plus)
    return Law(formula, how, compute, lambda _: line, factors=known, bias=bias, **more)


def inverse(cells: Tensor, inside: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For every cell the windows that read it, and by which of their taps: two of (cells, most), -1 for none.

    Args:
        cells: (windows, taps).
        inside: which of these are taps, (windows, taps).
        count: how many cells there are.
    """
    window, tap = inside.nonzero(as_tuple=True)
    at = cells[window, tap]
    order = torch.argsort(at, stable=True)
    window, tap, at = window[order], tap[order], at[order]
    counts = torch.bincount(at, minlength=count)
    most = int(counts.max()) if count else 0
    first = counts.cumsum(0) - counts
    column = torch.arange(len(at)) - first[at]
    found = torch.full((2, count, most), -1)
    found[0, at, column], found[1, at, column] = window, tap
    return found[0], found[1]


def moved(axes: Sequence[tuple[int, int, str]], rule: str) -> list[Mapping[str, Any]]:
    """The facts of axes on which no window slides: (size, outputs, sentence)."""
    return [
        {
            "size": n,
            "outputs": out,
            "rule": rule,
            "sentence": sentence,
            "origin": [],
            "step": 1,
            "taps": 1,
            "padding": [0, 0],
            "unread": [],
        }
        for n, out, sentence in axes
    ]


def places(shape: Sequence[int], numbers: Tensor) -> Tensor:
    """The places (O, axes) of flat numbers."""
    if not shape:
        return torch.zeros(len(numbers), 0, dtype=torch.int64)
    return torch.stack(torch.unravel_index(numbers, tuple(shape)), 1)
