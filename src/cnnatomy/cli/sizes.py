"""`cnnatomy sizes`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from cnnatomy.cli.argument_parsing import CODE, Command
from cnnatomy.cli.network_argument import MODELS, Network
from cnnatomy.errors import ArgumentError

COMMAND = Command(
    "sizes",
    {
        "examples": {
            "cnnatomy sizes lenet5": "around the size it was made for",
            "cnnatomy sizes torchvision:vgg16 --input 3x224x224 --sizes 200:260": "a network of torchvision",
            "cnnatomy sizes net.py:Net --input 3x64x64 --sizes 32,48,64": "some sizes only",
        },
        "models": MODELS,
        "code and data": CODE,
    },
)


@dataclass(frozen=True)
class Arguments(Network):
    """What `sizes` is told."""

    sizes: Annotated[str | None, tyro.conf.arg(metavar="FROM:TO", help_behavior_hint="")] = None
    """Heights and widths to try: from the first to the last, FROM:TO:STEP, or numbers joined by commas.
    Left out: 32 below to 32 above the input."""
    format: Literal["table", "markdown", "json"] = "table"
    """How to print it."""


def main(words: Sequence[str]) -> None:
    """Find the input sizes that a network divides cleanly."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    candidates = None if arguments.sizes is None else read_sizes(arguments.sizes)
    given = arguments.shapes()
    model = arguments.load()
    import torch

    from cnnatomy.anatomy.ask.sizing import sizes

    own: tuple[int, ...] | None = getattr(model, "input_shape", None)
    shapes = given or ([own] if own else [])
    if len(shapes) != 1:
        what = "--input is missing" if not shapes else "--input has several shapes"
        raise ArgumentError(what, expected="the shape of the one input, such as 3x224x224")
    dtype = getattr(torch, arguments.dtype) if arguments.dtype else None
    found = sizes(model, shapes[0], candidates, dtype=dtype, assume=arguments.assume)
    if arguments.format == "table":
        from cnnatomy.cli.console import output

        output().print(found)
    else:
        print((found.to_json() if arguments.format == "json" else found.to_markdown()).rstrip())


def read_sizes(text: str) -> Sequence[int]:
    """Sizes as people write them, the last one counted.

    Example:
        >>> read_sizes("200:260"), read_sizes("32:256:32")[:3], read_sizes("28,32")
        (range(200, 261), range(32, 128, 32), [28, 32])
    """
    if re.fullmatch(r"[1-9][0-9]{0,5}(,[1-9][0-9]{0,5})*", text):
        return [int(size) for size in text.split(",")]
    if found := re.fullmatch(r"([1-9][0-9]{0,5}):([1-9][0-9]{0,5})(?::([1-9][0-9]{0,5}))?", text):
        sizes = range(int(found[1]), int(found[2]) + 1, int(found[3] or 1))
        if sizes:
            return sizes
    raise ArgumentError(
        "--sizes", expected="FROM:TO, FROM:TO:STEP or numbers, such as 200:260", got=repr(text)
    )
