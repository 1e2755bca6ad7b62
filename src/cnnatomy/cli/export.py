"""`cnnatomy export`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cnnatomy import checks
from cnnatomy.cli.argument_parsing import CODE, Command, Common, Switch
from cnnatomy.errors import ArgumentError

COMMAND = Command(
    "export",
    {
        "examples": {
            "cnnatomy export runs/digits-1 digits.onnx": "for ONNX runtimes, and checked with one",
            "cnnatomy export runs/digits-1 digits.pt2": "for torch.export.load, without cnnatomy",
            "cnnatomy export runs/digits-1 digits.onnx --json": "what was written, as JSON",
        },
        "code and data": CODE,
    },
)

KINDS = (".onnx", ".pt2")
MOST_OPSET = 99


@dataclass(frozen=True)
class Arguments(Common):
    """What `export` is told."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = tyro.MISSING
    """The run's folder."""
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")] = tyro.MISSING
    """What to write: its end, .onnx or .pt2, says which format."""
    weights: Annotated[str | None, tyro.conf.arg(metavar="WHICH", help_behavior_hint="")] = None
    """The best or the last epoch's weights. Left out: best if pictures were held out, else last."""
    model: Annotated[str | None, tyro.conf.arg(metavar="CODE", help_behavior_hint="")] = None
    """The network again, as net.py:Net, of a run that trained your own code: a folder alone starts none."""
    opset: int = 18
    """The version of ONNX's operators."""
    json: Switch = False
    """Print what was written as JSON."""


def main(words: Sequence[str]) -> None:
    """Export a run."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    path = arguments.file.expanduser()
    checks.count("--opset", arguments.opset, most=MOST_OPSET)
    if path.suffix not in KINDS:
        raise ArgumentError("this file names no format", expected=" or ".join(KINDS), got=str(path))
    if path.is_dir() or not path.parent.is_dir():
        raise ArgumentError(f"cannot write {path}", expected="a file in a folder that exists")
    from cnnatomy.export import export_run

    written = export_run(
        arguments.run.expanduser(),
        path,
        weights=arguments.weights,
        code=arguments.model,
        opset=arguments.opset,
    )
    if arguments.json:
        print(json.dumps(written.to_json(), indent=2, ensure_ascii=False))
        return
    from cnnatomy.cli.console import literal, output

    console = output()
    console.print(literal(str(written)), soft_wrap=True, markup=False)
    console.print(
        f"input   {', '.join(written.inputs)}: uint8 pictures, brought to size as the metadata say\n"
        f"output  {', '.join(written.outputs)}",
        soft_wrap=True,
        markup=False,
    )
