"""The padding rules: how many cells to add before and after an axis, each rule written once.

Throughout, n is the input's size, f the kernel, s the stride, d the dilation and f* = f + (f - 1)(d - 1)
the extent, the cells from a window's first tap to its last. Sizes are used with `//`, `+`, `-`, `*` and
comparisons only, so a rule also takes a symbolic size (`torch.SymInt`) and gives symbolic padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, TypeAlias, get_args

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError

RuleName: TypeAlias = Literal["valid", "same", "keep", "full", "causal"]
Rule: TypeAlias = RuleName | int | tuple[int, int]
"""The padding of one axis: a rule's name, cells on both sides, or (cells before, cells after)."""

RULES: tuple[str, ...] = get_args(RuleName)

LARGEST = 2**30
"""The most that any number of a window can be: no memory holds an axis that is much longer."""


def extent(kernel: int, dilation: int = 1) -> int:
    """Cells from a window's first tap to its last, both counted: f* = f + (f - 1)(d - 1).

    Example:
        >>> extent(3), extent(3, dilation=2)
        (3, 5)
    """
    return kernel + (kernel - 1) * (dilation - 1)


def resolve(rule: Rule, n: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Cells to add (before, after) an axis of n cells under a padding rule.

    | rule       | outputs                             | total, split in half, the odd cell after |
    |------------|-------------------------------------|------------------------------------------|
    | `"valid"`  | floor((n - f*) / s) + 1             | 0                                        |
    | `"same"`   | ceil(n / s)                         | max((ceil(n / s) - 1)s + f* - n, 0)      |
    | `"keep"`   | n                                   | (n - 1)s + f* - n                        |
    | `"full"`   | every window that touches the input | 2(f* - 1)                                |
    | `"causal"` | ceil(n / s)                         | f* - 1, all of it before                 |

    An int p means p on both sides, and a pair (lo, hi) what it says.

    `"same"` is TensorFlow's rule (Abadi et al. 2015; documented at `tf.nn.convolution`); the maximum with 0
    matters only where f* < s. Often taught instead is P = s ceil(n/s) - n, which forgets the kernel: for
    n = 7, f = 3 it gives no padding at s = 1 (5 outputs, not 7) and 1 at s = 2 (3 outputs, not 4). The kernel
    adds f* - s to it, so the taught formula is right only where f* = s.

    `"keep"` gives n outputs at any stride. Its total is (n - 1)(s - 1) + f* - 1, so it is never negative.

    `"causal"` lets output o read the cells up to o s and none after (van den Oord et al. 2016, "WaveNet",
    arXiv:1609.03499, section 2.1).

    Raises:
        ArgumentError: the rule is unknown, or a number is not an int or is negative.

    Example:
        >>> resolve("same", 7, kernel=3, stride=2), resolve("same", 8, kernel=3, stride=2)
        ((1, 1), (0, 1))
        >>> resolve("keep", 7, kernel=3, stride=2), resolve("full", 7, kernel=3, dilation=2)
        ((4, 4), (4, 4))
        >>> resolve("valid", 7, kernel=3), resolve(2, 7, kernel=3), resolve((0, 2), 7, kernel=3)
        ((0, 0), (2, 2), (0, 2))
        >>> resolve("causal", 7, kernel=3, dilation=2)
        (4, 0)
    """
    rule = checked(rule, "padding")
    if isinstance(rule, int):
        return rule, rule
    if isinstance(rule, tuple):
        return rule
    span = extent(kernel, dilation)
    if rule == "valid":
        return 0, 0
    if rule == "full":
        return span - 1, span - 1
    if rule == "causal":
        return span - 1, 0
    if rule == "keep":
        return split((n - 1) * stride + span - n)
    total = (-(-n // stride) - 1) * stride + span - n
    # The total is at least f* - s: where that is not negative a symbolic size needs no guard.
    return split(total if span >= stride else max(total, 0))


def split(total: int) -> tuple[int, int]:
    """Split a total into (before, after), half each and the odd cell after.

    Example:
        >>> split(4), split(5)
        ((2, 2), (2, 3))
    """
    return total // 2, total - total // 2


def checked(rule: object, name: str) -> Rule:
    """Return the padding of one axis if it is one: a rule's name, an int >= 0, or a pair of them.

    Example:
        >>> checked([0, 1], "padding")
        (0, 1)
        >>> checked("sane", "padding")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: padding 'sane' is unknown: expected valid, ..., causal; try 'same'
    """
    if isinstance(rule, str):
        if rule in RULES:
            return rule  # type: ignore[return-value]
        near = get_close_matches(rule, RULES, n=1)
        raise ArgumentError(
            f"{name} {rule!r} is unknown",
            expected=", ".join(RULES),
            hint=repr(near[0]) if near else None,
        )
    if not isinstance(rule, Sequence):
        return whole_number(name, rule, 0, LARGEST)
    if len(rule) != 2:
        raise ArgumentError(f"{name} of one axis is not a pair", expected="(before, after)", got=repr(rule))
    before, after = rule
    return whole_number(f"{name} before", before, 0, LARGEST), whole_number(
        f"{name} after", after, 0, LARGEST
    )


def per_axis(value: int | Sequence[int], rank: int, name: str, least: int = 1) -> tuple[int, ...]:
    """Expand an int to one per axis, or check that a sequence has one per axis; axis order (.., y, x).

    Raises:
        ArgumentError: another length than `rank`, or an entry that is not an int from `least` to LARGEST.

    Example:
        >>> per_axis(3, rank=2, name="kernel_size"), per_axis([3, 5], rank=2, name="kernel_size")
        ((3, 3), (3, 5))
        >>> per_axis((3, 5, 7), rank=2, name="stride")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: stride has the wrong length: expected an int or 2 ints, got (3, 5, 7)
    """
    if not isinstance(value, Sequence):
        return (whole_number(name, value, least, LARGEST),) * rank
    if len(value) != rank:
        expected = f"an int or {rank} int{'s' if rank > 1 else ''}"
        raise ArgumentError(f"{name} has the wrong length", expected=expected, got=repr(value))
    return tuple(whole_number(name, entry, least, LARGEST) for entry in value)


def paddings(value: Rule | Sequence[Rule], rank: int, name: str = "padding") -> tuple[Rule, ...]:
    """Expand a padding argument to one rule per axis; axis order (.., y, x).

    Takes an int or a rule's name for all axes, or a sequence with one entry per axis, each an int, a
    (before, after) pair or a name. A flat `(1, 2)` is thus y and x in two dimensions, as in torch, and not
    a pair; the pair of a single axis is `((1, 2),)`.

    Raises:
        ArgumentError: another length than `rank`, or an entry that is no padding.

    Example:
        >>> paddings(1, rank=2), paddings("same", rank=2), paddings((1, 2), rank=2)
        ((1, 1), ('same', 'same'), (1, 2))
        >>> paddings(((0, 1), "same"), rank=2)
        ((0, 1), 'same')
        >>> paddings((1, 2), rank=1, name="pad")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: pad has the wrong length: expected 1 entry, got (1, 2); try ((1, 2),)
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (checked(value, name),) * rank
    if len(value) != rank:
        flat = len(value) == 2 * rank and all(isinstance(entry, int) for entry in value)
        raise ArgumentError(
            f"{name} has the wrong length",
            expected=f"{rank} entr{'ies' if rank > 1 else 'y'}",
            got=repr(value),
            hint=repr(tuple(zip(value[::2], value[1::2], strict=True))) if flat else None,
        )
    return tuple(checked(entry, name) for entry in value)
