"""From Lark's complaint to ours: what stands there, what was expected, and the nearest word."""

from __future__ import annotations

import re
from difflib import get_close_matches

from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.reducer_names import names
from cnnatomy.notation.vocabulary import METHODS, MODES, RULE_WORDS, SPOKEN

_SAID = {
    "WORD": "a layer",
    "INPUT": "",
    "PLACE": "",
    "LENET": "",
    "POOLING": "a pooling",
    "RES": "res(",
    "CAT": "cat(",
    "_OPEN": "[",
    "_LPAR": "(",
    "_CLOSE": "]",
    "_RPAR": ")",
    "_BAR": "|",
    "_COMMA": "a comma",
    "_SEP": "",
    "TIMES": "a repeat such as *2",
    "QUERY": "",
    "SIZES": "a number",
    "MAPS": "maps such as -64",
    "_ARGS": "(",
    "STRIDE": "an option",
    "SETTING": "a setting such as N=2",
    "VALUE": "a value",
    "KEY": "",
    "WITH": "with",
    "TIE": "",
    "POOLED": "",
    "_COLON": ":",
    "_AT": "",
    "FILLER": "",
    "$END": "the end",
}
_ARGUED = {"pyramid": "pyramid(1,2,4) max", "spp": "spp(1,2,4) max", "fractional": "fractional(0.7) max"}
"""Words that are none without parentheses."""
_WORD = re.compile(r"[A-Za-z][\w-]*|\S")


def unexpected(error: UnexpectedInput, text: str, clean: str) -> NotationError:
    """Make our error of a lexer's or a parser's."""
    at = error.pos_in_stream if not isinstance(error, UnexpectedEOF) else len(clean.rstrip())
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        at = len(clean.rstrip())
    at = len(clean.rstrip()) if at is None or at < 0 else at
    found = _WORD.match(clean, at)
    word = found[0] if found else ""
    allowed = _allowed(error)
    hint = nearest(word) if {"WORD", "POOLING"} & allowed else None
    if "WORD" in allowed:
        kinds = ["a layer", *(["an option"] if "STRIDE" in allowed else [])]
        kinds += [_SAID[name] for name in ("_RPAR", "_CLOSE") if name in allowed]
    else:
        kinds = list(dict.fromkeys(said for name in sorted(allowed) if (said := _SAID.get(name, ""))))[:6]
    what = f"this cannot stand here: {word[:30]!r}" if word else "the text ends too early"
    if re.fullmatch(r"[A-Za-z][\w-]*", word) and "WORD" in allowed:
        what = f"no layer is called {word[:30]!r}"
    if word.casefold() in _ARGUED:
        what, kinds = f"{word} of what", [f"its arguments and a reducer, such as {_ARGUED[word.casefold()]}"]
        hint = None
    return NotationError(what, text, at, len(word) or 1, expected=" or ".join(kinds) or None, hint=hint)


def nearest(word: str) -> str | None:
    """The word of the vocabulary that is most like this one.

    Example:
        >>> nearest("maxpol"), nearest("softmx"), nearest("cnv3-64")
        ('maxpool', 'soft-max', 'conv')
    """
    plain = re.sub(r"[\d(].*$|-\d.*$", "", word.casefold()).rstrip("-")
    known = {word: printed for word, printed in SPOKEN.items() if word not in ("none", "in")}
    for name in names():
        known |= {f"{name}pool": f"{name}pool", f"global{name}": f"global{name}"}
    known |= {word: word for word in (*METHODS, *MODES, *RULE_WORDS)}
    near = get_close_matches(plain, known, n=1, cutoff=0.6)
    return known[near[0]] if near else None


def _allowed(error: UnexpectedInput) -> set[str]:
    if isinstance(error, UnexpectedCharacters):
        return set(error.allowed or ())
    return set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())
