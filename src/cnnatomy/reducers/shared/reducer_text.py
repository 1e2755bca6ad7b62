"""Reducers as people write them: a name in any spelling, with or without arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from cnnatomy.checks import shown
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Reducer

Scalar = int | float | bool | str | None
_TEXT = re.compile(r"\s*([A-Za-z][\w -]*?)\s*(?:\((.*)\))?\s*", re.DOTALL)
_WORDS: dict[str, Scalar] = {"true": True, "yes": True, "false": False, "no": False, "none": None}


def names() -> dict[str, str]:
    """Every name that a reducer goes by, and the registry's name for it."""
    kinds = Reducer.registry.items()
    return {said: name for name, kind in kinds for said in (name, *kind.aliases)}


def registered(said: str) -> str:
    """The registry's name for what was said, whatever its case and signs between; what is unknown as it is.

    Example:
        >>> registered("GeM"), registered("avg"), registered("log-sum-exp"), registered("Max pooling")
        ('gem', 'mean', 'logsumexp', 'max')
    """
    plain = re.sub(r"[\s_-]", "", said.casefold())
    word = re.sub(r"pool(ing)?$", "", plain) or plain
    return names().get(word, word)


def read(text: object) -> tuple[type[Reducer], dict[str, Scalar]]:
    """The kind of reducer that a text names, and its arguments by name.

    Raises:
        ArgumentError: there is none of that name, or it takes no such argument.

    Example:
        >>> read("gem(p=2)")
        (<class 'cnnatomy.reducers.gem.GeM'>, {'p': 2})
        >>> read("sotf")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: no pooling is called 'sotf': expected ...; try 'soft'
    """
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        expected = "a reducer, its name, or its name and arguments, such as 'gem(p=3)'"
        raise ArgumentError("this is no pooling", expected=expected, got=shown(text))
    kind = Reducer.registry.get(registered(found[1]))
    if kind is None:
        known = names()
        near = get_close_matches(registered(found[1]), known, n=1)
        expected, hint = ", ".join(sorted(Reducer.registry)), repr(near[0]) if near else None
        raise ArgumentError(f"no pooling is called {text!r}", expected=expected, hint=hint)
    return kind, ordered(kind, _arguments(found[2] or ""))


def ordered(kind: type[Reducer], args: Iterable[tuple[str, Scalar]]) -> dict[str, Scalar]:
    """A reducer's arguments by name, the nameless ones in the order of its fields.

    Raises:
        ArgumentError: it takes no such argument, or has it twice.
    """
    # Its fields, in words that torch.compile can follow.
    order = list(kind.__match_args__)  # type: ignore[attr-defined]
    given: dict[str, Scalar] = {}
    for place, (name, value) in enumerate(args):
        name = name or (order[place] if place < len(order) else "")
        if name not in order or name in given:
            what, expected = f"{kind.name} pooling takes no such argument", ", ".join(order) or "none"
            raise ArgumentError(what, expected=expected, got=name or str(value))
        given[name] = value
    return {name: given[name] for name in order if name in given}


def made(kind: type[Reducer], given: dict[str, Scalar]) -> Reducer:
    """The reducer itself.

    Raises:
        ArgumentError: an argument is out of its range.
    """
    try:
        return kind(**given)
    except ArgumentError:
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{kind.name} pooling: {error}") from error


def _arguments(text: str) -> Iterable[tuple[str, Scalar]]:
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, value = part.rpartition("=")
        yield name.strip(), _value(value.strip())


def _value(said: str) -> Scalar:
    """A number, a truth, or a word."""
    if said.casefold() in _WORDS:
        return _WORDS[said.casefold()]
    if re.fullmatch(r"[+-]?\d+", said):  # by what is written: torch.compile follows no errors
        return int(said)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", said, re.IGNORECASE):
        return float(said)
    quoted = re.fullmatch(r"(['\"])(.*)\1", said)
    return quoted[2] if quoted else said
