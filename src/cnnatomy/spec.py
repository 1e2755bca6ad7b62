"""Records that print as the call that makes them, and are read back from that text.

Regions and reducers travel through compiled and exported graphs, and through files, in this form.
"""

from __future__ import annotations

import ast
from abc import ABCMeta
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from cnnatomy.errors import ArgumentError

T = TypeVar("T")


class Family(ABCMeta):
    """Of an abstract class whose members all descend from it: `isinstance` looks at nothing else.

    Otherwise it would search the register of virtual subclasses, a tenth of the time of a small call.
    """

    __instancecheck__ = type.__instancecheck__

    def register(cls, subclass: type[T]) -> type[T]:
        """Refuse classes that do not descend from the family.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{subclass.__name__} must descend from {cls.__name__}")


def text(record: Any) -> str:
    """The call that makes a dataclass record, as its repr prints it."""
    names = [field.name for field in fields(record)]
    return f"{type(record).__name__}({', '.join(f'{name}={getattr(record, name)!r}' for name in names)})"


def brief(record: Any) -> str:
    """The shortest call that makes a dataclass record, without what it has by default.

    Example:
        >>> from cnnatomy.regions import Sliding
        >>> brief(Sliding(3, stride=2))
        'Sliding(3, stride=2)'
    """
    given = ((field, getattr(record, field.name)) for field in fields(record))
    words = [
        repr(value) if field.default is MISSING else f"{field.name}={value!r}"
        for field, value in given
        if value != field.default
    ]
    return f"{type(record).__name__}({', '.join(words)})"


def parse(text: str, kinds: Mapping[str, type[T]], what: str) -> T:
    """Read `Name(field=literal, ...)` back into the record of that name.

    Raises:
        ArgumentError: the text names no record of this sort, or gives it fields it does not take.
    """
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError(text)
        fields = {word.arg: _literal(word.value) for word in call.keywords if word.arg}
        return kinds[call.func.id](**fields)
    except (SyntaxError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            f"this is no {what}", expected=f"one of {', '.join(kinds)}", got=repr(text)
        ) from error


class _Numbers(ast.NodeTransformer):
    """The two numbers that print as names."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Constant(float(node.id)), node) if node.id in ("inf", "nan") else node


def _literal(node: ast.expr) -> Any:
    return ast.literal_eval(_Numbers().visit(node))
