"""What the package's training costs beside the same loop written by hand in plain torch (`benchmarks.hand`).

    python -m benchmarks.training_overhead             # the steps and the whole command; saves the rows
    python -m benchmarks.training_overhead --no-command

Steps: `Trainer.advance` beside the hand-written step, on LeNet-5 and on a small residual network, and what it
takes to make the batch alone: its order, its pictures and their changes. The command: `cnnatomy train mnist`
for an epoch of LeNet-5 with distortions beside the hand-written program, in CPU seconds of the whole process.
All run in turn, steps one by one and programs five times; what counts is the ratio of medians.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.hand import DECAY, Change, Loop, distort, flip_shift
from benchmarks.harness import ROUNDS, Candidate, Row, compare, keep_memory, row, save, show
from cnnatomy.data import Pictures
from cnnatomy.models import build
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_sources import PictureFeed
from cnnatomy.train.distributed import World
from cnnatomy.train.recipe import Recipe
from cnnatomy.train.settings import RunSettings
from cnnatomy.train.trainer import Trainer, Watched

OURS, HAND, DATA = "cnnatomy", "by hand", "its batch alone"
RESULTS = Path(__file__).parent / "results" / "training_overhead.csv"
PROGRAMS = 5
BATCH, EPOCHS, LR = 64, 20, 2e-3
EARLY = (
    "conv3-32 bn maxpool res(conv3-32 bn conv3-32 bn) conv3-64 bn maxpool res(conv3-64 bn conv3-64 bn) "
    "conv3-128 bn maxpool res(conv3-128 bn conv3-128 bn) globalavg FC"
)
NETWORKS: dict[str, tuple[str, str, int, str, Change]] = {
    "LeNet-5": ("lenet5", "rbf", 1, "distortions", distort),
    "residual": (EARLY, "softmax", 3, "photo", flip_shift),
}
"""The network and its output layer, its channels, and the changes to the pictures: ours and those by hand."""
TRAIN = ("mnist", "--model", "lenet5", "--epochs", "1", "--batch-size", "64", "--augment", "distortions")


def steps(name: str, pictures: int = 60_000) -> list[Candidate]:
    """The hand-written step, ours, and the making of our batches, on made-up pictures."""
    model, output, channels, changes, change = NETWORKS[name]
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(256, (pictures, channels, 32, 32), dtype=torch.uint8, generator=chance)
    labels = torch.randint(10, (pictures,), generator=chance)

    def made() -> Classifier:
        torch.manual_seed(0)
        return build(model, classes=list("0123456789"), output=output, input_size=(channels, 32, 32))

    loop = Loop(made(), images, labels, change, BATCH, LR, EPOCHS)
    trainer = trained(made(), images, labels, changes)
    feed, numbers = trainer.feed, count()
    ways: dict[str, Callable[[], object]] = {
        HAND: loop.step,
        OURS: trainer.advance,
        DATA: lambda: feed.batch(0, next(numbers) % feed.batches),
    }
    return [Candidate(key, way, check=False) for key, way in ways.items()]


def trained(model: Classifier, images: Tensor, labels: Tensor, changes: str, batch: int = BATCH) -> Trainer:
    """Our trainer, before its first step, on pictures in memory."""
    world = World(0, 1, torch.device("cpu"))
    pictures = Pictures(images, labels, model.classes, [""] * len(images))
    feed = PictureFeed(pictures, torch.arange(len(images)), batch, changes, False, 0, world)
    recipe = Recipe(epochs=EPOCHS, batch_size=batch, optimizer="adamw", lr=LR, weight_decay=DECAY)
    return Trainer(recipe, RunSettings(), model.train(), feed, Watched(None, None), world)


def command(folder: Path, rounds: int = PROGRAMS) -> list[Row]:
    """Both whole programs in turn, in CPU seconds."""
    programs = {
        HAND: ["benchmarks.hand", str(folder / "mnist"), "--out", "weights.pt"],
        OURS: ["cnnatomy", "train", *TRAIN, "--data-dir", str(folder)],
    }
    spent: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds):
        for name in programs if turn % 2 else reversed(programs):
            spent[name].append(_program(programs[name]))
    return [
        row("an epoch of MNIST, the whole program", name, times, "cpu", "") for name, times in spent.items()
    ]


def _program(words: Sequence[str]) -> float:
    """Nanoseconds of user and system time of a Python module and all that it starts."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(
            [sys.executable, "-m", *words], cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e9 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Print ratios, and save the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--no-command", dest="command", action="store_false", help="steps only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of steps")
    home = Path(os.environ.get("CNNATOMY_DATA", "."))
    parser.add_argument("--data-dir", type=Path, default=home, help="the folder that holds mnist/")
    parser.add_argument("--out", type=Path, default=RESULTS)
    told = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    rows: list[Row] = []
    for name in NETWORKS:
        found = compare(f"a step of {name}, batch {BATCH}", steps(name), told.rounds, "cpu")
        show(found, OURS)
        rows += found
    if told.command:
        found = command(told.data_dir.absolute())
        show(found, OURS)
        rows += found
    save(rows, told.out)
    print(f"\nsaved to {told.out}")


if __name__ == "__main__":
    main()
