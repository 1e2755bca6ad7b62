"""`cnnatomy inspect`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from cnnatomy.cli.parsing import Command, Common
from cnnatomy.errors import ArgumentError
from cnnatomy.models.catalog import ENTRIES, find

COMMAND = Command(
    "inspect",
    {
        "examples": {
            "cnnatomy inspect lenet5": "its layers on the input it was made for",
            "cnnatomy inspect lenet5 --output softmax --classes 26": "as it would be for 26 classes",
            "cnnatomy inspect lenet5 --format csv": "for a spreadsheet",
        },
        "models": {entry.name: entry.summary for entry in ENTRIES},
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `inspect` is told."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")] = tyro.MISSING
    """A model of the catalog."""
    input: Annotated[str | None, tyro.conf.arg(metavar="CxHxW", help_behavior_hint="")] = None
    """Shape of one input, channels x height x width. Left out: the one it was made for."""
    classes: int = 10
    """How many classes it tells apart."""
    output: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """The output layer. Left out: the one that suits the classes."""
    format: Literal["table", "markdown", "csv", "json"] = "table"
    """How to print it."""


def main(words: Sequence[str]) -> None:
    """Inspect a model of the catalog."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    entry = find(arguments.model)
    shape = read_shape(arguments.input) if arguments.input is not None else entry.input_shape
    if arguments.classes < 2:
        raise ArgumentError("--classes", expected="a whole number >= 2", got=str(arguments.classes))
    from cnnatomy import anatomy, models

    model = models.build(entry.name, classes=arguments.classes, output=arguments.output)
    table = anatomy.inspect(model, shape)
    if arguments.format == "table":
        from cnnatomy.cli.console import output

        output().print(table)
    else:
        print(
            {"markdown": table.to_markdown, "csv": table.to_csv, "json": table.to_json}[
                arguments.format
            ]().rstrip()
        )


def read_shape(text: str) -> tuple[int, ...]:
    """A shape as people write it.

    Example:
        >>> read_shape("1x32x32")
        (1, 32, 32)
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}([x×,][1-9][0-9]{0,8})*", text):
        raise ArgumentError("--input", expected="sizes such as 1x32x32", got=repr(text))
    return tuple(int(size) for size in re.split("[x×,]", text))
