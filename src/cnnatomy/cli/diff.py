"""`cnnatomy diff`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import tyro

from cnnatomy.cli.argument_parsing import CODE, Command
from cnnatomy.cli.network_argument import MODELS, Network

COMMAND = Command(
    "diff",
    {
        "examples": {
            "cnnatomy diff vgg16 vgg19": "two columns of a table",
            'cnnatomy diff lenet5 "net.py:Net" --input 1x32x32': "the classic and your own",
            "cnnatomy diff torchvision:resnet18 torchvision:resnet34 --input 3x224x224": "two of a family",
        },
        "models": MODELS,
        "code and data": CODE,
    },
)


@dataclass(frozen=True)
class Arguments(Network):
    """What `diff` is told."""

    other: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OTHER")] = tyro.MISSING
    """The model to compare it with, named as the first."""
    format: Literal["table", "markdown", "json"] = "table"
    """How to print it."""


def main(words: Sequence[str]) -> None:
    """Compare two networks."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    arguments.shapes()
    from cnnatomy.anatomy.ask.compare import diff

    before, after = (
        one.measure(one.load()) for one in (arguments, replace(arguments, model=arguments.other))
    )
    found = diff(before, after)
    if arguments.format == "table":
        from cnnatomy.cli.console import output

        output().print(found)
    else:
        print((found.to_json() if arguments.format == "json" else found.to_markdown()).rstrip())
