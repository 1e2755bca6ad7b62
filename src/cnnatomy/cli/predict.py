"""`cnnatomy predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cnnatomy.cli.parsing import Command, Common, Switch
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.train import Prediction

COMMAND = Command(
    "predict",
    {
        "examples": {
            "cnnatomy predict runs/digits-lenet5-1 seven.png": "what is it?",
            "cnnatomy predict runs/digits-lenet5-1 *.png --top 1": "only the likeliest class of each",
            "cnnatomy predict runs/digits-lenet5-1 seven.png --json": "as JSON",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `predict` is told."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = tyro.MISSING
    """The run's folder."""
    pictures: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE")] = (
        tyro.MISSING
    )
    """Pictures of any size."""
    top: int = 3
    """How many classes to show for each picture, the likeliest first."""
    weights: Annotated[str | None, tyro.conf.arg(metavar="WHICH", help_behavior_hint="")] = None
    """The best or the last epoch's weights. Left out: best if pictures were held out, else last."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where an encoder-decoder's pictures go."""
    json: Switch = False
    """Print the predictions as JSON."""


def main(words: Sequence[str]) -> None:
    """Predict, and print a table or JSON."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    if arguments.top < 1:
        raise ArgumentError("--top", expected="a whole number >= 1", got=str(arguments.top))
    from cnnatomy.train import predict

    pictures = [path.expanduser() for path in arguments.pictures]
    if arguments.out:
        from cnnatomy.train.inference import redraw

        for _, file in redraw(
            arguments.run.expanduser(), pictures, arguments.out.expanduser(), weights=arguments.weights
        ):
            print(file)
        return
    predictions = predict(arguments.run.expanduser(), pictures, weights=arguments.weights)
    if arguments.json:
        print(json.dumps(_values(predictions, arguments.top), indent=2, ensure_ascii=False))
    else:
        _show(predictions, arguments.top)


def _values(predictions: Sequence[Prediction], top: int) -> list[dict[str, object]]:
    return [
        {
            "picture": str(one.path),
            "classes": [{"class": name, "probability": share} for name, share in one.ranked[:top]],
        }
        for one in predictions
    ]


def _show(predictions: Sequence[Prediction], top: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cnnatomy.cli.console import literal, output
    from cnnatomy.report.words import percent

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("picture", overflow="fold", style="cyan")
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    for one in predictions:
        for rank, (name, share) in enumerate(one.ranked[:top]):
            style = "dim" if rank else "bold"
            path = "" if rank else literal(str(one.path))
            table.add_row(Text(path), Text(literal(name), style), Text(percent(share), style))
    output().print(table)
