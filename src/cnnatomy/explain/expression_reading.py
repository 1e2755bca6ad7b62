"""Expressions of lines read back: what the printed numbers come to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(r"\s*(√|e\^(?=\()|ln|max|min|x_|of|at|inf|in|nan|\d+\.?\d*(?:e[+-]?\d+)?|[-+·/^(),:])")


def value_of(text: str) -> float | None:
    """What an expression of `Line` comes to; None if it has other signs.

    Example:
        >>> value_of("(1 + 2·3)/2"), value_of("x_(1) of 1, 5, 9"), value_of("max(2, -3)"), value_of("far(2)")
        (3.5, 5.0, 2.0, None)
    """
    tokens = list(_tokens(text))
    if None in tokens:
        return None
    reader = _Reader([token for token in tokens if token])
    try:
        value = reader.sum()
    except (IndexError, ValueError, OverflowError, ZeroDivisionError, StopIteration):
        return None
    return value if not reader.rest else None


def _tokens(text: str) -> Iterator[str | None]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if not found:
            yield None
            return
        yield found[1]
        at = found.end()


class _Reader:
    """A reader of expressions, by recursive descent."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens[::-1]

    def take(self, wanted: str | None = None) -> str:
        token = self.rest.pop()
        if wanted is not None and token != wanted:
            raise ValueError(token)
        return token

    def next(self) -> str:
        return self.rest[-1] if self.rest else ""

    def sum(self) -> float:
        total = self.product()
        while self.next() in ("+", "-"):
            total += self.product() if self.take() == "+" else -self.product()
        return total

    def product(self) -> float:
        value = self.power()
        while self.next() in ("·", "/"):
            if self.take() == "·":
                value *= self.power()
            else:
                value = _divided(value, self.power())
        return value

    def power(self) -> float:
        if self.next() == "-":
            self.take()
            return -self.power()
        base = self.atom()
        if self.next() != "^":
            return base
        self.take()
        return float(base ** self.power())

    def atom(self) -> float:
        token = self.take()
        if token == "(":
            value = self.sum()
            self.take(")")
            return value
        if token in ("√", "ln", "e^"):
            value = self.listed(True)[0]
            return {"√": math.sqrt, "ln": _ln, "e^": math.exp}[token](value)
        if token in ("max", "min"):
            return _chosen(max if token == "max" else min, self.listed(True))
        if token == "x_":
            rank = int(self.listed(True)[0])
            self.take("of")
            return self.listed(False)[rank]
        if token == "at":
            return self.drawn()
        return float(token)

    def listed(self, bracketed: bool) -> list[float]:
        if bracketed:
            self.take("(")
        values = [self.sum()]
        while self.next() == ",":
            self.take()
            values.append(self.sum())
        if bracketed:
            self.take(")")
        return values

    def drawn(self) -> float:
        """at u in s: x, t: y, .. : the first value whose share exceeds the draw; NaN if there is one."""
        draw, values = self.sum(), []
        self.take("in")
        while True:
            until = self.sum()
            self.take(":")
            values.append((until, self.sum()))
            if self.next() != ",":
                break
            self.take()
        spoilt = [value for _, value in values if math.isnan(value)]
        return spoilt[0] if spoilt else next(value for until, value in values if until > draw)


def _divided(value: float, by: float) -> float:
    return value / by if by else math.nan if not value else math.copysign(math.inf, value)


def _ln(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan


def _chosen(choose: Any, values: list[float]) -> float:
    return math.nan if any(map(math.isnan, values)) else float(choose(values))
