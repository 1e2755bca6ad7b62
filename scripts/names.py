"""Write docs/names.md: every public name, how it is called, and what it is, from the code itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import cnnatomy
from cnnatomy import filters, nn
from cnnatomy.cli.help import COMMANDS

PAGE = Path(__file__).parents[1] / "docs" / "names.md"
HEAD = """# Every public name

Made from the code by `python scripts/names.py`; a test holds the code to it. The words are those of the
[glossary](glossary.md). Every other name of torch.nn is in `cnnatomy.nn` as torch has it.
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## cnnatomy\n\n`import cnnatomy as ca`\n\n" + _table("ca.", _members(cnnatomy)),
        "## cnnatomy.nn\n\nWhat is this package's own.\n\n" + _table("nn.", _own_modules()),
        "## cnnatomy.filters\n\n" + _table("filters.", _kernels()),
        "## cnnatomy.data, cnnatomy.models, cnnatomy.anatomy\n\n" + "".join(_packages()),
        "## The command line\n\n" + _rows(("command", "what it does"), _commands()),
    ]
    return "\n".join(parts).replace("\\\n", "\n")


def _packages() -> Iterator[str]:
    from importlib import import_module

    for name in ("data", "models", "anatomy"):
        yield _table(f"{name}.", _members(import_module(f"cnnatomy.{name}"))) + "\n"


def _members(package: ModuleType) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(package, name)) for name in sorted(package.__all__, key=str.casefold))


def _own_modules() -> Iterator[tuple[str, Any]]:
    return ((name, one) for name, one in _members(nn) if one is not getattr(torch.nn, name, None))


def _kernels() -> Iterator[tuple[str, Any]]:
    for name, one in sorted(vars(filters).items(), key=lambda pair: pair[0].casefold()):
        if not name.startswith("_") and getattr(one, "__module__", "") == filters.__name__ and callable(one):
            yield name, one


def _commands() -> Iterator[tuple[str, str]]:
    return ((f"`cnnatomy {name}`", said) for name, said in COMMANDS.items())


def _table(prefix: str, members: Iterator[tuple[str, Any]]) -> str:
    return _rows(
        ("name", "what it is"), ((f"`{prefix}{name}{called(one)}`", summary(one)) for name, one in members)
    )


def _rows(head: tuple[str, str], rows: Iterator[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *((_cell(left), _cell(right)) for left, right in rows)]
    return "".join(f"| {left} | {right} |\n" for left, right in lines)


def _cell(said: str) -> str:
    return said.replace("|", "\\|").replace("\n", " ")


def called(one: Any) -> str:
    """The arguments with their defaults, without types; nothing for what is not called."""
    if not callable(one) or inspect.isabstract(one):
        return ""
    try:
        parameters = inspect.signature(one).parameters.values()
    except (TypeError, ValueError):
        return ""
    plain = [one.replace(annotation=one.empty) for one in parameters if one.name != "self"]
    return re.sub(r"<[^<>]*(<lambda>)?[^<>]*>", "..", str(inspect.Signature(plain)))


def summary(one: Any) -> str:
    """The first sentence of its documentation."""
    if isinstance(one, ModuleType) and callable(one):
        one = one.__wrapped__
    if not callable(one) and not isinstance(one, ModuleType):
        return f"{type(one).__name__}: {', '.join(map(str, list(one)[:5]))}, .."
    return " ".join((inspect.getdoc(one) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
