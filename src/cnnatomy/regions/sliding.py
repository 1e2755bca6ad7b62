"""Sliding windows: the region of ordinary pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cnnatomy.geometry import Window, padding_rules
from cnnatomy.regions.region import Axis, Region


@dataclass(frozen=True)
class Sliding(Region):
    """A window that slides over every axis: output o has its tap j at input o s - lo + j d.

    Args:
        kernel_size: taps, an int for all axes or one per axis (.., y, x).
        stride: cells from one window to the next; the kernel if left out.
        padding: an int, a rule's name (`"valid"`, `"same"`, `"keep"`, `"full"`, `"causal"`), or one entry
            per axis, each an int, a name or a (before, after) pair. Padding is never read: taps in it are
            dropped.
        dilation: cells from one tap to the next.
        ceil_mode: let a last window overhang the padded input, as torch does.

    Raises:
        ArgumentError: a number is out of range, or the entries do not match the input's axes.

    Example:
        >>> Sliding(3, stride=2, padding=1).outputs((56, 56))
        (28, 28)
        >>> Sliding((2, 3)).outputs((4, 9))
        (2, 3)
    """

    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None = None
    padding: padding_rules.Rule | tuple[padding_rules.Rule, ...] = 0
    dilation: int | tuple[int, ...] = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel_size", "stride", "padding", "dilation"):
            object.__setattr__(self, name, _hashable(getattr(self, name)))
        for name in ("kernel_size", "stride", "dilation"):
            value = getattr(self, name)
            if value is not None or name != "stride":
                padding_rules.per_axis(value, len(value) if isinstance(value, tuple) else 1, name)
        rules = self.padding if isinstance(self.padding, tuple) else (self.padding,)
        padding_rules.paddings(rules, len(rules))
        super().__post_init__()

    def most_taps(self, rank: int) -> int:
        """The product of the kernel's sizes."""
        return math.prod(padding_rules.per_axis(self.kernel_size, rank, "kernel_size"))

    def windows(self, size: tuple[int, ...]) -> tuple[Window, ...]:
        """The window of every axis, its padding rule resolved for the input's size."""
        rank = len(size)
        kernel = padding_rules.per_axis(self.kernel_size, rank, "kernel_size")
        stride = kernel if self.stride is None else padding_rules.per_axis(self.stride, rank, "stride")
        dilation = padding_rules.per_axis(self.dilation, rank, "dilation")
        rules = padding_rules.paddings(self.padding, rank)
        return tuple(
            Window(k, s, padding_rules.resolve(rule, n, k, s, d), d, self.ceil_mode)
            for n, k, s, rule, d in zip(size, kernel, stride, rules, dilation, strict=True)
        )

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """floor((n + lo + hi - f*) / s) + 1 on every axis."""
        return tuple(window.output_size(n) for window, n in zip(self.windows(size), size, strict=True))

    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """The tables of every axis."""
        return _axes(self, size)


@lru_cache(maxsize=256)
def _axes(region: Sliding, size: tuple[int, ...]) -> tuple[Axis, ...]:
    axes = tuple(Axis(n, window) for window, n in zip(region.windows(size), size, strict=True))
    for axis in axes:
        _ = axis.outputs  # raises if no window fits
    return axes


def _hashable(value: object) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_hashable(entry) for entry in value)
    return value
