"""The taps of every output of one axis, and the inverse: the outputs that read every cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry._checks import index, whole_number

if TYPE_CHECKING:
    from cnnatomy.geometry.window import Window

_CACHED = 256  # tables kept: a network uses tens, and one of a long signal takes megabytes


@dataclass(frozen=True)
class AxisTable:
    """The taps of every output of one axis, clipped to the input.

    Output o reads the cells `start[o] + j * step` for j in `0 .. count[o] - 1`. Cell j of them is tap
    `skip[o] + j` of the window: `skip[o]` taps fell before the input, and what is missing at the end fell
    after it. An output may read nothing (a window wholly in the padding): its count is 0 and its start is
    clamped into `[0, size]`.

    Args:
        size: cells of the input.
        start: per output, the first cell it reads.
        count: per output, how many cells it reads.
        step: distance between the taps of one output, the dilation.
        skip: per output, taps that fell before the input; left out, none did.

    Raises:
        ArgumentError: the columns differ in length, or a tap lies outside the input.

    Example:
        >>> AxisTable.adaptive(5, 3)
        AxisTable(size=5, start=(0, 1, 3), count=(2, 3, 2), step=1, skip=(0, 0, 0))
        >>> AxisTable(size=6, start=(0, 4), count=(2, 2)).unread()
        (range(2, 4),)
    """

    size: int
    start: tuple[int, ...]
    count: tuple[int, ...]
    step: int = 1
    skip: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        whole_number("size", self.size, least=1)
        whole_number("step", self.step, least=1)
        if not self.skip:
            object.__setattr__(self, "skip", (0,) * len(self.start))
        if not len(self.start) == len(self.count) == len(self.skip):
            lengths = f"{len(self.start)}, {len(self.count)} and {len(self.skip)}"
            raise ArgumentError("the columns of a table differ", expected="one length", got=lengths)
        for o, (start, count) in enumerate(zip(self.start, self.count, strict=True)):
            last = start + (count - 1) * self.step if count else start - 1
            if start < 0 or count < 0 or last >= self.size:
                cells = f"cells {start} .. {last}"
                raise ArgumentError(
                    f"output {o} reads outside the input", expected=f"cells in [0, {self.size})", got=cells
                )

    @staticmethod
    def of(window: Window, n: int) -> AxisTable:
        """Table of a window sliding over n cells, cached.

        Example:
            >>> from cnnatomy.geometry import Window
            >>> AxisTable.of(Window(3, stride=2, padding=(1, 1)), 5)
            AxisTable(size=5, start=(0, 1, 3), count=(2, 3, 2), step=1, skip=(1, 0, 0))
        """
        return _sliding(window, n)

    @staticmethod
    def adaptive(n: int, out: int) -> AxisTable:
        """Table of torch's adaptive bins, cached: o reads floor(o n / out) .. ceil((o + 1) n / out) - 1.

        Bins differ by at most two cells in size and overlap where `out` does not divide n.

        Example:
            >>> [list(AxisTable.adaptive(5, 3).taps(o)) for o in range(3)]
            [[0, 1], [1, 2, 3], [3, 4]]
        """
        return _adaptive(n, out)

    @staticmethod
    def whole(n: int) -> AxisTable:
        """Table of the one output that reads every cell, cached.

        Example:
            >>> AxisTable.whole(4).taps(0)
            range(0, 4)
        """
        return _adaptive(n, 1)

    @property
    def outputs(self) -> int:
        """Number of outputs.

        Example:
            >>> AxisTable.adaptive(7, 3).outputs
            3
        """
        return len(self.start)

    def taps(self, o: int) -> range:
        """Cells that output o reads.

        Example:
            >>> AxisTable(size=5, start=(0, 0), count=(2, 3), step=2).taps(1)
            range(0, 6, 2)
        """
        start = self.start[index("output", o, self.outputs)]
        return range(start, start + self.count[o] * self.step, self.step)

    def origin(self, o: int) -> int:
        """Where tap 0 of output o lies, counted before clipping: negative in the padding before the input.

        Means something only where the output reads a cell.

        Example:
            >>> from cnnatomy.geometry import Window
            >>> AxisTable.of(Window(3, padding=(1, 1)), 4).origin(0)
            -1
        """
        return self.start[index("output", o, self.outputs)] - self.skip[o] * self.step

    def readers(self, i: int) -> tuple[int, ...]:
        """Outputs that read cell i, in order, by asking each output: right for any table, and slow.

        `cover()` answers for all cells at once.

        Example:
            >>> AxisTable.adaptive(5, 3).readers(1)
            (0, 1)
        """
        index("cell", i, self.size)
        return tuple(o for o in range(self.outputs) if i in self.taps(o))

    def cover(self) -> Cover:
        """The inverse of the table, computed once: for every cell, the outputs that read it.

        Raises:
            ArgumentError: the outputs jump about (windows out of order), so no progression lists the readers.

        Example:
            >>> AxisTable.adaptive(5, 3).cover()
            Cover(outputs=3, first=(0, 0, 1, 1, 2), count=(1, 2, 1, 2, 1), step=1)
        """
        return self._cover

    @cached_property
    def _cover(self) -> Cover:
        return _invert(self)

    def unread(self) -> tuple[range, ...]:
        """Cells that no output reads, as ranges of neighbouring cells.

        Example:
            >>> from cnnatomy.geometry import Window
            >>> AxisTable.of(Window(2, stride=3), 9).unread()
            (range(2, 3), range(5, 6), range(8, 9))
        """
        seen = bytearray(self.size)
        for start, count in zip(self.start, self.count, strict=True):
            seen[start : start + count * self.step : self.step] = b"\1" * count
        return _runs(i for i, read in enumerate(seen) if not read)


@dataclass(frozen=True)
class Cover:
    """For every cell i, the outputs that read it: `first[i] + t * step` for t in `0 .. count[i] - 1`.

    A backward pass that gathers walks exactly these outputs. The readers of a cell are neighbours (step 1)
    except under dilation d and stride s, where they lie d / gcd(d, s) apart, the same for every cell.
    A cell that nobody reads has count 0 and first 0.

    Example:
        >>> from cnnatomy.geometry import Window
        >>> cover = Window(3, dilation=2).table(7).cover()
        >>> cover.first, cover.count, cover.step
        ((0, 1, 0, 1, 0, 1, 2), (1, 1, 2, 1, 2, 1, 1), 2)
        >>> list(cover.readers(4))
        [0, 2]
    """

    outputs: int
    first: tuple[int, ...]
    count: tuple[int, ...]
    step: int = 1

    def readers(self, i: int) -> range:
        """Outputs that read cell i, in order.

        Example:
            >>> AxisTable.adaptive(5, 3).cover().readers(1)
            range(0, 2)
        """
        first = self.first[index("cell", i, len(self.first))]
        return range(first, first + self.count[i] * self.step, self.step)


def clip(origin: int, kernel: int, step: int, n: int) -> tuple[int, int, int]:
    """Clip a window's taps `origin + j * step` to `[0, n)`: (first cell, cells, taps before the input).

    Example:
        >>> clip(-3, kernel=4, step=2, n=9)
        (1, 2, 2)
    """
    before = max(0, -(origin // step))  # the least j with origin + j step >= 0
    beyond = min(kernel, -((origin - n) // step))  # the least j with origin + j step >= n
    start = min(max(origin + before * step, 0), n)
    return start, max(0, beyond - before), min(before, kernel)


@lru_cache(maxsize=_CACHED)
def _sliding(window: Window, n: int) -> AxisTable:
    whole_number("input size", n, least=1)
    origins = range(
        -window.padding[0], window.output_size(n) * window.stride - window.padding[0], window.stride
    )
    rows = [clip(origin, window.kernel, window.dilation, n) for origin in origins]
    start, count, skip = zip(*rows, strict=True)
    return AxisTable(n, start, count, window.dilation, skip)


@lru_cache(maxsize=_CACHED)
def _adaptive(n: int, out: int) -> AxisTable:
    whole_number("input size", n, least=1)
    whole_number("output size", out, least=1)
    start = tuple(o * n // out for o in range(out))
    count = tuple(-(-(o + 1) * n // out) - start[o] for o in range(out))
    return AxisTable(n, start, count)


def _invert(table: AxisTable) -> Cover:
    """Outputs whose taps share a residue modulo the step form a lane: within one, readers are neighbours."""
    stop = [start + count * table.step for start, count in zip(table.start, table.count, strict=True)]
    lanes: dict[int, list[int]] = {}
    for o, count in enumerate(table.count):
        if count:
            lanes.setdefault(table.start[o] % table.step, []).append(o)
    first, count_ = [0] * table.size, [0] * table.size
    for residue, lane in lanes.items():
        a = b = 0  # lane[a:b] read cell i
        for i in range(residue, table.size, table.step):
            while b < len(lane) and table.start[lane[b]] <= i:
                b += 1
            while a < b and stop[lane[a]] <= i:
                a += 1
            if a < b:
                first[i], count_[i] = lane[a], b - a
    return Cover(table.outputs, tuple(first), tuple(count_), _gap(table, stop, lanes.values()))


def _gap(table: AxisTable, stop: list[int], lanes: Iterable[list[int]]) -> int:
    """Return the one distance between neighbours of a lane, having checked that all is in order."""
    pairs = [pair for lane in lanes for pair in pairwise(lane)]
    gaps = {q - p for p, q in pairs} or {1}
    if len(gaps) > 1 or any(table.start[q] < table.start[p] or stop[q] < stop[p] for p, q in pairs):
        raise ArgumentError(
            "this table has no cover",
            expected="windows that start and end in order",
            got="windows out of order",
            hint="readers(i), which asks every output",
        )
    return gaps.pop()


def _runs(cells: Iterable[int]) -> tuple[range, ...]:
    """Group ascending cells into ranges of neighbours."""
    runs: list[range] = []
    for cell in cells:
        if runs and runs[-1].stop == cell:
            runs[-1] = range(runs[-1].start, cell + 1)
        else:
            runs.append(range(cell, cell + 1))
    return tuple(runs)
