"""The pages of the reference: for each group of public names one that takes them from their docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import cnnatomy

GROUPS = {
    "operators": ("Operators", "cnnatomy.ops"),
    "poolings": ("Poolings", "cnnatomy.reducers"),
    "regions": ("Regions", "cnnatomy.regions"),
    "modules": ("Modules", "cnnatomy.nn"),
    "filters": ("Filters", "cnnatomy.filters"),
    "geometry": ("Geometry", "cnnatomy.geometry"),
    "anatomy": ("Anatomy", "cnnatomy.anatomy"),
    "networks": ("Networks", "cnnatomy.models"),
    "data": ("Data", "cnnatomy.data"),
    "training": ("Training", "cnnatomy.train"),
    "runs": ("Runs", "cnnatomy.runs"),
    "comparing": ("Comparing", "cnnatomy.studies"),
    "explaining": ("Explaining", "cnnatomy.explain"),
    "adapting": ("Swapping operators", "cnnatomy.adapt"),
    "export": ("Export", "cnnatomy.export"),
}
"""Page: its title, and the package whose public names it lists."""

SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Example):\n((?:[ ]{4}.*\n|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^(\S[^:\n]*): ", re.MULTILINE)
CODE = re.compile(r"(```.*?```|`[^`\n]*`|^ {4}.*$)", re.MULTILINE | re.DOTALL)


def write(folder: Path) -> None:
    """Write the pages of all groups, and their contents."""
    folder.mkdir(exist_ok=True)
    for page, (title, home) in GROUPS.items():
        (folder / f"{page}.md").write_text("\n".join(_page(title, import_module(home))))
    listed = "\n".join(GROUPS)
    contents = f"# Reference\n\nEvery public name, from its docstring.\n\n```{{toctree}}\n{listed}\n```\n"
    (folder / "index.md").write_text(contents)


def public(module: ModuleType) -> dict[str, Any]:
    """Return what a package offers of its own, by name; torch's classes under its roof are left out.

    Example:
        >>> import cnnatomy.regions
        >>> list(public(cnnatomy.regions))[-2:]
        ['Sliding', 'Whole']
    """
    listed = getattr(module, "__all__", None)
    found = {name: getattr(module, name) for name in listed or vars(module) if not name.startswith("_")}
    here = "cnnatomy" if listed else module.__name__
    return {
        name: found[name]
        for name in sorted(found, key=str.lower)
        if inspect.isclass(found[name]) or inspect.isfunction(found[name])
        if found[name].__module__.startswith(here)
    }


def markdown(docstring: str) -> str:
    r"""Turn a docstring into Markdown: its sections become lists and code, what could be markup is text.

    Example:
        >>> print(markdown("Sum x (*, H).\n\nRaises:\n    Error: no x.\n\nExample:\n    f(1)\n"))
        Sum x (\*, H).
        <BLANKLINE>
        **Raises**
        - `Error`: no x.
        <BLANKLINE>
        **Example**
        ```python
        f(1)
        ```
        <BLANKLINE>
    """
    text = SECTION.sub(_section, inspect.cleandoc(docstring) + "\n")
    parts = CODE.split(text)
    parts[::2] = [re.sub(r"([*<])(?!\*)(?<!\*\*)", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def _section(found: re.Match[str]) -> str:
    name, body = found[1], textwrap.dedent(found[2]).strip()
    if name == "Example":
        return f"**Example**\n```python\n{body}\n```\n"
    if name == "Returns" and not ENTRY.match(body):
        return f"**Returns** {body}\n\n"
    return f"**{name}**\n{ENTRY.sub(lambda entry: f'- `{entry[1]}`: ', body)}\n\n"


def _page(title: str, module: ModuleType) -> Iterator[str]:
    yield f"# {title}\n\n{markdown(module.__doc__ or '')}\n"
    for name, value in public(module).items():
        yield f"## {name}\n\n{_signature(module.__name__, name, value)}\n\n{markdown(value.__doc__ or '')}\n"
        members = vars(value).items() if inspect.isclass(value) else ()
        for member, found in members:
            function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            if not member.startswith("_") and inspect.isfunction(function) and function.__doc__:
                call = member if isinstance(found, property) else _signature("", member, function)
                call = call if call.startswith("```") else f"```python\n{call}\n```"
                yield f"### {name}.{member}\n\n{call}\n\n{markdown(function.__doc__)}\n"


def _signature(home: str, name: str, value: Any) -> str:
    """Write how a name is called, one argument a line where the line would be long."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return f"```python\n{name}\n```"
    shown = [_parameter(parameter) for parameter in parameters if parameter.name != "self"]
    called = f"{_short(home, name)}.{name}" if home else name
    line = f"{called}({', '.join(shown)})"
    if len(line) > 88:
        line = f"{called}(\n    " + ",\n    ".join(shown) + ",\n)"
    return f"```python\n{line}\n```"


def _short(home: str, name: str) -> str:
    """Return the shortest home that a name has."""
    return "cnnatomy" if name in cnnatomy.__all__ else home


def _parameter(parameter: inspect.Parameter) -> str:
    """Write an argument; annotations are kept as text and would be shown in quotes."""
    bare = parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty)
    kind = (
        ""
        if parameter.annotation is inspect.Parameter.empty
        else f": {parameter.annotation}".replace("'", "")
    )
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
    return f"{bare}{kind}{default}"
