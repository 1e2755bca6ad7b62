"""`cnnatomy networks`: the classic networks, with their papers and their notation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from cnnatomy.cli.argument_parsing import Command, Common, Switch
from cnnatomy.models.model_catalog import ENTRIES, Entry, find

COMMAND = Command(
    "networks",
    {
        "examples": {
            "cnnatomy networks": "all of them, a line each",
            "cnnatomy networks vgg16 resnet18": "two of them in full, with their notation",
            "cnnatomy networks --json": "all in full, as JSON",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `networks` is told."""

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="NAME", help_behavior_hint="")
    ] = ()
    """Networks to show in full. Left out: all of them, a line each."""
    json: Switch = False
    """Print everything as JSON."""


def main(words: Sequence[str]) -> None:
    """List the classics, or show some of them in full."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    entries = [find(name) for name in arguments.names] or list(ENTRIES)
    if arguments.json:
        print(json.dumps([asdict(one) for one in entries], indent=2, ensure_ascii=False))
    elif arguments.names:
        _full(entries)
    else:
        _listing(entries)


def shape(entry: Entry) -> str:
    """The input as people write it."""
    return "x".join(map(str, entry.input_shape)) if entry.input_shape else "open"


def _listing(entries: Sequence[Entry]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cnnatomy.cli.console import output

    console = output()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("name", no_wrap=True, style="cyan")
    table.add_column("input", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for one in entries:
        count = "" if one.parameters is None else f"{one.parameters:,}"
        table.add_row(one.name, shape(one), count, Text(one.summary))
    console.print(table)
    console.print(Text("With paper and notation: cnnatomy networks NAME", "dim"))


def _full(entries: Sequence[Entry]) -> None:
    from rich.text import Text

    from cnnatomy.cli.console import literal, output

    console = output()
    for one in entries:
        count = "open" if one.parameters is None else f"{one.parameters:,}"
        console.print(Text(literal(one.name), "bold cyan"))
        facts = {
            "what it is": one.summary,
            "paper": one.reference,
            "input": shape(one),
            "parameters": count,
            "notation": one.notation,
        }
        for name, fact in facts.items():
            console.print(Text.assemble((f"{name:<12}", "dim"), literal(fact)), soft_wrap=True)
        console.print()
