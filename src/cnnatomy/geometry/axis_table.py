"""The taps of every output of one axis, clipped to the input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat
from operator import add, mul
from typing import TYPE_CHECKING

from cnnatomy.checks import index, whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.cover import Cover, invert

if TYPE_CHECKING:
    from cnnatomy.geometry.window import Window

LONGEST = 2**24
"""The most outputs of an axis that has a table: each has an entry of its own."""

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
        if not self.start:
            return
        beyond = max(map(add, self.start, map(mul, self.count, repeat(self.step)))) - self.step + 1
        if min(self.start) < 0 or min(self.count) < 0 or max(self.start) > self.size or beyond > self.size:
            cells = f"starts {min(self.start)} .. {max(self.start)}, the last cell read {beyond - 1}"
            raise ArgumentError("a table reads outside its input", expected=f"[0, {self.size})", got=cells)

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
        return invert(self)

    def unread(self) -> tuple[range, ...]:
        """Cells that no output reads, as ranges of neighbouring cells.

        Example:
            >>> from cnnatomy.geometry import Window
            >>> AxisTable.of(Window(2, stride=3), 9).unread()
            (range(2, 3), range(5, 6), range(8, 9))
        """
        return left_out(self.size, map(self.taps, range(self.outputs)))


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


def share(o: int, out: int, n: int) -> range:
    """Bin o of n cells dealt out to `out` bins: floor(o n / out) .. ceil((o + 1) n / out) - 1.

    Example:
        >>> [share(o, 3, 5) for o in range(3)]
        [range(0, 2), range(1, 4), range(3, 5)]
    """
    return range(o * n // out, -(-(o + 1) * n // out))


def left_out(n: int, progressions: Iterable[range]) -> tuple[range, ...]:
    """Cells of `[0, n)` that are in none of the progressions, as ranges of neighbouring cells.

    Example:
        >>> left_out(9, [range(0, 3), range(5, 9, 2)])
        (range(3, 5), range(6, 7), range(8, 9))
    """
    seen = bytearray(n)
    for cells in progressions:
        seen[cells.start : cells.stop : cells.step] = b"\1" * len(cells)
    runs, start = [], seen.find(0)
    while start >= 0:
        stop = seen.find(1, start)
        stop = n if stop < 0 else stop
        runs.append(range(start, stop))
        start = seen.find(0, stop)
    return tuple(runs)


@lru_cache(maxsize=_CACHED, typed=True)
def _sliding(window: Window, n: int) -> AxisTable:
    whole_number("input size", n, least=1)
    lo, outputs = window.padding[0], whole_number("outputs of a table", window.output_size(n), 1, LONGEST)
    origins = range(-lo, outputs * window.stride - lo, window.stride)
    # Outputs a .. b - 1 lie wholly inside; only the few beside them need clipping.
    a = min(-(-lo // window.stride), outputs)
    b = max(a, min((n + lo - window.extent) // window.stride + 1, outputs))
    start, count, skip = list(origins), [window.kernel] * outputs, [0] * outputs
    for o in (*range(a), *range(b, outputs)):
        start[o], count[o], skip[o] = clip(origins[o], window.kernel, window.dilation, n)
    return AxisTable(n, tuple(start), tuple(count), window.dilation, tuple(skip))


@lru_cache(maxsize=_CACHED, typed=True)
def _adaptive(n: int, out: int) -> AxisTable:
    whole_number("input size", n, least=1)
    whole_number("output size", out, 1, LONGEST)
    bins = [share(o, out, n) for o in range(out)]
    return AxisTable(n, tuple(cells.start for cells in bins), tuple(map(len, bins)))
