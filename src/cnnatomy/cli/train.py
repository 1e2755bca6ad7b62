"""`cnnatomy train`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnatomy.cli.options import to_arguments, to_config, train_arguments
from cnnatomy.cli.parsing import Command
from cnnatomy.data.catalog import SOURCES
from cnnatomy.errors import ArgumentError
from cnnatomy.models.catalog import ENTRIES
from cnnatomy.train.config import FitConfig, preset

if TYPE_CHECKING:
    from rich.console import Console

    from cnnatomy.train import Evaluation
    from cnnatomy.train.reconstruction import Reconstruction

RUNS = Path("runs")
LONGEST_NAME = 40
"""Letters of a run's folder that a network in notation may take."""
COMMAND = Command(
    "train",
    {
        "examples": {
            "cnnatomy train digits": "the digits that come along, in seconds",
            "cnnatomy train ~/pictures --epochs 30": "a folder of pictures, one subfolder a class",
            'cnnatomy train digits --model "conv3-16 maxpool conv3-32 globalavg FC"': "a network in notation",
            "cnnatomy train cifar10 --model small32 --pool soft": "a classic, with another pooling",
            "cnnatomy train --preset paper": "the experiment of the LeNet-5 paper, on MNIST",
            "cnnatomy train --resume --run runs/digits-lenet5-1": "go on where a run was stopped",
        },
        "built-in data": {source.name: source.summary for source in SOURCES.values()},
        "models": {entry.name: entry.summary for entry in ENTRIES},
    },
)


def main(words: Sequence[str]) -> None:
    """Train, and show and report the result."""
    arguments = COMMAND.parse(train_arguments(), words)
    base = _base(arguments)
    arguments = COMMAND.parse(train_arguments(), words, default=to_arguments(base))
    config, options = to_config(arguments, base), arguments.run
    config.check()
    from cnnatomy.cli.console import output

    console = output()
    run = _run_folder(config, options.run)
    evaluation = _train(config, run, options, console)
    if not _speaks():
        return
    from cnnatomy import report
    from cnnatomy.train.reconstruction import Reconstruction

    if isinstance(evaluation, Reconstruction):
        print(run) if options.quiet else console.print(f"{said(evaluation)}\nrun     {run}", soft_wrap=True)
        return
    page = report.write(run, evaluation)
    if options.quiet:
        print(run)
        return
    from cnnatomy.cli.results import show

    show(evaluation, console)
    console.print(f"run     {run}\nreport  {page}", soft_wrap=True, markup=False)


def said(result: Reconstruction) -> str:
    """How well an encoder-decoder does, in a line."""
    share = f"{100 * result.explained:.1f}% of the variance of {result.pictures:,} test pictures explained"
    return f"{share}; squared error {result.loss:.4g} (standardised), PSNR {result.psnr:.1f} dB"


def _speaks() -> bool:
    """Whether this process is the one that reports: under `torchrun` there are several."""
    return os.environ.get("RANK", "0") == "0"


def _run_folder(config: FitConfig, asked: Path | None) -> Path:
    if asked:
        return asked.expanduser()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ArgumentError("many processes must agree on the run's folder", hint="--run runs/...")
    return next_run(config)


def next_run(config: FitConfig) -> Path:
    """The first folder runs/DATA-MODEL-NUMBER that does not exist yet."""
    data = re.sub(r"[^\w.-]+", "-", Path(config.data).resolve().stem)
    model = re.sub(r"[^\w.-]+", "-", config.model).strip("-")[:LONGEST_NAME].rstrip("-")
    number = 1
    while (run := RUNS / f"{data}-{model}-{number}").exists():
        number += 1
    return run


def _base(arguments: Any) -> FitConfig:
    """What the defaults are: our own, a preset's, or those of the run to go on with."""
    options = arguments.run
    if options.resume and options.preset:
        raise ArgumentError("--resume goes on with the settings of the run", hint="leaving out --preset")
    if options.resume:
        if not options.run:
            raise ArgumentError("--resume needs the run to go on with", hint="--run runs/...")
        from cnnatomy.train import Run

        return Run(options.run.expanduser()).config()
    return preset(options.preset) if options.preset else FitConfig()


def _train(config: FitConfig, run: Path, options: Any, console: Console) -> Evaluation:
    from cnnatomy.cli.progress import reporter
    from cnnatomy.train import Interrupted, Run, fit

    try:
        with reporter(console, quiet=options.quiet or not _speaks()) as told:
            return fit(config, run, resume=options.resume, reporter=told)
    except KeyboardInterrupt as stopped:
        if not Run(run).checkpoint.exists():
            raise
        saved = "at once, saved up to the last checkpoint"
        if isinstance(stopped, Interrupted):
            saved = f"after step {stopped.step:,} of {stopped.steps:,}, all saved"
        again = shlex.join(["cnnatomy", "train", "--resume", "--run", str(run)])
        raise KeyboardInterrupt(f"stopped {saved}; go on with: {again}") from stopped
