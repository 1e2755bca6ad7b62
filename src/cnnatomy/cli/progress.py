"""What a training run tells, on a terminal: a line an epoch, and below it a bar that moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from cnnatomy.report.words import percent
from cnnatomy.train.reporter import Epoch, Plan, Reporter, Silent, Tick

if TYPE_CHECKING:
    from cnnatomy.train.evaluation import Evaluation


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
        self.epochs = 0

    def start(self, plan: Plan) -> None:
        """Say what is about to be done, and head the columns."""
        config = plan.config
        self.epochs = config.epochs or 0
        epochs = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        processes = f" in {plan.processes} processes" if plan.processes > 1 else ""
        self._print(Text(f"{config.model} on {config.data}", "bold"))
        self._print(plan.data)
        self._print(
            f"{plan.parameters:,} parameters, output {config.output}; {epochs} of batches of "
            f"{config.batch_size}, augmentation {config.augment}, seed {config.seed}; "
            f"on {plan.device}{processes}"
        )
        if plan.weights:
            self._print(f"weights {plan.weights}")
        begun = f", going on after step {plan.first_step:,}" if plan.first_step else ""
        self._print(f"run {plan.run}{begun}\n")
        heads = ("epoch", "loss", "accuracy", "test loss", "test acc.", "images/s")
        self._print(Text("  ".join(f"{head:>9}" for head in heads), "dim"))

    def epoch(self, epoch: Epoch) -> None:
        """Say how a pass ended."""
        self._print(
            Text.assemble(
                f"{epoch.epoch:>{9 - len(str(self.epochs)) - 1}}/{self.epochs}",
                f"  {epoch.loss:>#9.4g}  {percent(epoch.accuracy):>9}  {epoch.test_loss:>#9.4g}  ",
                (f"{percent(epoch.test_accuracy):>9}", "bold"),
                f"  {epoch.images_per_second:>9,.0f}",
            )
        )

    def _print(self, line: str | Text) -> None:
        self.console.print(line, markup=False, soft_wrap=True)


class Bar(Lines):
    """Lines, and a bar with what is going on."""

    def __init__(self, console: Console, bar: Progress) -> None:
        super().__init__(console)
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}
        self.steps = 0

    def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
        """Move the bar of what is being read."""
        said = decimal if unit == "bytes" else "{:,}".format
        of = f" of {said(total)}" if total else ""
        facts = f"{said(done)}{of} {unit}" if unit != "bytes" else f"{said(done)}{of}"
        self._move(what, done, total, facts)
        return None

    def start(self, plan: Plan) -> None:
        """Take the reading away, say what is about to be done, and put up the bar."""
        for task in self.tasks.values():
            self.bar.remove_task(task)
        self.tasks.clear()
        self.steps = plan.steps
        super().start(plan)
        self._move("training", plan.first_step, plan.steps, "")

    def tick(self, tick: Tick) -> None:
        """Move the bar."""
        self._move("training", tick.step, self.steps, _facts(tick, self.epochs))

    def finish(self, evaluation: Evaluation) -> None:
        """Take the bar away."""
        self.bar.stop()

    def _move(self, what: str, done: int, total: int | None, facts: str) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, facts=facts)
        self.bar.update(self.tasks[what], completed=done, total=total, facts=facts)


def _facts(tick: Tick, epochs: int) -> str:
    minutes, seconds = divmod(round(tick.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return (
        f"epoch {tick.epoch}/{epochs}  loss {tick.loss:#.4g}  accuracy {percent(tick.accuracy)}  "
        f"{tick.images_per_second:,.0f} images/s  {left} left"
    )
