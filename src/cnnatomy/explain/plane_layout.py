"""One plane of an operator laid out: which cells each output reads, and how its value comes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Line

if TYPE_CHECKING:
    from cnnatomy.explain.explanation import Explanation

FILL, ABSENT = -1, -2
"""What stands in the place of a cell: a value of the padding, or no tap at all."""
MOST = 200_000
"""The most taps of all outputs of one record."""
LEAST = 1_000
"""Cells that are shown even if nothing reads most of them."""

Values = Mapping[str, Tensor]
"""The values of every tap (O, T), by the input that they come from."""
Parts = Callable[[Tensor | None], "Sequence[tuple[str, Explanation]]"]
"""Explanations of what x was made by, from the gradient of x."""


@dataclass(frozen=True)
class Call:
    """The operator as it is called: what a record is held to.

    Args:
        text: the call as code.
        name: the operator's own name.
        params: its settings, as JSON has them.
        inputs: every tensor that it takes and has a derivative for, by name; x first, (N, C, *spatial).
        run: the operator itself, of those tensors.
        dtype: that of x.
        wide: the dtype that is computed in.
    """

    text: str
    name: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Tensor]
    run: Callable[[Mapping[str, Tensor]], Tensor]
    dtype: torch.dtype
    wide: torch.dtype


@dataclass(frozen=True)
class Plane:
    """The outputs that are explained: a block of one plane.

    Args:
        of: where the plane is in the operator's output, such as its image and channel.
        whole: the sizes of the plane.
        start: the first output of the block on every axis.
        shape: the sizes of the block.
        at: the output that is asked for, on every axis of the plane.
        take: the plane, flat, out of the operator's output.
    """

    of: Mapping[str, int]
    whole: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]
    at: tuple[int, ...]
    take: Callable[[Tensor], Tensor]

    @property
    def numbers(self) -> Tensor:
        """The flat numbers of the block's outputs in the plane, (O,)."""
        every = torch.arange(math.prod(self.whole)).view(self.whole)
        for axis, (first, count) in enumerate(zip(self.start, self.shape, strict=True)):
            every = every.narrow(axis, first, count)
        return every.reshape(-1)

    def block(self, y: Tensor) -> Tensor:
        """The block's outputs (O,) out of the operator's output."""
        flat = self.take(y).reshape(-1)
        return flat if self.shape == self.whole else flat[self.numbers]


def plane(
    of: Mapping[str, int],
    whole: tuple[int, ...],
    at: tuple[int, ...],
    taps: int,
    take: Callable[[Tensor], Tensor],
) -> Plane:
    """A plane, or as much of it around an output as has few enough taps.

    Raises:
        ArgumentError: the plane has no such output, or a single output has too many taps.
    """
    if len(at) != len(whole) or any(not 0 <= i < n for i, n in zip(at, whole, strict=True)):
        expected = ", ".join(f"0 .. {n - 1}" for n in whole)
        raise ArgumentError("there is no such output", expected=expected, got=str(at))
    if taps > MOST:
        raise ArgumentError("an output reads too much to be shown", expected=f"{MOST} taps", got=str(taps))
    shape = list(whole)
    while math.prod(shape) * max(taps, 1) > MOST:
        longest = shape.index(max(shape))
        shape[longest] = -(-shape[longest] // 2)
    start = tuple(min(max(i - n // 2, 0), full - n) for i, n, full in zip(at, shape, whole, strict=True))
    return Plane(of, whole, start, tuple(shape), at, take)


def leading(at: tuple[int, int], sizes: tuple[int, int]) -> dict[str, int]:
    """The image and channel that are asked for.

    Raises:
        ArgumentError: the output has no such image or channel.
    """
    for what, i, n in zip(("image", "channel"), at, sizes, strict=True):
        if i >= n:
            raise ArgumentError(f"the output has no {what} {i}", expected=f"0 .. {n - 1}", got=str(i))
    return dict(zip(("image", "channel"), at, strict=True))


@dataclass(frozen=True)
class Reads:
    """Which cells of x every output reads; O outputs in row-major order, T the most taps of any.

    Args:
        channels: the channels of x that cells count in.
        show: those channels (channels, *spatial) out of x (N, C, *spatial).
        cells: the flat cell of every tap (O, T), FILL or ABSENT.
        number: which tap of its window each is (O, T).
        grids: the axes (.., y, x) of the windows, each a record of facts; several where regions are made of
            others.
        grid: on which of these each output lies (O,); -1 where it has no window.
        place: where on it (O, axes).
        copied: whether the tap lies in padding, which shows the cell again (O, T).
        start: the first cell that is shown, on every axis.
    """

    channels: Sequence[int]
    show: Callable[[Tensor], Tensor]
    cells: Tensor
    number: Tensor
    grids: Sequence[Sequence[Mapping[str, Any]]]
    grid: Tensor
    place: Tensor
    copied: Tensor | None = None
    start: tuple[int, ...] = ()


@dataclass(frozen=True)
class Law:
    """How an output comes of its taps.

    Args:
        formula: in the field's notation.
        how: sum, select, sort, weighted, root, copy or solve.
        compute: the outputs (O,) from the values of all taps, differentiable.
        line: how these outputs are written.
        winner: the chosen tap of every output (O,); None where nothing is chosen.
        exact: whether the operator does just the same arithmetic, so that nothing may differ.
        looseness: how much more than the rounding of a sum may differ, where equations are solved.
        weight: the name of the input that holds what taps are multiplied by.
        part: the numbers out of that input that these outputs are multiplied by.
        which: the flat place in this part of every tap's number (O, T).
        factors: what every tap is multiplied by (O, T).
        bias: what is added to every output (O,).
        learned: further parameters, by name.
        draw: the uniform number that every output was drawn with (O,).
    """

    formula: str
    how: str
    compute: Callable[[Values], Tensor]
    line: Callable[[Values], Line]
    winner: Callable[[Values], Tensor] | None = None
    exact: bool = False
    looseness: float = 1.0
    weight: str | None = None
    part: Callable[[Tensor], Tensor] | None = None
    which: Tensor | None = None
    factors: Tensor | None = None
    bias: Tensor | None = None
    learned: Mapping[str, Tensor] = field(default_factory=dict)
    draw: Tensor | None = None

    def weights(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """The numbers that taps are multiplied by, out of the operator's inputs."""
        return None if self.weight is None or self.part is None else self.part(inputs[self.weight].detach())


@dataclass(frozen=True)
class Laid:
    """One plane of an operator, ready to be written down.

    Args:
        family: which kind of operator: pool, convolve, pad ..
        call: the operator.
        plane: the outputs that are explained.
        reads: the cells that they read.
        law: how they come of these.
        beside: inputs that are read at the same cells as x.
        parts: explanations of what x was made by.
        notes: what a reader must know, in sentences.
    """

    family: str
    call: Call
    plane: Plane
    reads: Reads
    law: Law
    beside: tuple[str, ...] = ()
    parts: Parts | None = None
    notes: Sequence[str] = ()

    def shown(self) -> dict[str, Tensor]:
        """The parts of x, and of what is read beside it, that cells count in."""
        return {name: self.reads.show(self.call.inputs[name].detach()) for name in ("x", *self.beside)}

    def values(self) -> dict[str, Tensor]:
        """The value of every tap (O, T), in the dtype that is computed in."""
        cells, found = self.reads.cells, {}
        for name, tensor in self.shown().items():
            flat = tensor.reshape(-1).to(self.call.wide)
            taken = flat[cells.clamp(min=0)] if flat.numel() else flat.new_zeros(cells.shape)
            found[name] = taken.masked_fill(cells < 0, 0.0)
        return found


def cropped(reads: Reads, spatial: tuple[int, ...]) -> Reads:
    """The reads, with only the cells shown that lie between the first and the last that is read."""
    start = (0,) * len(spatial)
    if math.prod(spatial) * len(reads.channels) <= LEAST or not (reads.cells >= 0).any():
        return _started(reads, start)
    read = reads.cells[reads.cells >= 0]
    whole = math.prod(spatial)
    at = torch.unravel_index(read % whole, spatial)
    start = tuple(int(axis.min()) for axis in at)
    sizes = tuple(int(axis.max()) + 1 - first for axis, first in zip(at, start, strict=True))
    if sizes == tuple(spatial):
        return _started(reads, start)
    moved = read // whole
    for axis, first, size in zip(at, start, sizes, strict=True):
        moved = moved * size + axis - first
    cells = reads.cells.clone()
    cells[reads.cells >= 0] = moved
    show = reads.show

    def part(x: Tensor) -> Tensor:
        shown = show(x)
        for axis, (first, size) in enumerate(zip(start, sizes, strict=True), 1):
            shown = shown.narrow(axis, first, size)
        return shown

    return _started(reads, start, cells, part)


def _started(
    reads: Reads,
    start: tuple[int, ...],
    cells: Tensor | None = None,
    show: Callable[[Tensor], Tensor] | None = None,
) -> Reads:
    from dataclasses import replace

    return replace(
        reads,
        start=start,
        cells=reads.cells if cells is None else cells,
        show=reads.show if show is None else show,
    )
