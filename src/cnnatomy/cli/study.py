"""`cnnatomy study`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cnnatomy.cli.argument_parsing import Cluster, Command, Common, Switch, ray_of, with_cluster
from cnnatomy.cli.compare import seed_numbers

if TYPE_CHECKING:
    from rich.console import Console

    from cnnatomy.studies.ready.ready_study import Verdicts
    from cnnatomy.studies.study import Study
    from cnnatomy.studies.study_folder import Design

COMMAND = Command(
    "study",
    {
        "examples": {
            "cnnatomy study": "what there is, and what it claims",
            "cnnatomy study kernels": "one 7x7 or three 3x3, in minutes",
            "cnnatomy study kernels --full": "on all pictures, with more seeds and epochs",
            "cnnatomy study shifts --seeds 8": "with more seeds; what has been trained is not trained again",
        },
    },
)


@dataclass(frozen=True)
class Arguments(Common):
    """What `study` is told."""

    name: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(metavar="NAME", help_behavior_hint="")
    ] = None
    """Which study. Left out: list them."""
    full: Switch = False
    """The full form, which may take hours, in place of the quick one."""
    seeds: Annotated[str | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")] = None
    """How many runs of each arm, as 5, or with which seeds, as 0,3,7. Left out: the form's own."""
    study: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """The study's folder, which is gone on with if it is there. Left out: studies/NAME, or
    studies/NAME-full."""
    data_dir: Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder that holds the built-in pictures. Left out: CNNATOMY_DATA, or the user's cache."""
    jobs: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Runs at once, each in a process of its own; it changes no result."""
    ray: Cluster = None
    """Train on a Ray cluster instead: that of an address, as HOST:PORT or auto; without one, this machine."""
    threads: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """CPU threads of a run."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Where to compute: cpu, cuda, cuda:1, mps. Left out: a CUDA device if there is one, else the CPU."""
    dry_run: Switch = False
    """Say which runs would be made and how long they would take, and stop there."""


def main(words: Sequence[str]) -> None:
    """List the ready studies, or carry one out and say which claims it bears out."""
    arguments: Arguments = COMMAND.parse(Arguments, with_cluster(words))
    from cnnatomy.cli.console import load_torch, output

    load_torch()
    from cnnatomy.studies.ready import load

    console = output()
    if arguments.name is None:
        _list(console)
        return
    ready, form = load(arguments.name), "full" if arguments.full else "quick"
    changes: dict[str, Any] = {name: getattr(arguments, name) for name in ("data_dir", "threads", "device")}
    if arguments.seeds is not None:
        changes["seeds"] = seed_numbers(arguments.seeds)
    study = _carried_out(arguments, ready.design(form, **changes), form, console)
    if study is not None:
        verdicts = ready.judged(study)
        verdicts.write(form, shlex.join(["cnnatomy", "study", *words]))
        _show(verdicts, console)


def _list(console: Console) -> None:
    from rich.text import Text

    from cnnatomy.studies.ready import NAMES, load

    for name in NAMES:
        ready = load(name)
        console.print(Text(name, "bold").append(f"  {ready.title}", "not bold"), soft_wrap=True)
        for claim in ready.claims:
            console.print(Text(f"  {claim.says}").append(f"  {claim.source}", "dim"), soft_wrap=True)
    console.print(Text("\ncnnatomy study NAME carries one out; --full takes all pictures", "dim"))


def _carried_out(arguments: Arguments, design: Design, form: str, console: Console) -> Study | None:
    """Train what is missing; None for a plan alone."""
    from cnnatomy.cli.compare_view import show_plan, watching
    from cnnatomy.studies.study import carry_out, check_request
    from cnnatomy.studies.study_folder import STUDIES, StudyFolder

    own = STUDIES / (f"{arguments.name}-full" if form == "full" else str(arguments.name))
    folder = StudyFolder((arguments.study or own).expanduser())
    if folder.exists():
        design = folder.design().grown(design)
    jobs, ray = arguments.jobs, ray_of(arguments.ray)
    check_request(design, None, "accuracy", jobs, ray)
    show_plan(design, folder, jobs, console)
    if arguments.dry_run:
        return None
    with watching(design, folder, console, quiet=False) as told:
        return carry_out(design, folder, baseline=None, metric="accuracy", jobs=jobs, ray=ray, told=told)


def _show(verdicts: Verdicts, console: Console) -> None:
    """The study's tables, those of shifted pictures, and what became of each claim."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cnnatomy.cli.compare_view import show
    from cnnatomy.files.printable import percent

    show(verdicts.study, console)
    tables = {name: one.to_json() for name, one in verdicts.shifted.items()}
    if tables:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
        table.add_column("shifted by (accuracy, change of the logits)")
        amounts = list(next(iter(tables.values())))
        for amount in amounts:
            table.add_column(f"{amount} px", justify="right")
        for name, row in tables.items():
            cells = (f"{percent(row[a]['accuracy'])}  {row[a]['logits']:.2f}" for a in amounts)
            table.add_row(name, *cells)
        console.print(table)
    for one in verdicts.findings:
        console.print(Text(f"{one.verdict:<10}", "bold").append(one.claim.says, "not bold"), soft_wrap=True)
        console.print(Text(f"{'':<10}{one.line}", "dim"), soft_wrap=True)
