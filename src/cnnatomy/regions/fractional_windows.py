"""Fractional pooling: windows of two neighbouring sizes, in an order drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Literal

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import AxisTable
from cnnatomy.geometry.padding_rules import per_axis
from cnnatomy.regions.region import Axis, Region


@dataclass(frozen=True)
class Fractional(Region):
    """Windows whose sizes differ by at most one cell and average n / out, so that any output size is reached.

    Every axis has edges 0 = a_0 < a_1 < ... < a_out = n, and output o reads cells a_o .. a_{o+1} - 1: each
    cell is read once. Overlapping windows read a_{o+1} as well, and their edges end at n - 1. With
    alpha = a_out / out all steps from edge to edge are floor(alpha) or ceil(alpha):

    - `"pseudo"`: a_i = ceil(alpha (i + u)) - ceil(alpha u) for a u drawn from (0, 1), evenly spread; there
      are out / gcd(a_out, out) different ones;
    - `"random"`: as many of each as add up to a_out, in an order drawn at random.

    Each axis draws for itself. The draw is a hash of the seed: the same on every machine and device.

    Source: Graham, "Fractional max-pooling", arXiv:1412.6071, 2014, with 1 < alpha < 2. There edges run from
    cell 1 to cell n, so disjoint windows leave the last cell out; here they do not.

    Args:
        scale_factor: outputs per cell, between 0 and 1: floor(s n) outputs, for the decimal that s prints as.
            One for all axes or one per axis (.., y, x).
        output_size: outputs, instead of a scale: an int for all axes or one per axis.
        seed: a whole number that the edges are drawn from.
        overlapping: let neighbouring windows share a cell.
        kind: how edges are drawn.

    Raises:
        ArgumentError: not just one of scale_factor and output_size is given, a number is out of range, the
            entries do not match the input's axes, or there are more outputs than steps.

    Example:
        >>> region = Fractional(0.7, seed=1)
        >>> region.outputs((10, 20))
        (7, 14)
        >>> [axis.table.count for axis in region.axes((10,))]
        [(1, 2, 1, 2, 1, 2, 1)]
    """

    scale_factor: float | Sequence[float] | None = None
    output_size: int | Sequence[int] | None = None
    seed: int = 0
    overlapping: bool = False
    kind: Literal["pseudo", "random"] = "pseudo"

    def __post_init__(self) -> None:
        if (self.scale_factor is None) == (self.output_size is None):
            got = "none" if self.scale_factor is None else "both"
            raise ArgumentError(
                "how small is the output?", expected="a scale_factor or an output_size", got=got
            )
        for name in ("scale_factor", "output_size"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, Sequence) else value)
        for scale in self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,):
            if scale is not None and not (isinstance(scale, float) and 0 < scale < 1):
                expected = "a float between 0 and 1"
                raise ArgumentError("nothing shrinks by this scale", expected=expected, got=repr(scale))
        if self.output_size is not None:
            per_axis(
                self.output_size,
                len(self.output_size) if isinstance(self.output_size, tuple) else 1,
                "output_size",
            )
        whole_number("seed", self.seed, least=0)
        if not isinstance(self.overlapping, bool) or self.kind not in ("pseudo", "random"):
            expected, got = "a bool, and 'pseudo' or 'random'", f"{self.overlapping!r} and {self.kind!r}"
            raise ArgumentError("overlapping and kind", expected=expected, got=got)
        super().__post_init__()

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """floor(scale n), or the size that was given."""
        if isinstance(self.scale_factor, tuple) and len(self.scale_factor) != len(size):
            what, expected = "scale has the wrong length", f"a float or {len(size)} of them"
            raise ArgumentError(what, expected=expected, got=repr(self.scale_factor))
        if self.output_size is None:
            scales = (
                self.scale_factor
                if isinstance(self.scale_factor, tuple)
                else (self.scale_factor,) * len(size)
            )
            ratios = [Fraction(str(scale)) for scale in scales]
            out = tuple(n * r.numerator // r.denominator for n, r in zip(size, ratios, strict=True))
        else:
            out = per_axis(self.output_size, len(size), "output_size")
        for n, outputs in zip(size, out, strict=True):
            if outputs < 1 or outputs > self._end(n):
                what, expected = f"{n} cells have no such windows", f"1 .. {self._end(n)} outputs"
                raise ArgumentError(what, expected=expected, got=str(outputs))
        return out

    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """The windows of every axis."""
        return _axes(self, size)

    def edges(self, n: int, out: int, axis: int) -> tuple[int, ...]:
        """a_0 .. a_out on one axis, counted among the spatial axes, of n cells."""
        end = self._end(n)
        if self.kind == "pseudo":
            whole = 2**64  # u = (2 draw + 1) / 2^65 is never 0 or 1; the rest is exact
            u = 2 * draw(self.seed, axis, 0) + 1
            edges = [-(-end * (2 * whole * i + u) // (2 * whole * out)) for i in range(out + 1)]
            return tuple(edge - edges[0] for edge in edges)
        short, longer = divmod(end, out)
        steps = [short] * (out - longer) + [short + 1] * longer
        for i in range(out - 1, 0, -1):  # Fisher and Yates
            j = draw(self.seed, axis, i) * (i + 1) >> 64
            steps[i], steps[j] = steps[j], steps[i]
        return tuple(accumulate(steps, initial=0))

    def _end(self, n: int) -> int:
        return n - 1 if self.overlapping else n


@lru_cache(maxsize=256)
def _axes(region: Fractional, size: tuple[int, ...]) -> tuple[Axis, ...]:
    axes = []
    for axis, (n, out) in enumerate(zip(size, region.outputs(size), strict=True)):
        edges = region.edges(n, out, axis)
        count = tuple(b - a + region.overlapping for a, b in pairwise(edges))
        axes.append(Axis.of(AxisTable(n, edges[:-1], count)))
    return tuple(axes)


_MASK, _GOLDEN = 2**64 - 1, 0x9E3779B97F4A7C15


def draw(seed: int, stream: int, position: int) -> int:
    """64 random bits: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), at any position of any stream.

    Example:
        >>> draw(0, 0, 0) == draw(0, 0, 0), draw(0, 0, 0) == draw(0, 1, 0)
        (True, False)
    """
    state = seed
    for step in (stream, position):
        state = state + (step + 1) * _GOLDEN & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state
