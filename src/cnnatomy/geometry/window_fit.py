"""Whether a window fits an axis with nothing left over, what would make it fit, and the sum in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import split

if TYPE_CHECKING:
    from cnnatomy.geometry.window import Window

_SPELLED_OUT = 4  # runs of cells named one by one before they are only counted


@dataclass(frozen=True, slots=True)
class Mend:
    """Changes, each enough by itself, under which a window reads every cell with nothing left over.

    Attributes:
        sizes: the nearest smaller and the nearest larger input that fit.
        paddings: (before, after) of the least total that fits, in place of the window's own: split evenly,
            and all after.
        strides: the nearest smaller and the nearest larger stride that fit.

    Example:
        >>> from cnnatomy.geometry import Window
        >>> Window(3, stride=3).mend(7)
        Mend(sizes=(6, 9), paddings=((1, 1), (0, 2)), strides=(2,))
        >>> print(Window(3, stride=3).mend(7))
        an input of 6 or 9, padding (1, 1) or (0, 2), or stride 2
    """

    sizes: tuple[int, ...]
    paddings: tuple[tuple[int, int], ...]
    strides: tuple[int, ...]

    def __bool__(self) -> bool:
        return bool(self.sizes or self.paddings or self.strides)

    def __str__(self) -> str:
        choices = (("an input of", self.sizes), ("padding", self.paddings), ("stride", self.strides))
        return listed([f"{name} {listed(values)}" for name, values in choices if values]) or "nothing nearby"


def tiles(window: Window, n: int) -> bool:
    """Whether every cell is read and the last window ends where the padded input ends."""
    slack = n + sum(window.padding) - window.extent
    return slack >= 0 and slack % window.stride == 0 and not window.unread(n)


def mend(window: Window, n: int) -> Mend:
    """Search near n, near the stride, and paddings below f*, keeping only what `tiles` confirms."""

    def fitting(sizes: Iterable[int]) -> tuple[int, ...]:
        return tuple(islice((m for m in sizes if tiles(window, m)), 1))

    def striding(strides: Iterable[int]) -> tuple[int, ...]:
        return tuple(islice((s for s in strides if tiles(replace(window, stride=s), n)), 1))

    far = window.extent + window.stride
    return Mend(
        sizes=fitting(range(n - 1, max(0, n - far - 1), -1)) + fitting(range(n + 1, n + far + 1)),
        paddings=_least_paddings(window, n),
        strides=striding(range(window.stride - 1, 0, -1))
        + striding(range(window.stride + 1, window.extent + 1)),
    )


def _least_paddings(window: Window, n: int) -> tuple[tuple[int, int], ...]:
    """Splits of the least total that fits; padding of f* or more would fill whole windows."""
    for total in range(2 * window.extent - 1):
        fitting = tuple(
            pair
            for pair in dict.fromkeys((split(total), (0, total)))
            if max(pair) < window.extent and tiles(replace(window, padding=pair), n)
        )
        if fitting:
            return fitting
    return ()


def padding_for(window: Window, n: int, wanted: int) -> tuple[int, int]:
    """Try the totals around the exact one, (wanted - 1)s + f* - n; rounding may need up to s less or more."""
    whole_number("wanted output size", wanted, least=1)
    exact = (wanted - 1) * window.stride + window.extent - n
    for total in range(max(0, exact - window.stride + 1), max(0, exact + window.stride) + 1):
        padded = replace(window, padding=split(total))
        if padded.slack(n) >= 0 and padded.output_size(n) == wanted:
            return padded.padding
    least = replace(window, padding=(0, 0)).output_size(n)
    raise ArgumentError(
        f"no padding gives {wanted} outputs over {n} cells",
        expected=f"at least {least}, the outputs without padding",
        got=str(wanted),
        hint="a larger stride",
    )


def too_small(window: Window, n: int) -> ArgumentError:
    """Make the error for an input that not even the first window fits."""
    lo, hi = window.padding
    missing = max(-window.slack(n), 1 - n)
    kernel = (window.extent - missing - 1) // window.dilation + 1
    fixes = [f"an input of at least {n + missing}"]
    if n >= 1:
        fixes.append(f"{_cells(missing)} more padding")
    if n >= 1 and kernel >= 1:
        fixes.append(f"a kernel of at most {kernel}")
    return ArgumentError(
        f"no window of extent {window.extent} fits",
        expected=f"at least {n + lo + hi + missing} cells",
        got=f"{n} and padding ({lo}, {hi})",
        hint=listed(fixes),
    )


def explain(window: Window, n: int) -> str:
    """The output size with its formula filled in, what is left over or never read, and what would mend it."""
    fits = tiles(window, n)
    reading = _reading(window.unread(n), n)
    facts = [_formula(window, n), f"{reading} and nothing is left over" if fits else reading]
    over = (window.output_size(n) - 1) * window.stride + window.extent - (n + sum(window.padding))
    if over > 0:
        facts.append(f"the last window overhangs the end by {_cells(over)}")
    elif over < 0 and window.padding[1]:
        spare = min(-over, window.padding[1])
        facts.append(f"{_cells(spare)} of padding {'is' if spare == 1 else 'are'} left over")
    if not fits:
        fixes = mend(window, n)
        facts.append(f"{fixes} would fit" if fixes else "no size, padding or stride nearby fits")
    return "; ".join(facts) + "."


def _formula(window: Window, n: int) -> str:
    f, s, d, (lo, hi) = window.kernel, window.stride, window.dilation, window.padding
    rounding = "ceil" if window.ceil_mode else "floor"
    size, undropped = window.output_size(n), window.slack(n) // s + 1
    text = f"{rounding}(({n} + {lo} + {hi} - {window.extent})/{s}) + 1 = {undropped}"
    if size < undropped:
        text += f", and {size} without the window that would start after the input"
    return f"f* = {f} + ({f} - 1)({d} - 1) = {window.extent}; {text}" if d > 1 else text


def _reading(unread: Sequence[range], n: int) -> str:
    if not unread:
        return "every cell is read"
    if len(unread) > _SPELLED_OUT:
        return f"{sum(map(len, unread))} of {n} cells are never read, the first of them cell {unread[0][0]}"
    names = [str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in unread]
    many = len(names) > 1 or len(unread[0]) > 1
    return f"cell{'s' if many else ''} {listed(names, 'and')} {'are' if many else 'is'} never read"


def _cells(count: int) -> str:
    return f"{count} cell{'s' if count > 1 else ''}"


def listed(things: Sequence[object], word: str = "or") -> str:
    """List in words: `a`, `a or b`, `a, b, or c`."""
    *most, last = [str(thing) for thing in things] or [""]
    if not most:
        return last
    return f"{', '.join(most)}{',' if len(most) > 1 else ''} {word} {last}"
