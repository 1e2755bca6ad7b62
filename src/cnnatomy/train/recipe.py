"""How a network is trained: the settings of the optimisation, standard library only."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cnnatomy import checks
from cnnatomy.data.data_catalog import one_of
from cnnatomy.errors import ArgumentError

_UNITS = (3600, 60, 1)
MOST_EPOCHS = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """How long, by which rule, on which changes of the pictures. None: settled from the data.

    Example:
        >>> Recipe(epochs=10, optimizer="sgd", lr=0.1).check()
        >>> Recipe(optimizer="adan").check()
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: unknown optimizer: expected sgd, ... got 'adan'; try 'adam'
    """

    epochs: int | None = None
    """Passes over the training pictures. None: as many as suit a set of this size."""
    time: str | None = None
    """Train for so long instead, as 90s, 10m or 1h30m; the schedule follows the clock. None: by epochs."""
    batch_size: int | None = None
    """Pictures in each step, over all processes together. None: 64, or 32 for a small set."""
    accumulate: int = 1
    """Parts in which a step's pictures are computed, where they do not fit into memory at once; each part
    has two pictures at least."""
    optimizer: str | None = None
    """sgd, momentum, nesterov, gd (plain gradient descent), adam, adamw, rmsprop or muon. None: adamw."""
    lr: float | None = None
    """Peak learning rate. None: what suits the optimizer and the network; --find-lr measures it."""
    momentum: float | None = None
    """Share of the last step that the next one keeps. None: 0.9 where the optimizer has it, 0.95 for muon."""
    weight_decay: float | None = None
    """Decay of weights, not of biases and norms. None: what suits the optimizer."""
    schedule: str = "one-cycle"
    """How the rate goes: one-cycle, cosine, linear, step (a tenth at 1/2 and at 3/4) or constant."""
    warmup: float | None = None
    """Share of the training in which the rate rises. None: the schedule's own."""
    restarts: tuple[float, ...] = ()
    """Epochs (or seconds, with a time) after which the schedule begins anew."""
    augment: str | None = None
    """Random changes to pictures: none, distortions, flip-shift, photo, or a sum of changes such as
    flip+shift(0.1)+rotate(10). None: what suits the pictures."""
    mixup: float = 0.0
    """Blend pairs of pictures and their classes: the parameter of the blend's distribution, often 0.2."""
    cutmix: float = 0.0
    """Paste a piece of one picture into another, classes in proportion: the parameter, often 1."""
    smoothing: float | None = None
    """Label smoothing: the share of the target that all classes divide. None: 0.1, or 0 for LeNet-5."""
    class_weights: bool = False
    """Weigh each class by the inverse of its pictures."""
    balanced: bool = False
    """Draw every class equally often."""
    ema: float = 0.0
    """Judge a running average of the weights with this decay, as 0.999; 0: the weights themselves."""
    clip: float = 5.0
    """Longest gradient (L2 norm over all parameters) that a step uses; longer ones are shortened to it."""
    patience: int | None = None
    """Stop when the validation pictures have not been told better for so many epochs. None: never."""
    lr_decay: float = 1.0
    """What each stage's learning rate is of that of the stage after it; 1 for the same everywhere."""
    tta: str | None = None
    """Test-time averaging, reported beside the accuracy: flip or flip-shift. None: without."""
    seed: int = 0
    """Decides the first weights, the order of the pictures and their changes; the test set stays."""

    def check(self) -> None:
        """Raise an ArgumentError if a value can mean nothing."""
        from cnnatomy.data.augment.augmentation_text import check as check_augmentation
        from cnnatomy.train.optimizer_names import OPTIMIZERS, knobs_of
        from cnnatomy.train.schedules import SCHEDULES

        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) is not None:
                checks.count(name, getattr(self, name), most=MOST_EPOCHS if name == "epochs" else checks.MOST)
        checks.count("accumulate", self.accumulate)
        checks.count("seed", self.seed, least=0)
        _check_numbers(self)
        for name in ("class_weights", "balanced"):
            checks.of_kind(name, getattr(self, name), bool, "True or False")
        if self.optimizer is not None:
            one_of("optimizer", self.optimizer, OPTIMIZERS)
        knobs_of(self.optimizer or "adamw", {"momentum": self.momentum})
        one_of("schedule", self.schedule, SCHEDULES)
        if self.tta is not None:
            one_of("test-time averaging", self.tta, ("flip", "flip-shift"))
        if self.augment is not None:
            check_augmentation(self.augment)
        if self.time is not None:
            seconds(self.time)
        if self.time is not None and self.epochs is not None:
            what = "epochs and time are two ways to say how long"
            raise ArgumentError(what, expected="one of them", got=f"epochs {self.epochs}, time {self.time}")


def _check_numbers(recipe: Recipe) -> None:
    """Hold the real numbers to their ranges; one that may be None is left alone where it is."""
    ranges = {
        "lr": ("a number > 0", lambda n: 0 < n < math.inf),
        "clip": ("a number > 0", lambda n: 0 < n < math.inf),
        "momentum": ("a number from 0 to below 1", lambda n: 0 <= n < 1),
        "weight_decay": ("a number >= 0", lambda n: 0 <= n < math.inf),
        "warmup": ("a number from 0 to below 1", lambda n: 0 <= n < 1),
        "mixup": ("a number >= 0", lambda n: 0 <= n < math.inf),
        "cutmix": ("a number >= 0", lambda n: 0 <= n < math.inf),
        "smoothing": ("a number from 0 to below 1", lambda n: 0 <= n < 1),
        "ema": ("a number from 0 to below 1", lambda n: 0 <= n < 1),
        "lr_decay": ("a number above 0 and at most 1", lambda n: 0 < n <= 1),
    }
    for name, (expected, holds) in ranges.items():
        value = getattr(recipe, name)
        if value is not None or getattr(Recipe, name) is not None:
            checks.real(name, value, expected, holds)
    expected = "rising numbers > 0"
    last = 0.0
    for mark in checks.of_kind("restarts", recipe.restarts, (tuple, list), expected):
        checks.real("restarts", mark, expected, lambda n: last < n < math.inf)  # noqa: B023 (called at once)
        last = mark


def seconds(text: str) -> float:
    """Read a length of time.

    Raises:
        ArgumentError: it is none.

    Example:
        >>> seconds("1h30m"), seconds("90s"), seconds("2.5m"), seconds("45")
        (5400.0, 90.0, 150.0, 45.0)
    """
    said = checks.of_kind("time", text, str, "such as 90s, 10m or 1h30m").strip().lower()
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?", said)
    numbers = parts.groups() if parts else ()
    total = sum(float(number or 0) * unit for number, unit in zip(numbers, _UNITS, strict=False))
    if not 0 < total < 1e8:
        raise ArgumentError("time", expected="such as 90s, 10m or 1h30m", got=repr(text))
    return total
