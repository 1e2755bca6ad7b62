"""What a rule says of one operator, and where rules are kept."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from cnnatomy.anatomy.record.graph import Call, Value


class Work(NamedTuple):
    """The arithmetic of one call."""

    macs: int | None = 0
    """Multiply-accumulates; None if nobody has said how many."""
    other: int | None = 0
    """Floating-point operations beside them; None likewise."""
    formula: str = ""
    """How the count comes about, with the numbers."""


Rule = Callable[[Call], Work]
R = TypeVar("R", bound=Rule)

RULES: dict[str, Rule] = {}
"""By the operator's name, namespace included; an in-place operator has that of its plain form."""


def rule(*names: str) -> Callable[[R], R]:
    """Enter a rule for one or more operators."""

    def enter(function: R) -> R:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def tensor(call: Call, name: str) -> Value:
    """The argument of that name, which is a tensor."""
    found = call.argument(name)
    assert isinstance(found, Value), f"{call.name} has no tensor {name}"
    return found


def option(call: Call, name: str, default: Any = None) -> Any:
    """An argument that some overloads of the operator have."""
    try:
        return call.argument(name)
    except KeyError:
        return default


def times(sizes: Sequence[int]) -> str:
    """Sizes as factors, a batch of one left out.

    Example:
        >>> times((1, 64, 112, 112))
        '64·112·112'
    """
    shown = sizes[1:] if len(sizes) > 1 and sizes[0] == 1 else sizes
    return "·".join(map(str, shown)) or "1"


def product(count: int, text: str, what: str, each: Sequence[int] | int, unit: str) -> tuple[int, str]:
    """`count` of something, each with so many of something else: their number, and how that is written.

    Example:
        >>> product(40, "10·4", "outputs", (3, 3), "taps")
        (360, '10·4 outputs × 3·3 taps = 360')
    """
    factors = (each,) if isinstance(each, int) else tuple(each)
    total = count * math.prod(factors)
    return total, f"{text} {what} × {'·'.join(map(str, factors)) or 1} {unit} = {total:,}"


@lru_cache(maxsize=1024)
def operations(arithmetic: str) -> int:
    """Operators, comparisons and functions in a formula, each of which counts as one.

    Example:
        >>> operations("x / (1 + exp(-x))")
        4
    """
    counted = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call)
    return sum(isinstance(node, counted) for node in ast.walk(ast.parse(arithmetic)))


def elementwise(count: int, what: str, arithmetic: str) -> Work:
    """So many elements, each with the operations of a formula."""
    each = operations(arithmetic)
    return Work(0, count * each, f"{count:,} {what} × {each} ({arithmetic}) = {count * each:,}")
