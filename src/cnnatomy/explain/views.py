"""What a page and a picture show of a record: boards of cells, and for every step what is marked and said."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnatomy.errors import ArgumentError
from cnnatomy.explain import explanation_text, gradient_text, output_lines
from cnnatomy.explain.record import Record

SHADES = 8
"""Steps from the least value of a map to the greatest, for maps too large for numbers."""
READABLE = 16
"""Maps of at most so many columns have their numbers written in the cells."""
KERNELS = 16
"""Of more kernels none is drawn."""
RING = 8
"""Padding wider than this is not drawn."""


@dataclass
class Cell:
    """One cell of a board: what is written, what it is, and its shade."""

    text: str
    kind: str = ""
    shade: int = 0


@dataclass
class Board:
    """One map as it is drawn: rows of cells; `first` is the number of its first cell on the page."""

    name: str
    role: str
    columns: int
    cells: list[Cell]
    first: int = 0

    @property
    def rows(self) -> list[list[tuple[int, Cell]]]:
        """The cells with their numbers, row by row."""
        numbered = [(self.first + i, cell) for i, cell in enumerate(self.cells)]
        return [numbered[i : i + self.columns] for i in range(0, len(numbered), self.columns)]

    @property
    def readable(self) -> bool:
        """Whether there is room for numbers."""
        return self.columns <= READABLE


@dataclass
class View:
    """Everything that a page shows of a record.

    Args:
        record: what is shown.
        boards: in the order of the page.
        outputs: for every output its name, line, remark and marks: `read` cells of x, its own cells `here`,
            where its gradient goes `sent`, and the neighbours `next` to step to (left, right, up, down).
        cells: for every cell of the input the same, gathered.
    """

    record: Record
    boards: list[Board] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    cells: list[dict[str, Any]] = field(default_factory=list)


MOST_STEPS = 40_000
"""Outputs and cells of the input that are shown at most, each a step that says something."""


def view(record: Record) -> View:
    """The view of a record.

    Raises:
        ArgumentError: it is too large to be shown.
    """
    count = len(record["tensors"]["x"]["values"]) + len(record["tensors"]["y"]["values"])
    if count > MOST_STEPS:
        expected, hint = f"at most {MOST_STEPS:,} cells", "a smaller input, or .json, which has no bound"
        raise ArgumentError("this is too large to be shown", expected=expected, got=f"{count:,}", hint=hint)
    made, frame = View(record), _Frame(record)
    tensors = record["tensors"]
    made.boards += frame.boards(tensors["x"]["values"], "x", "x", True)
    if "weight" in tensors and math.prod(tensors["weight"]["shape"][:1]) <= KERNELS:
        weight = tensors["weight"]
        made.boards += _plain(
            "w", "w", weight["values"], weight["shape"] if len(weight["shape"]) > 1 else [1]
        )
    made.boards += _plain("y", "y", tensors["y"]["values"], tensors["y"]["shape"])
    made.boards += _plain("dy", "dy", tensors["grad_y"]["values"], tensors["y"]["shape"])
    made.boards += frame.boards(tensors["grad_x"]["values"], "dx", "dx", False)
    total = 0
    for board in made.boards:
        board.first = total
        total += len(board.cells)
    numbers = {
        role: list(
            itertools.chain.from_iterable(
                range(b.first, b.first + len(b.cells)) for b in made.boards if b.role == role
            )
        )
        for role in ("x", "y", "dy", "dx")
    }
    for o in range(len(tensors["y"]["values"])):
        made.outputs.append(_output(record, frame, numbers, o))
    for cell in range(len(tensors["x"]["values"])):
        made.cells.append(_cell(record, frame, numbers, cell))
    return made


def _output(record: Record, frame: _Frame, numbers: dict[str, list[int]], o: int) -> dict[str, Any]:
    first, stop = record["taps"]["ptr"][o : o + 2]
    cells = [cell for cell in record["taps"]["cell"][first:stop] if cell >= 0]
    partials = record["taps"]["partial"][first:stop]
    own = record["taps"]["cell"][first:stop]
    sent = sorted(
        {cell for cell, p in zip(own, partials, strict=True) if cell >= 0 and output_lines.number(p) != 0}
    )
    read = sorted(
        {numbers["x"][frame.drawn(cell)] for cell in cells} | {numbers["x"][i] for i in frame.window(o)}
    )
    return {
        "name": f"{gradient_text.output_name(record, o)} =",
        "place": gradient_text.place(o, record["tensors"]["y"]["shape"], record["tensors"]["y"]["start"]),
        "line": output_lines.line(record, o),
        "remark": output_lines.remark(record, o),
        "back": explanation_text.sends(record, o)[0],
        "read": read,
        "here": [numbers["y"][o], numbers["dy"][o]],
        "sent": [numbers["dx"][cell] for cell in sent],
        "next": neighbours(o, record["tensors"]["y"]["shape"]),
    }


def _cell(record: Record, frame: _Frame, numbers: dict[str, list[int]], cell: int) -> dict[str, Any]:
    first, stop = record["cover"]["ptr"][cell : cell + 2]
    readers = sorted(set(record["cover"]["output"][first:stop]))
    x = record["tensors"]["x"]
    channel, *inner = gradient_text.place(cell, x["shape"], x["start"])
    return {
        "name": "",
        "place": [x["channels"][channel], *inner],
        "line": gradient_text.gathered(record, cell),
        "remark": "" if readers else "no output reads this cell",
        "here": [numbers["x"][frame.drawn(cell)], numbers["dx"][cell]],
        "read": [numbers[role][o] for o in readers for role in ("y", "dy")],
        "sent": [],
        "next": neighbours(cell, x["shape"]),
    }


def neighbours(at: int, shape: Sequence[int]) -> list[int]:
    """The numbers left, right, above and below; itself at an edge.

    Example:
        >>> neighbours(4, (3, 3)), neighbours(0, (2, 2))
        ([3, 5, 1, 7], [0, 1, 0, 2])
    """
    columns, total = (shape[-1] if shape else 1), math.prod(shape)
    left, right = max(at - 1, 0), min(at + 1, total - 1)
    up, down = at - columns, at + columns
    return [left, right, up if up >= 0 else at, down if down < total else at]


def _plain(name: str, role: str, values: Sequence[Any], shape: Sequence[int]) -> list[Board]:
    """A tensor as boards of its last two axes."""
    columns = shape[-1] if shape else 1
    size = columns * (shape[-2] if len(shape) > 1 else 1)
    boards = []
    for k in range(max(len(values) // max(size, 1), 1)):
        part = values[k * size : (k + 1) * size]
        boards.append(Board(_named(name, k, len(values) // size), role, columns, shaded(part)))
    return boards


def _named(name: str, k: int, of: int) -> str:
    return name if of == 1 else f"{name}[{k}]"


def shaded(values: Sequence[Any]) -> list[Cell]:
    """Cells with their numbers, and shades from the least finite value to the greatest."""
    known = [output_lines.number(value) for value in values]
    finite = [value for value in known if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    span = high - low
    cells = []
    for value in known:
        share = (value - low) / span if span > 0 and math.isfinite(span) and math.isfinite(value) else 0.0
        kind = "nan" if math.isnan(value) else ""
        cells.append(Cell(output_lines.written(value, 4)[0], kind, round(share * SHADES)))
    return cells


class _Frame:
    """The input as it is drawn: its cells, and around them the padding that windows reach."""

    def __init__(self, record: Record) -> None:
        self.record = record
        x = record["tensors"]["x"]
        self.shape, self.start = x["shape"][1:], x["start"]
        self.low, self.high = list(self.start), [i + n for i, n in zip(self.start, self.shape, strict=True)]
        grids = record["axes"]
        slides = len(grids) == 1 and all(axis["origin"] for axis in grids[0])
        self.axes = grids[0] if slides and len(grids[0]) == len(self.shape) else []
        if self.axes:
            self._widen()
        self.sizes = [high - low for low, high in zip(self.low, self.high, strict=True)]

    def _widen(self) -> None:
        places = self.record["taps"]["place"]
        for i, axis in enumerate(self.axes):
            starts = [axis["origin"][place[i]] for place in places]
            reach = max(starts, default=0) + (axis["taps"] - 1) * axis["step"] + 1
            low, high = min(self.low[i], min(starts, default=0)), max(self.high[i], reach)
            if self.low[i] - low <= RING and high - self.high[i] <= RING:
                self.low[i], self.high[i] = low, high

    def drawn(self, cell: int) -> int:
        """The number, among all drawn cells of x, of a cell of the record."""
        channel, rest = divmod(cell, math.prod(self.shape))
        at = gradient_text.place(rest, self.shape, self.start)
        drawn: int = channel * math.prod(self.sizes) + self._flat(at)
        return drawn

    def _flat(self, at: Sequence[int]) -> int:
        found: int = 0
        for i, low, size in zip(at, self.low, self.sizes, strict=True):
            found = found * size + i - low
        return found

    def positions(self, o: int) -> list[list[int]]:
        """Every place of an output's window that is drawn, in row-major order of its taps."""
        taps = self.record["taps"]
        if not self.axes or taps["grid"][o] < 0:
            return []
        lines_of = [
            [axis["origin"][at] + t * axis["step"] for t in range(axis["taps"])]
            for axis, at in zip(self.axes, taps["place"][o], strict=True)
        ]
        return [list(at) for at in itertools.product(*lines_of)]

    def window(self, o: int) -> list[int]:
        """The drawn cells that an output's window lies over, in every channel that is shown."""
        inside = [at for at in self.positions(o) if self._shows(at)]
        channels = range(self.record["tensors"]["x"]["shape"][0])
        return [k * math.prod(self.sizes) + self._flat(at) for k in channels for at in inside]

    def _shows(self, at: Sequence[int]) -> bool:
        return all(low <= i < high for i, low, high in zip(at, self.low, self.high, strict=True))

    def boards(self, values: Sequence[Any], name: str, role: str, framed: bool) -> list[Board]:
        """The input, or its gradient, as boards; with the padding if it is framed."""
        channels = self.record["tensors"]["x"]["channels"]
        size, found = math.prod(self.shape), []
        rim = self._rim() if framed else {}
        for k, channel in enumerate(channels):
            cells = shaded(values[k * size : (k + 1) * size])
            if framed:
                self._hatch(cells, k * size)
                cells = self._framed(cells, k, rim)
            shape = self.sizes if framed else self.shape
            columns = shape[-1] if shape else 1
            deep = math.prod(shape[:-2]) if len(shape) > 2 else 1
            label = name if len(channels) == 1 else f"{name}[{channel}]"
            part = len(cells) // deep
            found += [
                Board(_named(label, z, deep), role, columns, cells[z * part : (z + 1) * part])
                for z in range(deep)
            ]
        return found

    def _hatch(self, cells: list[Cell], first: int) -> None:
        """Mark what no output reads."""
        ptr = self.record["cover"]["ptr"]
        for i, cell in enumerate(cells):
            if ptr[first + i] == ptr[first + i + 1]:
                cell.kind = "unread"

    def _framed(self, cells: list[Cell], k: int, rim: dict[tuple[int, tuple[int, ...]], Cell]) -> list[Cell]:
        inside = {tuple(gradient_text.place(i, self.shape, self.start)): cell for i, cell in enumerate(cells)}
        every = itertools.product(*(range(low, high) for low, high in zip(self.low, self.high, strict=True)))
        return [inside.get(at) or rim.get((k, at)) or Cell("", "outside") for at in every]

    def _rim(self) -> dict[tuple[int, tuple[int, ...]], Cell]:
        """What stands in the padding: values that are filled in or copied."""
        taps, found = self.record["taps"], {}
        for o, (first, stop) in enumerate(itertools.pairwise(taps["ptr"])):
            at = self.positions(o)
            for k in range(first, stop):
                kind = taps["flag"][k].rpartition(" ")[2]
                if at and kind in ("fill", "copied"):
                    channel = (k - first) // len(at)
                    said = output_lines.written(output_lines.number(taps["value"][k]), 4)[0]
                    found[channel, tuple(at[taps["tap"][k]])] = Cell(said, kind)
        return found
