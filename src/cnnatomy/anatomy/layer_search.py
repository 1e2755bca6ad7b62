"""Find a layer by its path."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from cnnatomy.checks import of_kind
from cnnatomy.errors import ArgumentError


def call_of(layer: str) -> tuple[str, int]:
    """The path of a module, and which of its calls is meant: `path#2` is the second.

    Raises:
        ArgumentError: it is no path.

    Example:
        >>> call_of("conv"), call_of("conv#2")
        (('conv', 1), ('conv', 2))
    """
    path, _, call = of_kind("which layer", layer, str, "its path, such as 'features.3'").partition("#")
    if "#" in layer and not (call.isdecimal() and int(call)):
        raise ArgumentError("layer", expected="a path, or path#2 for its second call", got=repr(layer))
    return path, int(call or 1)


def find(path: str, paths: Sequence[str]) -> int:
    """The index of a path, or of its first call.

    Raises:
        ArgumentError: there is none; the nearest names are told.

    Example:
        >>> find("conv", ["", "conv#1", "conv#2"])
        1
    """
    of_kind("which layer", path, str, "its path, such as 'features.3'")
    for wanted in (path, f"{path}#1"):
        if wanted in paths:
            return paths.index(wanted)
    near = get_close_matches(path, paths, n=3, cutoff=0.4)
    hint = ", ".join(map(repr, near)) or ", ".join(map(repr, [known for known in paths if known][:5]))
    raise ArgumentError(f"no layer is called {path!r}", expected="the path of a layer", hint=hint or None)
