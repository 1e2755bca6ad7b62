"""A region as a call gives it: a window's size and settings, the whole map by its word, or a region."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from cnnatomy.checks import shown
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import Rule
from cnnatomy.regions.grid import Whole
from cnnatomy.regions.region import Region
from cnnatomy.regions.sliding import Sliding

Sizes = int | Sequence[int]
Given = Region | Sizes | Literal["global"]


@lru_cache(maxsize=256, typed=True)
def given_region(
    given: Given | None,
    stride: Sizes | None = None,
    padding: Rule | Sequence[Rule] = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Region:
    """The region that a call means: a size is that of a sliding window, which alone has a stride.

    Raises:
        ArgumentError: it is none, or no window but has a window's settings.

    Example:
        >>> given_region("global"), given_region(3, stride=2).outputs((7, 7))
        (Whole(), (3, 3))
        >>> given_region("whole")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: this is no region: ...; try 3, for windows of 3 cells
    """
    if isinstance(given, int | Sequence) and not isinstance(given, str):
        return Sliding(given, stride, padding, dilation, ceil_mode)  # type: ignore[arg-type]
    found = Whole() if given == "global" else given
    if not isinstance(found, Region):
        kinds = ", ".join(Region.kinds)
        expected, hint = f"a window's size, 'global', or one of {kinds}", "3, for windows of 3 cells"
        raise ArgumentError("this is no region", expected=expected, got=shown(given), hint=hint)
    if (stride, padding, dilation, ceil_mode) != (None, 0, 1, False):
        what = "stride, padding, dilation and ceil_mode are those of a window"
        raise ArgumentError(what, got=f"them beside {given!r}", hint="Sliding(3, stride=2)")
    return found
