"""Windows that fit, and windows that give a wanted number of outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from cnnatomy.anatomy.ask.solving.solution import Option, Solution, changed, count, named, pair
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window

USUAL = (
    *(Window(kernel, padding=(kernel // 2,) * 2) for kernel in (1, 3, 5, 7)),
    *(
        Window(2, 2),
        Window(3, 2),
        Window(3, 2, (1, 1)),
        Window(5, 2, (2, 2)),
        Window(7, 2, (3, 3)),
        Window(4, 4),
    ),
)
"""Windows that networks are made of, the common settings of convolutions and poolings."""
_PARTS = ("kernel", "stride", "padding", "dilation")
_PATIENCE = 64  # values that give the size, tried for a clean fit


def tiling(base: Window, n: int) -> Solution:
    """The window as it is if it fits, else what mends it, nearest first."""
    question = f"{count(n, 'cell')} read by {named(base)}, with nothing left over"
    if base.slack(n) < 0:
        larger = (m for m in range(n + 1, n + 2 * base.extent) if _tiles(base, m))
        return Solution(question, tuple(_input(base, m) for m in islice(larger, 1)))
    if base.tiles(n):
        return Solution(question, (Option.over("as it is", base, n),))
    fixes = base.mend(n)
    found: list[tuple[int, Option]] = []
    found += [(abs(s - base.stride), _with(base, "stride", s, n)) for s in fixes.strides]
    found += [(abs(m - n), _input(base, m)) for m in fixes.sizes]
    found += [(abs(sum(p) - sum(base.padding)), _with(base, "padding", p, n)) for p in fixes.paddings]
    return Solution(question, tuple(option for _, option in sorted(found, key=lambda way: way[0])))


def sized(base: Window, n: int, out: int, given: Collection[str]) -> Solution:
    """The window as it is if it gives the size, else with one part changed, what was left free first."""
    free = "kernel" not in given
    question = f"{count(out, 'output')} from {count(n, 'cell')}" + ("" if free else f" by {named(base)}")
    if not free and _gives(base, n, out):
        return Solution(question, (Option.over("as it is", base, n),))
    ways: list[tuple[bool, int, Option]] = []
    for part in _PARTS:
        for value, distance in _nearest(base, part, n, out):
            ways.append((part in given, distance, _with(base, part, value, n)))
    if not free:
        ways += [(True, abs(m - n), _input(base, m)) for m in _inputs_near(base, n, out)]
    options = [option for *_, option in sorted(ways, key=lambda way: way[:2])]
    if free and not given:
        usual = [window for window in USUAL if _gives(window, n, out)]
        usual.sort(key=lambda window: not window.tiles(n))
        options = [Option.over(named(window), window, n) for window in usual] + options
    kept = {(*option.windows, option.n): option for option in reversed(options)}
    return Solution(question, tuple(reversed(kept.values())))


def inputs(base: Window, out: int) -> Solution:
    """Every input that gives the wanted outputs, those that leave nothing over first."""
    most = out * base.stride + base.extent
    sizes = [m for m in range(1, most + 1) if _gives(base, m, out)]
    sizes.sort(key=lambda m: (not base.tiles(m), m))
    return Solution(f"{count(out, 'output')} by {named(base)}", tuple(_input(base, m) for m in sizes))


def _nearest(base: Window, part: str, n: int, out: int) -> Iterator[tuple[object, int]]:
    """The values of one part nearest to its own that give the size, each with its distance."""
    if part == "padding":
        for cells in _paddings(base, n, out):
            yield cells, abs(sum(cells) - sum(base.padding))
        return
    own = getattr(base, part)
    sides: tuple[Iterable[int], ...] = (range(own - 1, 0, -1), range(own + 1, n + sum(base.padding) + 1))
    for side in sides:
        fitting = [v for v in side if _gives(changed(base, part, v), n, out)][:_PATIENCE]
        clean = (v for v in fitting if changed(base, part, v).tiles(n))
        for value in dict.fromkeys((*fitting[:1], *islice(clean, 1))):
            yield value, abs(value - own)


def _paddings(base: Window, n: int, out: int) -> list[tuple[int, int]]:
    """The least padding that gives the size, and the least that is equal on both sides."""
    try:
        least = base.padding_for(n, out)
    except ArgumentError:
        return []
    even = (
        (p, p)
        for p in range(least[0], least[1] + base.stride)
        if _gives(changed(base, "padding", (p, p)), n, out)
    )
    return list(dict.fromkeys((*islice(even, 1), least)))


def _inputs_near(base: Window, n: int, out: int) -> list[int]:
    """The nearest smaller and the nearest larger input with the wanted outputs."""
    down = (m for m in range(n - 1, 0, -1) if _gives(base, m, out))
    up = (m for m in range(n + 1, n + (out + 1) * base.stride + base.extent) if _gives(base, m, out))
    return [*islice(down, 1), *islice(up, 1)]


def _with(base: Window, part: str, value: object, n: int) -> Option:
    window = changed(base, part, value)
    return Option.over(f"{part} {pair(window.padding) if part == 'padding' else value}", window, n)


def _input(base: Window, n: int) -> Option:
    return Option.over(f"an input of {n}", base, n)


def _gives(window: Window, n: int, out: int) -> bool:
    return window.slack(n) >= 0 and window.output_size(n) == out


def _tiles(window: Window, n: int) -> bool:
    return window.slack(n) >= 0 and window.tiles(n)
