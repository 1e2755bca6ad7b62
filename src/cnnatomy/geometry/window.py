"""One axis of a window operator: which inputs each output reads, and every size that follows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from cnnatomy.checks import index, whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import window_fit
from cnnatomy.geometry.axis_table import AxisTable, clip, left_out
from cnnatomy.geometry.padding_rules import extent
from cnnatomy.geometry.reach import Reach
from cnnatomy.geometry.window_fit import Mend


@dataclass(frozen=True, slots=True)
class Window:
    """A window sliding along one axis: output o has its tap j at cell o * stride - padding[0] + j * dilation.

    Args:
        kernel: taps of the window.
        stride: cells from one window to the next.
        padding: cells added (before, after) the input; any ints >= 0, not bounded by the kernel.
        dilation: cells from one tap to the next.
        ceil_mode: let a last window overhang the padded input, as torch's pooling does.

    Raises:
        ArgumentError: a number is not an int, or is out of range.

    Example:
        >>> window = Window(3, stride=2, padding=(1, 1))
        >>> window.output_size(7), window.taps(0, 7), window.readers(1, 7)
        (4, range(0, 2), range(0, 2))
    """

    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation"):
            whole_number(name, getattr(self, name), least=1)
        if not isinstance(self.padding, tuple) or len(self.padding) != 2:
            raise ArgumentError(
                "padding of a window is not a pair", expected="(before, after)", got=repr(self.padding)
            )
        whole_number("padding before", self.padding[0], least=0)
        whole_number("padding after", self.padding[1], least=0)
        if not isinstance(self.ceil_mode, bool):
            raise ArgumentError("ceil_mode is not a bool", expected="True or False", got=repr(self.ceil_mode))

    @property
    def extent(self) -> int:
        """Cells from the first tap to the last, both counted: f* = f + (f - 1)(d - 1).

        Example:
            >>> Window(3, dilation=2).extent
            5
        """
        return extent(self.kernel, self.dilation)

    def slack(self, n: int) -> int:
        """Room for windows after the first one, in cells; below 0 not even that one fits: n + lo + hi - f*.

        In `ceil_mode` s - 1 more, which turns the division that follows into one that rounds up.

        Example:
            >>> Window(3, stride=3).slack(7), Window(3, stride=3, ceil_mode=True).slack(7)
            (4, 6)
        """
        overhang = self.stride - 1 if self.ceil_mode else 0
        return n + self.padding[0] + self.padding[1] - self.extent + overhang

    def output_size(self, n: int) -> int:
        """Outputs over n cells: floor((n + lo + hi - f*) / s) + 1, torch's rule.

        With `ceil_mode` the division rounds up, and a last window that would start in the padding after the
        input, or beyond it, is dropped. Takes a symbolic n (`torch.SymInt`) as well.

        Raises:
            ArgumentError: no window fits.

        Example:
            >>> [Window(3, stride=s).output_size(7) for s in (1, 2, 3)]
            [5, 3, 2]
            >>> Window(3, stride=3, ceil_mode=True).output_size(7)
            3
        """
        slack = self.slack(n)
        if n < 1 or slack < 0:
            raise window_fit.too_small(self, n)
        size = slack // self.stride + 1
        starts_late = self.ceil_mode and (size - 1) * self.stride >= n + self.padding[0]
        return size - 1 if starts_late else size

    def taps(self, o: int, n: int) -> range:
        """Cells that output o reads, clipped to the n cells of the input; empty if all lie in the padding.

        Example:
            >>> Window(3, stride=2, padding=(1, 1), dilation=2).taps(0, 7)
            range(1, 5, 2)
        """
        origin = index("output", o, self.output_size(n)) * self.stride - self.padding[0]
        start, count, _ = clip(origin, self.kernel, self.dilation, n)
        return range(start, start + count * self.dilation, self.dilation)

    def readers(self, i: int, n: int) -> range:
        """Outputs that read cell i, in order: the o with o * s + j * d = i + lo for a tap j in [0, f).

        They lie d / gcd(s, d) apart: neighbours, unless dilated.

        Example:
            >>> Window(3).readers(4, 7), Window(3, stride=3).readers(6, 7)
            (range(2, 5), range(0, 0))
            >>> list(Window(3, dilation=2).readers(4, 7))
            [0, 2]
        """
        place = index("cell", i, n) + self.padding[0]
        common = gcd(self.stride, self.dilation)
        if place % common:
            return range(0)
        gap = self.dilation // common
        phase = place // common * pow(self.stride // common, -1, gap) % gap  # o is phase modulo gap
        lowest = max(0, -((self.extent - 1 - place) // self.stride))
        first = lowest + (phase - lowest) % gap
        stop = min(self.output_size(n), place // self.stride + 1)
        return range(first, stop, gap) if first < stop else range(0)

    def table(self, n: int) -> AxisTable:
        """Taps of every output over n cells, cached.

        Example:
            >>> Window(2, stride=2).table(4)
            AxisTable(size=4, start=(0, 2), count=(2, 2), step=1, skip=(0, 0))
        """
        return AxisTable.of(self, n)

    def padded_counts(self, n: int) -> tuple[int, ...]:
        """Taps of every output on the input or its padding: all of them, unless the window overhangs.

        This is the divisor of average pooling with `count_include_pad`.

        Example:
            >>> Window(3, stride=2, padding=(1, 1), ceil_mode=True).padded_counts(6)
            (3, 3, 3, 2)
        """
        last = self.output_size(n) - 1  # the only one that can overhang
        _, inside, _ = clip(last * self.stride, self.kernel, self.dilation, n + sum(self.padding))
        return (self.kernel,) * last + (inside,)

    def unread(self, n: int) -> tuple[range, ...]:
        """Cells that no output reads, as ranges of neighbouring cells.

        Example:
            >>> Window(3, stride=3).unread(7), Window(3, stride=2).unread(7)
            ((range(6, 7),), ())
        """
        outputs, by_tap = self.output_size(n), []
        for tap in range(self.kernel):
            start, count, _ = clip(tap * self.dilation - self.padding[0], outputs, self.stride, n)
            by_tap.append(range(start, start + count * self.stride, self.stride))
        return left_out(n, by_tap)

    def tiles(self, n: int) -> bool:
        """Whether every cell is read and the last window ends exactly where the padded input ends.

        Example:
            >>> [Window(3, stride=s).tiles(7) for s in (1, 2, 3)]
            [True, True, False]
        """
        return window_fit.tiles(self, n)

    def mend(self, n: int) -> Mend:
        """What would make the window tile: input sizes, paddings and strides near by, each one verified.

        Example:
            >>> Window(3, stride=3).mend(7)
            Mend(sizes=(6, 9), paddings=((1, 1), (0, 2)), strides=(2,))
        """
        return window_fit.mend(self, n)

    def explain(self, n: int) -> str:
        """The output size in one sentence, with the formula filled in and what would mend a bad fit.

        Example:
            >>> Window(3, stride=2).explain(7)
            'floor((7 + 0 + 0 - 3)/2) + 1 = 3; every cell is read and nothing is left over.'
            >>> Window(3, stride=3).explain(7).split("; ")[1:]
            ['cell 6 is never read', 'an input of 6 or 9, padding (1, 1) or (0, 2), or stride 2 would fit.']
        """
        return window_fit.explain(self, n)

    def padding_for(self, n: int, wanted: int) -> tuple[int, int]:
        """Padding (before, after), in place of the window's own, that gives a wanted output size.

        The least total, split in half with the odd cell after: (wanted - 1)s + f* - n, or none if that is
        negative and the size comes out right.

        Raises:
            ArgumentError: without padding there are more outputs already.

        Example:
            >>> Window(3, stride=2).padding_for(7, 4), Window(3, stride=2).padding_for(7, 7)
            ((1, 1), (4, 4))
        """
        return window_fit.padding_for(self, n, wanted)

    def transposed_size(self, n: int, output_padding: int = 0) -> int:
        """Outputs of the transposed operator over n cells: (n - 1)s - lo - hi + f* + output_padding.

        It undoes `output_size`, up to `output_padding`: strides forget a remainder, which that gives back.
        Takes a symbolic n as well. `ceil_mode` plays no part.

        Raises:
            ArgumentError: the padding leaves nothing, or output_padding is not below max(stride, dilation).

        Example:
            >>> Window(3, stride=2, padding=(1, 1)).transposed_size(4), Window(2, stride=2).transposed_size(4)
            (7, 8)
        """
        whole_number("output_padding", output_padding, least=0)
        most = max(self.stride, self.dilation) - 1
        if output_padding > most:
            raise ArgumentError(
                "output_padding is too large", expected=f"0 .. {most}", got=str(output_padding)
            )
        size = (n - 1) * self.stride - sum(self.padding) + self.extent + output_padding
        if size < 1:
            raise ArgumentError(
                f"padding {self.padding} leaves nothing of the transposed output",
                expected=f"a total below {size + sum(self.padding)}",
                got=str(sum(self.padding)),
            )
        return size

    def output_padding_for(self, n: int, wanted: int) -> int:
        """The `output_padding` with which the transposed operator makes n cells into the wanted size.

        Raises:
            ArgumentError: the size is out of reach; the message names the range.

        Example:
            >>> Window(3, stride=2, padding=(1, 1)).output_padding_for(4, wanted=8)
            1
        """
        least = (n - 1) * self.stride - sum(self.padding) + self.extent
        most = least + max(self.stride, self.dilation) - 1
        if not max(least, 1) <= wanted <= most:
            raise ArgumentError(
                f"no output_padding makes {n} cells into {wanted}",
                expected=f"{max(least, 1)} .. {most}",
                got=str(wanted),
            )
        return wanted - least

    def reach(self) -> Reach:
        """What outputs read, borders aside: from s o - lo to s o - lo + f* - 1.

        Example:
            >>> stem, pool = Window(7, stride=2, padding=(3, 3)), Window(3, stride=2, padding=(1, 1))
            >>> field = stem.reach() >> pool.reach()
            >>> field.size, field.jump, field.start
            (11, Fraction(4, 1), -5)
        """
        return Reach(self.stride, -self.padding[0], self.extent - 1 - self.padding[0])

    def transposed_reach(self) -> Reach:
        """What outputs of the transposed operator read: from (o + lo - f* + 1) / s to (o + lo) / s.

        Dilated taps leave holes in it.

        Example:
            >>> [list(Window(2, stride=2).transposed_reach().interval(o)) for o in range(4)]
            [[0], [0], [1], [1]]
        """
        lo = self.padding[0]
        return Reach(
            Fraction(1, self.stride), Fraction(lo - self.extent + 1, self.stride), Fraction(lo, self.stride)
        )
