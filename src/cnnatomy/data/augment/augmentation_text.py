"""From the text of an augmentation to its terms, and back (standard library only)."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cnnatomy.data.augment.terms import RECIPES, TERMS, Argument, Term
from cnnatomy.errors import ArgumentError

_TERM = re.compile(r"\s*([^\s()+]+)\s*(?:\(([^()]*)\)\s*)?")


@dataclass(frozen=True)
class Given:
    """A term as it was asked for: a value for each of its arguments, and its word."""

    term: Term
    numbers: tuple[float, ...] = ()
    word: str = ""

    def __str__(self) -> str:
        numbers, defaults = list(self.numbers), [a.default for a in self.term.arguments]
        while numbers and numbers[-1] == defaults[len(numbers) - 1]:
            numbers.pop()
        parts = [_written(number) for number in numbers]
        if self.word not in self.term.words[:1] and self.word:
            parts.append(self.word)
        return f"{self.term.name}({','.join(parts)})" if parts else self.term.name


def parse(text: str) -> tuple[Given, ...]:
    """Return the terms of an augmentation: a recipe's name, or a sum of terms and recipes.

    Raises:
        ArgumentError: no such term, a number outside its bounds, or two terms that settle the same.

    Example:
        >>> [str(given) for given in parse("photo + jitter(0.2)")]
        ['flip', 'shift(0.1)', 'reflect', 'jitter(0.2)']
    """
    if not isinstance(text, str):
        raise ArgumentError("an augmentation is a text", expected="'flip+shift(0.1)'", got=repr(text))
    given = [one for part in _parts(text) for one in _read(part)]
    _demand_one_of_each(given)
    return tuple(given)


def check(text: str) -> None:
    """Raise an ArgumentError if a text is no augmentation; loads no torch."""
    parse(text)


def written(terms: Iterable[Given]) -> str:
    """Return the text that `parse` reads as these terms.

    Example:
        >>> written(parse("flip(0.5) + erase(0.3, mean)")), written(())
        ('flip+erase(0.3,mean)', 'none')
    """
    return "+".join(map(str, terms)) or "none"


def _written(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _parts(text: str) -> list[str]:
    """Split at each + that is not inside parentheses."""
    return re.split(r"\+(?![^()]*\))", text)


def _read(part: str) -> list[Given]:
    """Read one part of a sum: a term, or a recipe that stands for several."""
    match = _TERM.fullmatch(part)
    if match is None:
        raise ArgumentError(
            "cannot read an augmentation",
            expected="terms joined by +, such as flip+shift(0.1)",
            got=repr(part),
        )
    name, inside = match.groups()
    if name in RECIPES:
        if inside is not None:
            raise ArgumentError(f"cannot read {name}", expected=name, got=repr(part.strip()))
        return [one for text in _parts(RECIPES[name]) if text for one in _read(text)]
    if name not in TERMS:
        raise _unknown(name)
    term = TERMS[name]
    words = [] if inside is None or not inside.strip() else [word.strip() for word in inside.split(",")]
    return [_given(term, words, part.strip())]


def _unknown(name: str) -> ArgumentError:
    near = difflib.get_close_matches(name, [*RECIPES, *TERMS], n=1, cutoff=0.5)
    return ArgumentError(
        "unknown augmentation",
        expected=f"{', '.join(RECIPES)} or a sum of {', '.join(TERMS)}",
        got=repr(name),
        hint=repr(near[0]) if near else None,
    )


def _given(term: Term, words: list[str], text: str) -> Given:
    word = term.words[0] if term.words else ""
    if words and words[-1] in term.words:
        word = words.pop()
    needed = sum(argument.default is None for argument in term.arguments)
    if not needed <= len(words) <= len(term.arguments):
        raise ArgumentError(f"cannot read {term.name}", expected=term.signature, got=repr(text))
    numbers = [_number(term, *pair) for pair in zip(term.arguments, words, strict=False)]
    rest = [a.default for a in term.arguments[len(words) :] if a.default is not None]
    return Given(term, (*numbers, *rest), word)


def _number(term: Term, argument: Argument, word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not argument.low <= number <= argument.high:
        raise ArgumentError(
            f"{argument.name} of {term.name}",
            expected=f"a number from {argument.low:g} to {argument.high:g}",
            got=repr(word),
            hint=None if math.isnan(number) else f"{min(max(number, argument.low), argument.high):g}",
        )
    return number


def _demand_one_of_each(given: Iterable[Given]) -> None:
    deciding: dict[str, str] = {}
    for name, things in ((one.term.name, one.term.decides or (one.term.name,)) for one in given):
        for thing in things:
            if thing in deciding:
                raise ArgumentError(
                    f"an augmentation decides {thing} twice",
                    expected="one term for it",
                    got=f"{deciding[thing]} and {name}",
                )
            deciding[thing] = name
