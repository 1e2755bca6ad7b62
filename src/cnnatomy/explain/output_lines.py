"""Outputs written out: a record's template filled with its numbers, in as few digits as still add up."""

from __future__ import annotations

import math
import re
from typing import Any

from cnnatomy.explain.expression_reading import value_of
from cnnatomy.explain.record import Record

DIGITS = (4, 5, 6, 8, 10, 13, 17)
"""How many digits numbers are tried with."""
SHORT = 6
"""Numbers of so many digits are always written in full."""
NOTHING = "nothing read"
"""What an output without taps is made of."""
_HOLE = re.compile(r"\{(\w+)\}")
_GROUP = re.compile(r"<([^<>;]*);([^<>]*)>")


def line(record: Record, o: int) -> str:
    """Output o of a record's block as an expression and its value.

    The sign is `=` where the printed numbers are exact, and `≈` where they are rounded: then the rounded
    numbers still give the rounded result.
    """
    y = number(record["tensors"]["y"]["values"][o])
    first, stop = record["taps"]["ptr"][o : o + 2]
    if first == stop:
        return f"{NOTHING} = {written(_shown(record, y), 6)[0]}"
    result, whole = written(_shown(record, y), 6)
    for digits in DIGITS:
        text, exact = filled(record, o, digits)
        value = value_of(text)
        if value is None or not math.isfinite(y) or not math.isfinite(value):
            text, exact = filled(record, o, 6)
            return f"{text} {'=' if exact and whole else '≈'} {result}"
        if exact and whole and abs(value - float(result)) <= 1e-12 * max(1.0, abs(value)):
            return f"{text} = {result}"
        if f"{value:.4g}" == f"{y:.4g}":
            return f"{text} ≈ {y:.4g}"
    return f"{text} ≈ {result}"


def remark(record: Record, o: int) -> str:
    """What else there is to say of an output: ties, values of the padding."""
    first, stop = record["taps"]["ptr"][o : o + 2]
    words = [word for flag in record["taps"]["flag"][first:stop] for word in flag.split()]
    said = [f"first of {words.count('tie') + 1} equal"] if "tie" in words else []
    for word, noun in (("fill", "in the padding"), ("copied", "copied into the padding")):
        if count := words.count(word):
            said.append(f"{count} of {stop - first} taps {noun}")
    return ", ".join(said)


def number(value: Any) -> float:
    """A number of a record; NaN and the infinities are words there."""
    return float(value)


def written(value: float, digits: int) -> tuple[str, bool]:
    """A number in so many digits, or in full if that is short; and whether nothing was rounded.

    Example:
        >>> written(0.25, 4), written(1 / 3, 4), written(12.0, 4)
        (('0.25', True), ('0.3333', False), ('12', True))
    """
    if not math.isfinite(value):
        return str(value), True
    if value == int(value) and abs(value) < 10**SHORT:
        return str(int(value)), True
    short = f"{value:.{max(SHORT, digits)}g}"
    if float(short) == value:
        return short, True
    rounded = f"{value:.{digits}g}"
    return rounded, float(rounded) == value


def filled(record: Record, o: int, digits: int) -> tuple[str, bool]:
    """The template with an output's numbers; and whether none was rounded."""
    taps, steps, exact = record["taps"], record["steps"], True
    first, stop = taps["ptr"][o : o + 2]
    named = range(first, stop) if "order" not in record else [first + k for k in record["order"][o]]

    def put(text: str, k: int | None) -> str:
        """The text with its gaps filled, with the numbers of tap k."""

        def hole(match: re.Match[str]) -> str:
            nonlocal exact
            name = "value" if match[1] == "x" else match[1]
            value = taps[name][k] if k is not None and name in taps else steps[match[1]][o]
            said, whole = written(_shown(record, number(value)), digits)
            exact = exact and whole
            powered = match.string[match.end() : match.end() + 1] == "^"
            return f"({said})" if said.startswith("-") and powered else said

        return _HOLE.sub(hole, text)

    def group(match: re.Match[str]) -> str:
        return match[2].join(put(match[1], k) for k in named)

    text = put(_GROUP.sub(group, record["formula"]["line"]), None)
    return text.replace(" + -", " - ").replace(" - -", " + "), exact


def _shown(record: Record, value: float) -> float:
    """What is printed of a number: of one in single precision the shortest decimal that is the same there."""
    return _shortest(value) if record["computed_in"] == "float32" else value


def _shortest(value: float) -> float:
    if not math.isfinite(value) or value == int(value):
        return value
    for digits in (6, 7, 8):
        near = float(f"{value:.{digits}g}")
        if _single(near) == value:
            return near
    return value


def _single(value: float) -> float:
    import struct

    return float(struct.unpack("f", struct.pack("f", value))[0]) if abs(value) < 3.4e38 else value
