"""What a text such as `net.py:Net(3)` names, once it is found: a module, or what builds one."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from cnnatomy.errors import ArgumentError
from cnnatomy.models.named import LIBRARIES

Make = Callable[..., Any]
"""What calls a builder with its arguments: plainly, or so that no weights are made."""


def _plainly(builder: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return builder(*args, **kwargs)


@dataclass(frozen=True)
class Found:
    """What a text names: a module, or a callable that builds one, with the arguments of the text.

    Args:
        what: the module or the callable.
        where: the file, the Python module or the library that it is in.
        name: its name there.
        args: positional arguments of the text.
        kwargs: named arguments, those of the text and those that must be given.
        folder: where what it imports as it runs may lie.
        called: whether the text has arguments, `name()` included.
    """

    what: Any
    where: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    called: bool = True

    def takes(self, *names: str) -> str | None:
        """The first of these arguments that the builder has and the text leaves open."""
        try:
            signature = inspect.signature(self.what)
            given = signature.bind_partial(*self.args, **self.kwargs).arguments
        except (TypeError, ValueError):  # it cannot be called so, or has no signature
            return None
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        taken = {name for name, one in signature.parameters.items() if one.kind in kinds}
        return next((name for name in names if name in taken and name not in given), None)

    def make(self, by: Make = _plainly, **more: Any) -> Any:
        """What the builder returns, or the module itself; `more` are arguments that the text does not give.

        Raises:
            ArgumentError: it cannot be called so, or raises anything.
        """
        if isinstance(self.what, nn.Module) and not self.called:
            return self.what
        kwargs = {**more, **self.kwargs}
        if self.where not in LIBRARIES:
            self._check_call(kwargs)
        with on_path(self.folder), theirs(f"{self.name} of {self.where}"), warnings.catch_warnings():
            if self.where in LIBRARIES:
                warnings.simplefilter("ignore")  # how weights are drawn is of no matter
            return by(self.what, *self.args, **kwargs)

    def _check_call(self, kwargs: Mapping[str, Any]) -> None:
        try:
            inspect.signature(self.what).bind(*self.args, **kwargs)
        except TypeError as error:
            hint = f"{self.where}:{self.name}(...) with literals"
            raise ArgumentError(f"{self.name} cannot be called so: {error}", hint=hint) from error
        except ValueError:
            pass  # it has no signature to check


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Names that are like this one."""
    return ", ".join(get_close_matches(name, list(known), n=3, cutoff=0.5)) or None


def unknown(where: str, name: str, known: Iterable[str]) -> ArgumentError:
    """What is said where there is no model of that name."""
    return ArgumentError(f"{where} has no model {name!r}", hint=nearest(name, known))


@contextmanager
def theirs(what: str) -> Iterator[None]:
    """Name the caller's own code in what it raises."""
    try:
        yield
    except ArgumentError:
        raise
    except Exception as error:  # whatever it may raise
        raise ArgumentError(f"{what} raised {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What an error says, in a line.

    Example:
        >>> reason(RuntimeError("sizes differ\\n in two places"))
        'RuntimeError: sizes differ'
    """
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


@contextmanager
def on_path(folder: Path | None) -> Iterator[None]:
    """Let what is imported there import what lies beside it."""
    if folder is None:
        yield
        return
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
