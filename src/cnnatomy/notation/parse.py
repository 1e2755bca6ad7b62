"""Text to records: the grammar (grammar.lark) read by Lark, and its pieces checked against the vocabulary."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import lru_cache
from importlib.resources import files
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput

from cnnatomy.errors import ArgumentError
from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.network_spec import Pooling, Spec
from cnnatomy.notation.reducer_names import instead, named, names
from cnnatomy.notation.syntax_errors import unexpected
from cnnatomy.notation.tree_reading import Reading
from cnnatomy.notation.vocabulary import METHODS, MODES, SPOKEN
from cnnatomy.reducers import REGISTRY, Reducer
from cnnatomy.reducers.shared import reducer_text

LONGEST = 20_000
"""Characters of a text."""
DEEPEST = 32
"""Brackets inside each other."""

_BY_OTHER_TERMINALS = {"pool", "global", "gap", "adaptive", "pyramid", "spp", "fractional", "input"}
_PLAIN = str.maketrans(
    {"×": "x", "→": ";", "\u00a0": " ", "\t": " ", "\r": " ", "$": " ", "–": "-", "—": "-"}
)
_LATEX = re.compile(r"\\(?:text|mathrm|mathit|operatorname)\s*\{([^{}]*)\}")
_COMMENT = re.compile(r"#[^\n]*")


def parse(text: str) -> Spec:
    """Read a network in the papers' notation; docs/notation.md says what can be written.

    Raises:
        NotationError: the text says no network; it points at the column.

    Example:
        >>> spec = parse("conv3-64, conv3-64 -> maxpool  # a stage\\n FC-10 soft-max")
        >>> print(spec)
        conv3-64 conv3-64 maxpool FC-10 soft-max
        >>> parse(str(spec)) == spec
        True
        >>> parse("conv3-64 maxpol")
        Traceback (most recent call last):
        cnnatomy.notation.errors.NotationError: ... try maxpool, at column 10
          conv3-64 maxpol
                   ^^^^^^
    """
    if not isinstance(text, str):
        raise NotationError("notation is text", expected="a string", got=type(text).__name__)
    if len(text) > LONGEST:
        raise NotationError(
            "the text is too long", expected=f"at most {LONGEST:,} characters", got=f"{len(text):,}"
        )
    clean = _cleaned(text)
    _check_depth(clean, text)
    reading = Reading(text)
    try:
        body, settings = reading.network(_grammar(tuple(names())).parse(clean))
    except UnexpectedInput as error:
        raise unexpected(error, text, clean) from None
    if not body:
        raise NotationError("there is no layer", expected="a network such as conv3-32 maxpool FC-10")
    return Spec(body, settings, text)


def parse_pooling(pool: Reducer | str) -> Pooling:
    """A reducer, its name or its notation, as notation has it.

    Raises:
        NotationError: there is no such pooling.

    Example:
        >>> parse_pooling("gem(p=3)")
        Pooling(reducer='gem', args=(('p', 3),))
    """
    if isinstance(pool, Reducer):
        return named(pool.name, [(one.name, getattr(pool, one.name)) for one in fields(pool)])  # type: ignore[arg-type]
    try:
        kind, given = reducer_text.read(pool)
    except ArgumentError as error:
        raise NotationError(_global(pool) or str(error)) from None
    return named(kind.name, list(given.items()))


def _global(pool: object) -> str | None:
    """What is wrong with the name of a global pooling, which takes no other's place."""
    word = pool.casefold().strip() if isinstance(pool, str) else ""
    if not word.startswith("global") or reducer_text.registered(word.partition("(")[0][6:]) not in REGISTRY:
        return None
    return f"a global pooling takes no other's place: got {pool!r}; try {instead(word)}"


def _cleaned(text: str) -> str:
    """The same text, character for character in place, without comments and signs that only typeset it."""
    text = _COMMENT.sub(lambda found: " " * len(found[0]), text)
    text = re.sub(r"\\(?:rightarrow|to|times|cdot)\b", lambda found: _sign(found[0]), text)
    text = _LATEX.sub(lambda found: " " * (found.start(1) - found.start()) + found[1] + " ", text)
    return text.translate(_PLAIN)


def _sign(latex: str) -> str:
    sign = {"\\times": "x", "\\cdot": "*"}.get(latex, ";")
    return sign.ljust(len(latex))


def _check_depth(clean: str, text: str) -> None:
    depth = 0
    for place, letter in enumerate(clean):
        depth += (letter in "([") - (letter in ")]")
        if depth > DEEPEST:
            raise NotationError("brackets are nested too deep", text, place, expected=f"at most {DEEPEST}")


@lru_cache(maxsize=4)
def _grammar(poolings: tuple[str, ...]) -> Lark:
    """The parser for a registry of these poolings."""
    words = sorted((w for w in SPOKEN if w not in _BY_OTHER_TERMINALS), key=len, reverse=True)
    reducers = f"(?:{'|'.join(map(re.escape, poolings))})"
    ends = r"(?![A-Za-z_])"
    filled = {
        "<words>": f"(?:{'|'.join(map(re.escape, words))}){ends}",
        "<poolings>": rf"(?:(?:(?:global|adaptive)[-_]?)?(?:{reducers}(?:[-_]?pool(?:ing)?)?|pool(?:ing)?)"
        rf"|global|gap){ends}",
        "<modes>": f"(?:{'|'.join(MODES)}){ends}",
        "<methods>": f"(?:{'|'.join(sorted(METHODS, key=len, reverse=True))}){ends}",
    }

    def fill(terminal: Any) -> None:
        value = getattr(terminal.pattern, "value", "")
        if value in filled:
            terminal.pattern.value = filled[value]

    grammar = files("cnnatomy.notation").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, start="network", parser="lalr", lexer="contextual", edit_terminals=fill)
