"""How many layers, or which, see a wanted receptive field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial, reduce
from operator import rshift

from cnnatomy.anatomy.ask.solving.solution import Option, Solution, changed, count, named
from cnnatomy.geometry import Reach, Window

DEEPEST = 1 << 14
"""Layers, or cells, tried before a field is called out of reach."""
_SPELLED_OUT = 6  # terms of a sum written one by one


def see(wanted: int, layers: int | None, base: Window, given: Collection[str]) -> Solution:
    """Depth, kernel, dilation or stride with which one output sees at least the wanted field."""
    question = f"a field of {count(wanted, 'cell')} by "
    if layers is None:
        return Solution(f"{question}layers of {named(base)}", tuple(_deep(wanted, base)))
    question += count(layers, "layer")
    parts: tuple[str, ...] = ("kernel", "dilation", "stride")
    if "kernel" in given:
        question += f" of {named(base)}"
        if field([base] * layers) >= wanted:
            return Solution(question, (chain("as it is", [base] * layers),))
    else:
        parts = ("kernel",)
    found = []
    for part in parts:
        enough = partial(_sees, wanted, base, layers, part)
        if value := _least(enough):
            option = chain(f"{part} {value}", [changed(base, part, value)] * layers)
            found.append((value - getattr(base, part), option))
    return Solution(question, tuple(option for _, option in sorted(found, key=lambda way: way[0])))


def field(windows: Iterable[Window]) -> int:
    """Cells that one output of a chain of windows sees.

    Example:
        >>> [field([Window(3)] * layers) for layers in (1, 2, 3)]
        [3, 5, 7]
    """
    return reduce(rshift, (window.reach() for window in windows), Reach()).size


def chain(change: str, windows: list[Window]) -> Option:
    """The field of a chain as a sum: 1, and for every layer f* - 1 times the strides before it.

    Example:
        >>> print(chain("three", [Window(3)] * 3))
        three: 1 + 3·2 = 7; 27 C² weights on pictures of C maps
    """
    reach, terms = Reach(), []
    for window in windows:
        after = reach >> window.reach()
        terms.append(after.size - reach.size)
        reach = after
    if len(windows) > 1 and len(set(terms)) == 1:
        total = f"1 + {len(terms)}·{terms[0]}"
    else:
        shown = terms if len(terms) <= _SPELLED_OUT else [*terms[:3], "..", terms[-1]]
        total = " + ".join(map(str, [1, *shown]))
    weights = sum(window.kernel**2 for window in windows)
    note = f"{total} = {reach.size}; {weights} C² weights on pictures of C maps"
    return Option(change, note, tuple(windows), None, reach.size)


def _deep(wanted: int, base: Window) -> list[Option]:
    """Equal layers; fewer with doubled dilations or a stride of 2 at the start; one with a large kernel."""
    plain = _depth(wanted, partial(_equal, base))
    if plain is None:
        return []
    options = [chain(count(plain, "layer"), _equal(base, plain))]
    if base.stride == base.dilation == 1:
        for words, build in ((", dilations doubled", _doubling), (", the first with stride 2", _halving)):
            fewer = _depth(wanted, partial(build, base))
            if fewer is not None and 1 < fewer < plain:
                options.append(chain(count(fewer, "layer") + words, build(base, fewer)))
    if plain > 1:
        options.append(chain(f"1 layer with kernel {wanted}", [Window(wanted)]))
    return options


def _equal(base: Window, layers: int) -> list[Window]:
    return [base] * layers


def _doubling(base: Window, layers: int) -> list[Window]:
    """Yu and Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", 2016, section 2."""
    return [replace(base, dilation=2**i) for i in range(layers)]


def _halving(base: Window, layers: int) -> list[Window]:
    return [replace(base, stride=2 if i == 0 else 1) for i in range(layers)]


def _depth(wanted: int, build: Callable[[int], list[Window]]) -> int | None:
    """The fewest layers that see the field, looked for no further than where each adds a cell."""
    if wanted > 1 and field(build(1)) == 1:
        return None
    return _least(lambda layers: field(build(layers)) >= wanted)


def _sees(wanted: int, base: Window, layers: int, part: str, value: int) -> bool:
    return field([changed(base, part, value)] * layers) >= wanted


def _least(enough: Callable[[int], bool]) -> int | None:
    """The least count that is enough, by doubling, then halving: more never sees less."""
    high = 1
    while not enough(high):
        high *= 2
        if high > DEEPEST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
