"""The way back: what one cell gathers, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnatomy.explain.output_lines import number, written
from cnnatomy.explain.record import Record


def place(flat: int, shape: Sequence[int], start: Sequence[int] = ()) -> list[int]:
    """The place of a row-major number."""
    found: list[int] = []
    for size in reversed(shape):
        flat, at = divmod(flat, size)
        found.insert(0, at)
    shift = [0] * (len(found) - len(start)) + list(start)
    return [i + first for i, first in zip(found, shift, strict=True)]


def named(name: str, at: Sequence[int]) -> str:
    """A cell as `x[2,1]`.

    Example:
        >>> named("x", [2, 1])
        'x[2,1]'
    """
    return f"{name}[{','.join(map(str, at))}]"


def cell_name(record: Record, cell: int) -> str:
    """A cell of the input by its place: with its channel where several are read."""
    x = record["tensors"]["x"]
    channel, *inner = place(cell, x["shape"], x["start"])
    return named("x", [x["channels"][channel], *inner] if len(x["channels"]) > 1 else inner)


def output_name(record: Record, o: int) -> str:
    """An output by its place on its plane."""
    y = record["tensors"]["y"]
    return named("y", place(o, y["shape"], y["start"]))


def sent(record: Record, cell: int) -> list[tuple[int, float, float]]:
    """Every output that reads a cell: its number, its gradient times the derivative, and the derivative."""
    cover, taps, sends = record["cover"], record["taps"], []
    seen: dict[int, int] = {}
    for k in range(*cover["ptr"][cell : cell + 2]):
        o = cover["output"][k]
        first, stop = taps["ptr"][o : o + 2]
        own = [k for k in range(first, stop) if taps["cell"][k] == cell]
        tap = own[seen.get(o, 0)]
        seen[o] = seen.get(o, 0) + 1
        sends.append((o, number(cover["product"][k]), number(taps["partial"][tap])))
    return sends


def gathered(record: Record, cell: int) -> str:
    """`x[2,2] <- y[1,1]·1 + y[2,1]·3 = 4`: gradients of outputs, each times a derivative, and their sum."""
    sends = sent(record, cell)
    name, total = cell_name(record, cell), number(record["tensors"]["grad_x"]["values"][cell])
    if not sends:
        return f"{name} <- no output reads it: 0"
    terms, exact = [], True
    for o, _, partial in sends:
        said, whole = written(partial, 4)
        exact = exact and whole
        terms.append(f"{output_name(record, o)}·{said}")
    result, whole = written(total, 4)
    sign = "=" if exact and whole and math.isfinite(total) else "≈"
    return f"{name} <- {' + '.join(terms)} {sign} {result}"
