"""`cnnatomy evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cnnatomy.cli.parsing import Command, Common, Switch
from cnnatomy.errors import ArgumentError

COMMAND = Command(
    "evaluate",
    {
        "examples": {
            "cnnatomy evaluate runs/digits-1": "on the test pictures of its own data",
            "cnnatomy evaluate runs/digits-1 --data mnist": "on other data with the same classes",
            "cnnatomy evaluate runs/digits-1 --json": "as JSON",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `evaluate` is told."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = tyro.MISSING
    """The run's folder."""
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """Other data: a built-in source or a folder of pictures. Left out: the run's own."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write an HTML page on the result to this file."""
    weights: Annotated[str | None, tyro.conf.arg(metavar="WHICH", help_behavior_hint="")] = None
    """The best or the last epoch's weights. Left out: best if pictures were held out, else last."""
    model: Annotated[str | None, tyro.conf.arg(metavar="CODE", help_behavior_hint="")] = None
    """The network again, as net.py:Net, of a run that trained your own code: a folder alone starts none."""
    json: Switch = False
    """Print the result as JSON."""


def main(words: Sequence[str]) -> None:
    """Evaluate a run."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    page = arguments.report.expanduser() if arguments.report else None
    if page and (page.is_dir() or not page.parent.is_dir()):
        raise ArgumentError(f"cannot write {page}", expected="a file in a folder that exists")
    data = str(Path(arguments.data).expanduser()) if arguments.data else None
    from cnnatomy.cli.console import output
    from cnnatomy.runs.progress import reporter
    from cnnatomy.train import evaluate

    console, run = output(), arguments.run.expanduser()
    with reporter(console, quiet=arguments.json) as told:
        evaluation = evaluate(run, data=data, weights=arguments.weights, code=arguments.model, reporter=told)
    from cnnatomy.train.reconstruction import Reconstruction

    if page and isinstance(evaluation, Reconstruction):
        raise ArgumentError("there is no page for an encoder-decoder", hint="--json")
    if page:
        from cnnatomy import report

        report.write(run, evaluation, data=data, path=page)
    if arguments.json:
        print(json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False))
        return
    if isinstance(evaluation, Reconstruction):
        from cnnatomy.cli.train import said

        console.print(said(evaluation), soft_wrap=True)
        return
    from cnnatomy.cli.results import show

    show(evaluation, console)
    if page:
        console.print(f"report  {page}", soft_wrap=True, markup=False)
