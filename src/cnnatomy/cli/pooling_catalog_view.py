"""Poolings and regions on a terminal of any width: all of them in a list, or some of them in full."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnatomy.cli.pooling_catalog import Place, Pooling

_HEADING = re.compile(r"[A-Z]\w+:$")


def listing(poolings: Sequence[Pooling], places: Sequence[Place], console: Console) -> None:
    """Print a table of poolings, in four columns where these fit and in two where not, and one of regions."""
    wide = _wide(poolings)
    unbounded = console.options.update(width=10_000)
    fits = console.measure(wide, options=unbounded).maximum <= console.width
    console.print(Text("poolings: what a region's values become", "bold"))
    console.print(wide if fits else _narrow(poolings))
    console.print(Text("regions: which values those are", "bold"))
    regions = _table("region", "what it is")
    for place in places:
        regions.add_row(Text(place.name), Text(place.summary))
    console.print(regions)
    console.print(Text("Any pooling works over any region. In full: cnnatomy pools NAME", "dim"))


def explain(poolings: Sequence[Pooling], places: Sequence[Place], console: Console) -> None:
    """Print the call, the facts and the documentation of each."""
    for one in poolings:
        facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="fold")
        for name, fact in _facts(one):
            facts.add_row(name, Text(fact))
        _page(one.call, one.documentation, console, facts)
    for place in places:
        _page(place.call, place.documentation, console)


def _facts(one: Pooling) -> list[tuple[str, str]]:
    beside = [f"{name}, of the shape of x" for name in one.companions]
    learned = ", ".join(one.learns) or "nothing"
    if one.learns:
        learned += ", always" if one.always_learns else ", with learned=1 or the number of channels"
    result = "one of the region's values; return_indices=True says which" if one.selects else "a new value"
    if one.mixes_channels:
        result = "values that several channels make together"
    return [
        ("name", one.name),
        ("formula", one.formula),
        ("source", one.source),
        ("result", result),
        ("takes", ", ".join(["x", *beside])),
        ("learns", learned),
        ("draws", "in training" if one.draws else "nothing"),
        ("backward", f"keeps {one.kept}"),
    ]


def _page(call: str, documentation: str, console: Console, facts: Table | None = None) -> None:
    console.print(Text(call, "bold cyan"))
    console.print()
    if facts:
        console.print(facts)
        console.print()
    console.print(Text(wrapped(documentation, console.width)), soft_wrap=True)
    console.print()


def wrapped(text: str, width: int) -> str:
    """A docstring brought to a width: paragraphs and entries are filled, examples and tables stay.

    Example:
        >>> print(wrapped("One sentence\\nin two.\\n\\nArgs:\\n    p: a number\\n        of steps.", 80))
        One sentence in two.
        <BLANKLINE>
        Args:
            p: a number of steps.
    """
    return "\n\n".join(_block(block.splitlines(), width) for block in text.split("\n\n"))


def _block(lines: Sequence[str], width: int) -> str:
    """One block between blank lines."""
    if any(line.lstrip().startswith((">>>", "|")) for line in lines):
        return "\n".join("" if line.strip() == "<BLANKLINE>" else line for line in lines)
    parts: list[list[str]] = []
    for number, line in enumerate(lines):
        depth = _depth(line)
        follows = number > 0 and not _HEADING.match(lines[number - 1]) and not line.lstrip().startswith("- ")
        if follows and (depth > _depth(parts[-1][0]) or depth == _depth(parts[-1][0]) == 0):
            parts[-1].append(line.strip())
        else:
            parts.append([line.rstrip()])
    return "\n".join(_filled(part, width) for part in parts)


def _filled(part: Sequence[str], width: int) -> str:
    first = " " * _depth(part[0])
    later = "  " if part[0].startswith("- ") else first and first + "    "
    return textwrap.fill(
        " ".join(part).strip(),
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _wide(poolings: Sequence[Pooling]) -> Table:
    table = _table("name", "what it is", "formula", "source")
    for one in poolings:
        table.add_row(one.name, Text(one.summary), Text(one.formula), Text(one.source, "dim"))
    return table


def _narrow(poolings: Sequence[Pooling]) -> Table:
    table = _table("name", "what it is")
    for one in poolings:
        table.add_row(one.name, Text.assemble(one.summary, "\n", one.formula, (f" · {one.source}", "dim")))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, head in enumerate(heads):
        table.add_column(head, overflow="fold", no_wrap=number == 0, style="" if number else "cyan")
    return table
