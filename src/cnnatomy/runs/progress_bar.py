"""What a training run tells, on a terminal: a line an epoch, and below it a bar that moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from cnnatomy.files.printable import counted, percent, shown
from cnnatomy.train.reporter import Choice, Epoch, Plan, Reporter, Silent, Tick

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation

NAMES = 10
"""So many pictures that cannot be read are named."""
TRAINING = "training"
PARTS = 1000
"""Of the moving bar: a run goes by steps or by time."""


@contextmanager
def reporter(console: Console, *, quiet: bool = False) -> Iterator[Reporter]:
    """Somebody to tell: a moving bar on a terminal, plain lines elsewhere, nothing when quiet."""
    if quiet:
        yield Silent()
    elif not console.is_terminal:
        yield Lines(console)
    else:
        bar = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}", markup=False),
            console=console,
            transient=True,
            expand=True,
        )
        with bar:
            yield Bar(console, bar)


class Lines(Silent):
    """Says what is about to be done, then one line an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.epochs: int | None = None
        self.columns: list[str] = []

    def start(self, plan: Plan) -> None:
        """Say what is about to be done and why, line by line."""
        self.epochs = plan.settings.recipe.epochs
        for choice in plan.choices:
            self._choice(choice)
        for note in plan.notes:
            self._print(Text.assemble((f"{'note':<10}", "yellow"), note))
        self._left_out(plan)
        if plan.run is None:
            return
        begun = f", going on after step {plan.first_step:,}" if plan.first_step else ""
        processes = f" in {plan.processes} processes" if plan.processes > 1 else ""
        self._print(Text.assemble((f"{'run':<10}", "dim"), f"{plan.run}{begun}{processes}\n"))

    def _left_out(self, plan: Plan) -> None:
        """Say which pictures cannot be read: the first ones by name."""
        if not plan.skipped:
            return
        said = f"{counted(len(plan.skipped), 'picture')} that cannot be read:"
        self._print(Text.assemble((f"{'left out':<10}", "yellow"), said))
        for one in plan.skipped[:NAMES]:
            self._print(f"{'':<10}{shown(one.path)} {shown(one.reason)}")
        if len(plan.skipped) > NAMES:
            where = f": all are in {shown(plan.run / 'plan.json')}" if plan.run else ""
            self._print(f"{'':<10}... and {len(plan.skipped) - NAMES:,} more{where}")

    def epoch(self, epoch: Epoch) -> None:
        """Say how a pass ended, with the columns that were measured."""
        cells = {
            "epoch": f"{epoch.epoch}/{self.epochs}" if self.epochs else f"{epoch.epoch}",
            "loss": f"{epoch.loss:#.4g}",
            "accuracy": percent(epoch.accuracy),
            "val. loss": _number(epoch.validation_loss),
            "val. acc.": _share(epoch.validation_accuracy),
            "test loss": _number(epoch.test_loss),
            "test acc.": _share(epoch.test_accuracy),
            "images/s": f"{epoch.images_per_second:,.0f}",
        }
        if not self.columns:
            self.columns = [name for name, cell in cells.items() if cell is not None]
            self._print(Text("  ".join(f"{name:>9}" for name in self.columns), "dim"))
        self._print("  ".join(f"{cells[name] or '':>9}" for name in self.columns))

    def _choice(self, choice: Choice) -> None:
        """What was settled, why, and how to settle it otherwise."""
        flags = f"  ({', '.join(choice.flags)})" if choice.flags else ""
        said = f"{choice.said}; {choice.why}" if choice.why else choice.said
        self._print(Text.assemble((f"{choice.what:<10}", "bold"), shown(said), (flags, "dim")))

    def _print(self, line: str | Text) -> None:
        self.console.print(line, markup=False, soft_wrap=True)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:#.4g}"


def _share(value: float | None) -> str | None:
    return None if value is None else percent(value)


class Bar(Lines):
    """Lines, and a bar with what is going on."""

    def __init__(self, console: Console, bar: Progress) -> None:
        super().__init__(console)
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}
        self.facts = ""

    def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
        """Move the bar of what is being read."""
        said = decimal if unit == "bytes" else "{:,}".format
        of = f" of {said(total)}" if total else ""
        facts = f"{said(done)}{of} {unit}" if unit != "bytes" else f"{said(done)}{of}"
        self._leave(what)
        if TRAINING in self.tasks:  # its last word is of steps, not of what is done between them
            self.bar.update(self.tasks[TRAINING], facts=self.facts)
        self._move(what, done, total, facts if done or total else "")
        return None

    def start(self, plan: Plan) -> None:
        """Take the reading away, say what is about to be done, and put up the bar."""
        self._leave()
        super().start(plan)
        done = plan.first_step / plan.steps if plan.steps else 0.0
        self._move(TRAINING, round(done * PARTS), PARTS, "")

    def tick(self, tick: Tick) -> None:
        """Move the bar."""
        self._leave()
        self.facts = _facts(tick, self.epochs)
        self._move(TRAINING, round(tick.done * PARTS), PARTS, self.facts + _left(tick))

    def epoch(self, epoch: Epoch) -> None:
        """Say how a pass ended."""
        self._leave()
        super().epoch(epoch)

    def finish(self, evaluation: Evaluation) -> None:
        """Take the bar away."""
        self.bar.stop()

    def _leave(self, *others: str) -> None:
        """Take away the bars of what has ended: all but the training's and the ones named."""
        for what in self.tasks.keys() - {TRAINING, *others}:
            self.bar.remove_task(self.tasks.pop(what))

    def _move(self, what: str, done: int, total: int | None, facts: str) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, facts=facts)
        self.bar.update(self.tasks[what], completed=done, total=total, facts=facts)


def _left(tick: Tick) -> str:
    """How long the steps will take that are left; nothing for none."""
    minutes, seconds = divmod(round(tick.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"  {left} left" if tick.seconds_left >= 0.5 else ""


def _facts(tick: Tick, epochs: int | None) -> str:
    epoch = f"{tick.epoch}/{epochs}" if epochs else f"{tick.epoch}"
    return (
        f"epoch {epoch}  loss {tick.loss:#.4g}  accuracy {percent(tick.accuracy)}  "
        f"{tick.images_per_second:,.0f} images/s"
    )
