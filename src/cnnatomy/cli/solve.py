"""`cnnatomy solve`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import tyro

from cnnatomy.cli.argument_parsing import Command, Common
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import RULES, Rule

Number = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]

COMMAND = Command(
    "solve",
    {
        "examples": {
            "cnnatomy solve --n 7 --kernel 3 --stride 3": "what would make it fit",
            "cnnatomy solve --n 32 --out 32 --kernel 5": "which padding keeps the size",
            "cnnatomy solve --n 224 --out 112": "which windows halve it",
            "cnnatomy solve --field 49 --kernel 3": "how many layers see 49 cells",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `solve` is told."""

    n: Number = None
    """Cells of the input."""
    out: Number = None
    """Outputs wanted. Left out: every cell read, nothing left over."""
    field: Number = None
    """Cells of the input that one output is to see."""
    layers: Number = None
    """How many equal layers see them. Left out: found."""
    kernel: Number = None
    """Taps of the window."""
    stride: Number = None
    """Cells from one window to the next."""
    padding: Annotated[str | None, tyro.conf.arg(metavar="PADDING", help_behavior_hint="")] = None
    """Cells on both sides, before,after, or valid, same, keep or full."""
    dilation: Number = None
    """Cells from one tap to the next."""
    format: Literal["text", "json"] = "text"
    """How to print it."""


def main(words: Sequence[str]) -> None:
    """Solve for a part of a window."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    from cnnatomy.anatomy.ask.solving import solve

    sizes: dict[str, Any] = {
        "input_size": arguments.n,
        "output_size": arguments.out,
        "kernel_size": arguments.kernel,
    }
    padding = None if arguments.padding is None else read_padding(arguments.padding)
    sizes |= {name: getattr(arguments, name) for name in ("field", "layers", "stride", "dilation")}
    found = solve(**sizes, padding=padding)
    print(json.dumps(asdict(found), indent=2) if arguments.format == "json" else found)


def read_padding(text: str) -> Rule:
    """A padding as people write it.

    Example:
        >>> read_padding("2"), read_padding("0,1"), read_padding("same")
        (2, (0, 1), 'same')
    """
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    if pair := re.fullmatch(r"([0-9]{1,9}),([0-9]{1,9})", text):
        return int(pair[1]), int(pair[2])
    if text in RULES:
        return text  # type: ignore[return-value]
    raise ArgumentError("--padding", expected=f"cells, before,after, or {', '.join(RULES)}", got=repr(text))
