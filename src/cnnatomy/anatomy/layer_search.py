"""Find a layer by its path."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from cnnatomy.errors import ArgumentError


def find(path: str, paths: Sequence[str]) -> int:
    """The index of a path, or of its first call.

    Raises:
        ArgumentError: there is none; the nearest names are told.

    Example:
        >>> find("conv", ["", "conv#1", "conv#2"])
        1
    """
    for wanted in (path, f"{path}#1"):
        if wanted in paths:
            return paths.index(wanted)
    near = get_close_matches(path, paths, n=3, cutoff=0.4)
    hint = ", ".join(map(repr, near)) or ", ".join(map(repr, [known for known in paths if known][:5]))
    raise ArgumentError(f"no layer is called {path!r}", expected="the path of a layer", hint=hint or None)
