"""A study on a terminal: what will be trained, how far it is, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cnnatomy.cli.console import literal
from cnnatomy.files.printable import counted, duration, percent
from cnnatomy.studies.study_runs import Told, Trial, ended
from cnnatomy.studies.verdict import CONFIDENCE, headline, verdict
from cnnatomy.train.reporter import Plan, Silent

if TYPE_CHECKING:
    from cnnatomy.studies.study import Study
    from cnnatomy.studies.study_folder import Design, StudyFolder

REFRESH = 1.0
"""Seconds between two looks at the runs' folders."""

_FOUND = {"arm": "arm", "seeds": "seeds", "value": "", "deviation": "±"}
_FOUND |= {"difference": "difference", "here": "these pictures", "p": "p"}
_FOUND |= {"alike": "pictures like these", "p ": "p"}
_COSTS = {name: name for name in ("arm", "parameters", "MACs", "memory", "training", "a picture")}
"""What the two tables show, and under which names."""


class Planned(Silent):
    """Keeps the plan of a run that is not made."""

    plan: Plan | None = None

    def start(self, plan: Plan) -> None:
        """Keep it."""
        self.plan = plan


def show_plan(design: Design, folder: StudyFolder, jobs: int, console: Console) -> None:
    """Say which runs there will be, and how long they will take."""
    from cnnatomy.train.engine import train
    from cnnatomy.train.run_folder import RunFolder

    done = sum(ended(folder.run(*trial)) for trial in design.trials)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("arm", overflow="fold")
    for name in ("runs", "left", "parameters", "a run takes"):
        table.add_column(name, justify="right", no_wrap=True)
    total: float | None = 0.0
    for arm in design.arms:
        left = sum(not ended(folder.run(arm, seed)) for seed in design.seeds)
        plan_reporter = Planned()
        if left:
            train(
                arm.seeded(design.seeds[0]),
                RunFolder(folder.path / "none"),
                dry=True,
                callbacks=[plan_reporter],
            )
        plan = plan_reporter.plan
        seconds = plan.seconds if plan else 0.0
        total = None if total is None or seconds is None else total + left * seconds
        table.add_row(
            Text(literal(arm.name)),
            str(len(design.seeds)),
            str(left),
            f"{plan.parameters:,}" if plan else "",
            (duration(seconds) if seconds else "not known") if plan else "",
        )
    console.print(table)
    runs = len(design.trials)
    so_far = f", {done} of them done" if done else ""
    wait = (
        "not known beforehand"
        if total is None
        else f"about {duration(total / min(jobs, max(1, runs - done)))}"
    )
    at_once = f" with {jobs} at once" if jobs > 1 else ""
    console.print(Text(literal(f"{counted(runs, 'run')}{so_far}; {wait}{at_once}")), soft_wrap=True)
    console.print(Text(literal(f"study {folder.path}")), soft_wrap=True)
    console.print()


@contextmanager
def watching(design: Design, folder: StudyFolder, console: Console, *, quiet: bool) -> Iterator[Told]:
    """Show the runs while they go on: a table that moves on a terminal, a line a run elsewhere."""
    if quiet:
        yield lambda trial, failed: None
    elif not console.is_terminal:

        def line(trial: Trial, failed: str | None) -> None:
            arm, seed = trial
            said = f"failed: {failed}" if failed else _accuracy(folder, trial)
            console.print(Text(literal(f"{arm.name}, seed {seed}: {said}")), soft_wrap=True)

        yield line
    else:
        state = State(design, folder)
        with Live(
            console=console, get_renderable=state.table, refresh_per_second=1 / REFRESH, transient=True
        ):
            yield state.trial_done


class State:
    """Where every run of a study stands, as its folder says."""

    def __init__(self, design: Design, folder: StudyFolder) -> None:
        self.design, self.folder = design, folder
        self.began = time.monotonic()
        self.failed: dict[tuple[str, int], str] = {}
        self.known: dict[tuple[str, int], float] = {}

    def trial_done(self, trial: Trial, failed: str | None) -> None:
        """Hear that a run has ended."""
        if failed:
            self.failed[trial[0].name, trial[1]] = failed

    def table(self) -> Table:
        """A row an arm: a mark for each seed, and the mean so far."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
        table.add_column("arm", overflow="fold")
        table.add_column("runs")
        table.add_column("mean accuracy", justify="right")
        for arm in self.design.arms:
            marks = Text()
            for seed in self.design.seeds:
                marks.append_text(self._mark(arm, seed)).append(" ")
            found = [self.known[arm.name, s] for s in self.design.seeds if (arm.name, s) in self.known]
            mean = percent(sum(found) / len(found), 2) if found else ""
            table.add_row(Text(literal(arm.name)), marks, mean)
        done, every = len(self.known) + len(self.failed), len(self.design.trials)
        table.caption = f"{done} of {every} runs, {duration(time.monotonic() - self.began)}"
        return table

    def _mark(self, arm: Any, seed: int) -> Text:
        key = (arm.name, seed)
        if key in self.failed:
            return Text("failed", "red")
        run = self.folder.run(arm, seed)
        if key not in self.known and ended(run):
            self.known[key] = float(run.read_json("metrics.json")["accuracy"])
        if key in self.known:
            return Text(percent(self.known[key]), "green")
        log = run.path / "log.csv"
        return Text(f"epoch {max(0, len(log.read_text().splitlines()) - 1)}" if log.exists() else "·", "dim")


def _accuracy(folder: StudyFolder, trial: Trial) -> str:
    return f"test accuracy {percent(folder.run(*trial).read_json('metrics.json')['accuracy'], 2)}"


def show(study: Study, console: Console) -> None:
    """Print the table and what it means."""
    from cnnatomy.studies.metrics import METRICS
    from cnnatomy.studies.study_page import rows

    trial_done = rows(study)
    for columns in (_FOUND, _COSTS):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
        for key, name in columns.items():
            table.add_column(
                name or study.metric, justify="left" if key == "arm" else "right", overflow="fold"
            )
        for row in trial_done:
            table.add_row(*(Text(literal(row[key])) for key in columns))
        console.print(table)
    note = f"differences in {METRICS[study.metric].unit} from {study.baseline}; {CONFIDENCE}"
    console.print(Text(literal(note), "dim"), soft_wrap=True)
    console.print()
    console.print(Text(literal(headline(study.comparisons)), "bold"), soft_wrap=True)
    for one in study.comparisons:
        console.print(Text(literal(f"  {verdict(one)}")), soft_wrap=True)
    console.print()
    for name, path in (("study", study.path), ("page", study.path / "study.html")):
        console.print(Text(literal(f"{name:<8}{path}")), soft_wrap=True)
