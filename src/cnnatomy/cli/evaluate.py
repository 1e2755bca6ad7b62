"""`cnnatomy evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cnnatomy.cli.argument_parsing import CODE, Command, Common, Switch, file_to_write
from cnnatomy.cli.option_synonyms import EVALUATE
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.train import Evaluation

COMMAND = Command(
    "evaluate",
    {
        "examples": {
            "cnnatomy evaluate runs/digits-1": "on the test pictures of its own data",
            "cnnatomy evaluate runs/digits-1 mnist": "on other data with the same classes",
            "cnnatomy evaluate runs/digits-1 --csv answers.csv": "with a row for each picture",
            "cnnatomy evaluate runs/digits-1 --json": "as JSON",
        },
        "code and data": CODE,
    },
    EVALUATE,
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `evaluate` is told."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = tyro.MISSING
    """The run's folder."""
    other: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(metavar="DATA", help_behavior_hint="")
    ] = None
    """Other data: a built-in source, a folder or an archive of pictures. Left out: the run's own."""
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """Another way to name the other data."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write what each picture was taken for, a row a picture, to this file."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Write an HTML page on the result to this file."""
    weights: Annotated[str | None, tyro.conf.arg(metavar="WHICH", help_behavior_hint="")] = None
    """The best or the last epoch's weights. Left out: best if pictures were held out, else last."""
    model: Annotated[str | None, tyro.conf.arg(metavar="CODE", help_behavior_hint="")] = None
    """The network again, as net.py:Net, of a run that trained your own code: a folder alone starts none."""
    json: Switch = False
    """Print the result as JSON."""


def main(words: Sequence[str]) -> None:
    """Evaluate a run, and show and write the result."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    if arguments.other and arguments.data:
        raise ArgumentError("the data is named twice", got=f"{arguments.other} and {arguments.data}")
    named = arguments.other or arguments.data
    page, table = (path and file_to_write(path) for path in (arguments.report, arguments.csv))
    run, data = arguments.run.expanduser(), str(Path(named).expanduser()) if named else None
    from cnnatomy.cli.console import load_torch, output

    load_torch()
    from cnnatomy.runs.progress_bar import reporter
    from cnnatomy.train import evaluate
    from cnnatomy.train.atomic_files import write_whole
    from cnnatomy.train.reconstruction import Reconstruction

    console = output()
    with reporter(console, quiet=arguments.json) as listener:
        result = evaluate(run, data=data, weights=arguments.weights, code=arguments.model, reporter=listener)
    if (page or table) and isinstance(result, Reconstruction):
        raise ArgumentError("an encoder-decoder has no page and no table of answers", hint="--json")
    if page:
        from cnnatomy import report

        report.write(run, result, data=data, path=page)
    if table:
        from cnnatomy.cli.predictions import csv_text

        write_whole(table, csv_text(_answers(result)).encode("utf-8", "backslashreplace"))
    _show(result, as_json=arguments.json)
    if not arguments.json:
        for what, path in (("report ", page), ("answers", table)):
            if path:
                console.print(f"{what} {path}", soft_wrap=True, markup=False)


def _show(result: Evaluation, *, as_json: bool) -> None:
    from cnnatomy.cli.console import output
    from cnnatomy.files.printable import json_text
    from cnnatomy.train.reconstruction import Reconstruction

    if as_json:
        print(json_text(result.to_json()))
    elif isinstance(result, Reconstruction):
        from cnnatomy.cli.train import said

        output().print(said(result), soft_wrap=True)
    else:
        from cnnatomy.cli.evaluation_view import show

        show(result, output())


def _answers(result: Evaluation) -> Iterator[Sequence[str]]:
    """A row for each picture: its name, what it is, what it was taken for, and how sure the model was."""
    from cnnatomy.files.printable import shown

    yield "picture", "class", "predicted", "probability"
    if result.answers:
        names, *columns = result.answers[:4]  # not how sure of the label
        classes = [shown(name) for name in result.classes]
        for name, label, predicted, share in zip(
            names, *(column.tolist() for column in columns), strict=True
        ):
            yield shown(name), classes[label], classes[predicted], f"{share:.6g}"
