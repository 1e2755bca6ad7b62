"""`cnnatomy train`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnatomy.cli.argument_parsing import CODE, Command
from cnnatomy.cli.option_synonyms import TRAIN
from cnnatomy.cli.options import to_arguments, to_settings, train_arguments
from cnnatomy.data.data_catalog import SOURCES
from cnnatomy.errors import ArgumentError
from cnnatomy.models.model_catalog import ENTRIES
from cnnatomy.models.named import consented
from cnnatomy.train.settings import Settings, preset

if TYPE_CHECKING:
    from rich.console import Console

    from cnnatomy.train.engine import Outcome
    from cnnatomy.train.reconstruction import Reconstruction

COMMAND = Command(
    "train",
    {
        "examples": {
            "cnnatomy train ~/pictures": "a folder of pictures, one subfolder a class",
            "cnnatomy train ~/pictures --dry-run": "what would be done, why, and how long it would take",
            "cnnatomy train ~/pictures --time 10m": "for ten minutes",
            "cnnatomy train digits": "the digits that come along, in seconds",
            'cnnatomy train ~/pictures --model "conv3-16 maxpool conv3-32 globalavg FC"': "one in notation",
            "cnnatomy train ~/pictures --model timm:resnet18 --weights timm:resnet18": "a pretrained one",
            "cnnatomy train cifar10 --model small32 --pool soft": "a classic, with another pooling",
            "cnnatomy train --preset paper": "the experiment of the LeNet-5 paper, on MNIST",
            "cnnatomy train --resume --run runs/digits-1": "go on where a run was stopped",
        },
        "built-in data": {source.name: source.summary for source in SOURCES.values()},
        "models": {entry.name: entry.summary for entry in ENTRIES},
        "code and data": CODE,
    },
    TRAIN,
)
_MORE = re.compile(r"\+(\d+)")


def main(words: Sequence[str]) -> None:
    """Train, and show and report the result."""
    words, more = _more_epochs(words)
    arguments = COMMAND.parse(train_arguments(), words)
    base = _base(arguments)
    if base.network.model is not None:  # a file alone, such as a run's, starts no code
        consented(base.network.model, arguments.network.model)
    arguments = COMMAND.parse(train_arguments(), words, default=to_arguments(base))
    settings, options = to_settings(arguments, base), arguments.run
    if more:
        settings = _longer(settings, more, options)
    settings.check()
    from cnnatomy.cli.console import load_torch, output

    load_torch()
    console = output()
    if options.find_lr:
        _find_rate(settings, options, console)
        return
    with _run_folder(settings, options) as run:
        outcome = _train(settings, run, options, console)
    if outcome is not None and _speaks():
        _show(run, outcome, options, console)


def _show(run: Path, outcome: Outcome, options: Any, console: Console) -> None:
    """The result, and where it lies."""
    from cnnatomy import report
    from cnnatomy.train.reconstruction import Reconstruction

    evaluation = outcome.evaluation
    if isinstance(evaluation, Reconstruction):
        print(run) if options.quiet else console.print(f"{said(evaluation)}\nrun     {run}", soft_wrap=True)
        return
    page = report.write(run, evaluation, pictures=outcome.data, model=outcome.model)
    if options.quiet:
        print(run)
        return
    from cnnatomy.cli.evaluation_view import learning, show
    from cnnatomy.train.run_folder import RunFolder

    for line in learning(RunFolder(run).log()):
        console.print(line)
    show(evaluation, console)
    console.print(f"run     {run}\nreport  {page}", soft_wrap=True, markup=False)
    console.print(
        f"use it  cnnatomy predict {shlex.quote(str(run))} PICTURE ...", soft_wrap=True, markup=False
    )


def said(result: Reconstruction) -> str:
    """How well an encoder-decoder does, in a line."""
    share = f"{100 * result.explained:.1f}% of the variance of {result.pictures:,} test pictures explained"
    return f"{share}; squared error {result.loss:.4g} (standardised), PSNR {result.psnr:.1f} dB"


def _speaks() -> bool:
    """Whether this process is the one that reports: under `torchrun` there are several."""
    return os.environ.get("RANK", "0") == "0"


def _run_folder(settings: Settings, options: Any) -> AbstractContextManager[Path]:
    from cnnatomy.train.run_folder import claimed, next_run

    if options.run:
        return nullcontext(options.run.expanduser())
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ArgumentError("many processes must agree on the run's folder", hint="--run runs/...")
    return nullcontext(next_run(settings)) if options.dry_run else claimed(settings)


def _base(arguments: Any) -> Settings:
    """What the defaults are: our own, a preset's, a file's, or those of the run to go on with."""
    options = arguments.run
    named = [flag for flag in ("resume", "preset", "config") if getattr(options, flag)]
    if len(named) > 1:
        what = f"--{named[0]} and --{named[1]} both say what to begin with"
        raise ArgumentError(what, hint=f"leaving out --{named[1]}")
    if options.resume:
        if not options.run:
            raise ArgumentError("--resume needs the run to go on with", hint="--run runs/...")
        from cnnatomy.train.run_folder import RunFolder

        return RunFolder(options.run.expanduser()).settings()
    if options.config:
        from cnnatomy.files.toml import read_toml

        return Settings.from_json(read_toml(options.config.expanduser()))
    return preset(options.preset) if options.preset else Settings()


def _more_epochs(words: Sequence[str]) -> tuple[list[str], int]:
    """Take `--epochs +10` out of the words: it adds to what a resumed run has."""
    rest = list(words)
    for place, word in enumerate(rest):
        flag, _, value = word.partition("=")
        if flag == "--epochs":
            amount = value or (rest[place + 1] if place + 1 < len(rest) else "")
            if found := _MORE.fullmatch(amount):
                del rest[place : place + (1 if value else 2)]
                return rest, int(found[1])
    return rest, 0


def _longer(settings: Settings, more: int, options: Any) -> Settings:
    """A run's settings with more epochs, in which the schedule begins anew."""
    recipe = settings.recipe
    if not options.resume or recipe.epochs is None:
        what = f"--epochs +{more} goes on with a run that was trained for a number of epochs"
        raise ArgumentError(what, hint="--resume --run runs/...")
    longer = replace(recipe, epochs=recipe.epochs + more, restarts=(*recipe.restarts, recipe.epochs))
    return replace(settings, recipe=longer)


def _find_rate(settings: Settings, options: Any, console: Console) -> None:
    """Measure learning rates, write the page of the curve, and say what to try."""
    from cnnatomy.report.rate_page import write_rates
    from cnnatomy.runs.progress_bar import reporter
    from cnnatomy.train.rates import measured_rates

    with reporter(console, quiet=options.quiet) as listener:
        curve = measured_rates(settings, listener)
    page = write_rates(curve, Path(options.run or ".") / "learning-rates.html")
    if options.quiet:
        print(f"{curve.suggestion:.3g}")
        return
    console.print(f"suggested  --lr {curve.suggestion:.3g}\ncurve      {page}", soft_wrap=True, markup=False)


def _train(settings: Settings, run: Path, options: Any, console: Console) -> Outcome | None:
    from cnnatomy.runs.progress_bar import reporter
    from cnnatomy.train import Interrupted, RunFolder
    from cnnatomy.train.engine import train
    from cnnatomy.train.loggers import logger

    try:
        with reporter(console, quiet=options.quiet or not _speaks()) as listener:
            wanted = settings.run.log if _speaks() and not options.dry_run else ()
            also = [logger(name, run) for name in wanted]
            callbacks = (listener, *also)
            return train(
                settings, RunFolder(run), resume=options.resume, dry=options.dry_run, callbacks=callbacks
            )
    except KeyboardInterrupt as stopped:
        if not RunFolder(run).checkpoint.exists():
            raise
        saved = "at once, saved up to the last checkpoint"
        if isinstance(stopped, Interrupted):
            saved = f"after {stopped.place}, all saved"
        again = shlex.join(["cnnatomy", "train", "--resume", "--run", str(run)])
        raise KeyboardInterrupt(f"stopped {saved}; go on with: {again}") from stopped
