"""Everything that decides what a training run computes; standard library only, so that help is quick."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from cnnatomy.checks import of_kind, shown
from cnnatomy.errors import ArgumentError
from cnnatomy.models.catalog import find

SMALL = 10_000
"""Fewer training pictures than this are a small set: small batches, distortions, `SMALL_STEPS` at least."""
SMALL_STEPS = 1_500
PASSES = 20
LENET_LR, LR = 5e-3, 2e-3
OPEN_SIZE = (32, 32)
"""Height and width for a network that leaves its input open."""
RUNTIME = frozenset({"data", "data_dir", "skip_bad", "threads", "device", "checkpoint_every"})
"""Fields a resumed run may change: where it computes, and where its pictures lie (by fingerprint)."""


@dataclass(frozen=True)
class FitConfig:
    """What to train on what, and how. A field left at None is settled by `resolved` from the data.

    Example:
        >>> FitConfig(data="mnist").resolved(pictures=60_000, classes=list("0123456789")).epochs
        20
    """

    data: str = "digits"
    """A built-in source or a folder of pictures, one subfolder for each class."""
    model: str = "lenet5"
    """A model of the catalog, or a network in notation: "conv3-32 maxpool conv3-64 globalavg FC-10"."""
    size: str | None = None
    """Height and width of the pictures the model reads, as 32 or 32x48, or with channels, as 3x32x48.
    None: the model's own, or 32x32 where it leaves that open, with the channels of the pictures."""
    pool: str | None = None
    """A pooling in place of every one that has windows or a grid, which stay, as soft or gem(p=3).
    Global poolings are left alone: for those write globalsoft in the model's text. None: the model's own."""
    weights: str | None = None
    """Weights to begin with: a file, torchvision:NAME, timm:NAME or hf:OWNER/NAME. None: random ones.
    The last layer begins anew where the weights are for other classes."""
    freeze: str | None = None
    """What keeps its weights: the first so many stages, as 3 (-1: all but the last), or names: features.*"""
    lr_decay: float = 1.0
    """What each stage's learning rate is of that of the stage after it; 1 for the same everywhere."""
    output: str | None = None
    """The model's output layer. None: what suits the classes (for LeNet-5 rbf for digits, else softmax)."""
    fit: str = "letterbox"
    """How pictures are brought to the model's input size: letterbox, crop or stretch."""
    skip_bad: bool = False
    """Leave out pictures that cannot be read, and list them, instead of stopping."""
    test_fraction: float = 0.2
    """Share of the pictures kept for testing, where the data brings no test set of its own."""
    validation: float = 0.0
    """Share of the training pictures held out to choose the best epoch. 0: train on all, keep the last."""
    augment: str | None = None
    """Random changes to pictures: none, distortions or flip-shift. None: distortions for a small set."""
    epochs: int | None = None
    """Passes over the training pictures. None: 20, or as many as make 1,500 steps if that is more."""
    batch_size: int | None = None
    """Pictures in each step, over all processes together. None: 64, or 32 below 10,000 training pictures."""
    lr: float | None = None
    """Peak learning rate of the one-cycle schedule. None: 0.005 for LeNet-5, else 0.002."""
    weight_decay: float = 0.05
    """AdamW's decoupled weight decay."""
    smoothing: float = 0.0
    """Label smoothing: the share of the target that all classes divide. Not for LeNet-5 as published."""
    clip: float = 5.0
    """Longest gradient (L2 norm over all parameters) that a step uses; longer ones are shortened to it."""
    seed: int = 0
    """Decides the first weights, the order of the pictures and their distortions; the test set stays."""
    threads: int = 1
    """CPU threads. For a net like LeNet-5 a second one gains little and, beside other work, costs much."""
    device: str | None = None
    """Where to compute: cpu, cuda, cuda:1, mps. None: a CUDA device if there is one, else the CPU."""
    checkpoint_every: int = 500
    """Steps between checkpoints within an epoch; one is also written at the end of every epoch."""
    data_dir: str | None = None
    """Folder that holds the built-in sources. None: the environment's CNNATOMY_DATA, or the user's cache."""

    def check(self) -> None:
        """Raise an ArgumentError if a value can mean nothing, before anything is read or written."""
        self._check_kinds()
        find(self.model).output_for(10, self.output)
        self.shape()
        if self.pool is not None:
            from cnnatomy.notation.parse import parse_pooling

            parse_pooling(self.pool)
        for name in ("epochs", "batch_size", "threads", "checkpoint_every"):
            self._demand(name, lambda value: isinstance(value, int) and value >= 1, "a whole number >= 1")
        for name in ("lr", "clip"):
            self._demand(name, lambda value: 0 < value < math.inf, "a number > 0")
        self._demand("smoothing", lambda value: 0 <= value < 1, "a number from 0 to below 1")
        self._demand("lr_decay", lambda value: 0 < value <= 1, "a number above 0 and at most 1")
        self._demand("weight_decay", lambda value: 0 <= value < math.inf, "a number >= 0")
        self._demand("test_fraction", lambda value: 0 < value < 1, "a number between 0 and 1")
        self._demand("validation", lambda value: 0 <= value < 1, "a number from 0 to below 1")
        self._demand("seed", lambda value: isinstance(value, int) and value >= 0, "a whole number >= 0")

    def shape(self) -> tuple[int | None, int, int]:
        """Channels, height and width that the model reads; None for channels that the pictures decide.

        Raises:
            ArgumentError: the size cannot be read.

        Example:
            >>> FitConfig().shape(), FitConfig(model="conv3-8 globalavg FC-2", size="48").shape()
            ((1, 32, 32), (None, 48, 48))
        """
        own = find(self.model).input_shape
        if self.size is None:
            return own or (None, *OPEN_SIZE)
        if not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){0,2}", self.size):
            raise ArgumentError("size", expected="such as 32, 32x48 or 3x32x48", got=repr(self.size))
        numbers = [int(number) for number in self.size.split("x")]
        *channels, height, width = numbers if len(numbers) > 1 else numbers * 2
        return (channels[0] if channels else own[0] if own else None), height, width

    def _check_kinds(self) -> None:
        """Hold texts and switches to their kinds; a number that none can be is found by what it must be."""
        for name, hint in get_type_hints(FitConfig).items():
            kinds, value = get_args(hint) or (hint,), getattr(self, name)
            if str in kinds and not isinstance(value, kinds):
                raise ArgumentError(name, expected="a string", got=shown(value))
            if bool in kinds and not isinstance(value, bool):
                raise ArgumentError(name, expected="True or False", got=shown(value))

    def _demand(self, name: str, holds: Any, expected: str) -> None:
        value = getattr(self, name)
        if value is None and getattr(FitConfig, name) is None:
            return
        if isinstance(value, bool) or not (isinstance(value, int | float) and holds(value)):
            raise ArgumentError(name, expected=expected, got=repr(value))

    def resolved(self, pictures: int, classes: Sequence[str]) -> FitConfig:
        """Settle every field left at None for so many training pictures of these classes.

        Raises:
            ArgumentError: there is no training picture.

        Example:
            >>> settled = FitConfig().resolved(1437, list("0123456789"))
            >>> settled.output, settled.batch_size, settled.epochs
            ('rbf', 32, 34)
        """
        if pictures < 1:
            raise ArgumentError(
                "no picture is left to train on", hint="a smaller validation or test_fraction"
            )
        output = find(self.model).output_for(classes, self.output)
        small = pictures < SMALL
        batch = min(self.batch_size or (32 if small else 64), pictures)
        augment = self.augment or ("distortions" if small else "none")
        lr = self.lr or (LENET_LR if self.model == "lenet5" else LR)
        epochs = self.epochs or max(PASSES, math.ceil(SMALL_STEPS / math.ceil(pictures / batch)))
        return replace(self, output=output, augment=augment, batch_size=batch, epochs=epochs, lr=lr)

    def differences(self, other: FitConfig) -> list[str]:
        """Say in which fields that decide the result another configuration differs, as "lr 0.1, now 0.2"."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name} {mine[name]!r}, now {theirs[name]!r}"
            for name in mine
            if name not in RUNTIME and mine[name] != theirs[name]
        ]

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FitConfig:
        """Read back what `to_json` gave.

        Raises:
            ArgumentError: a field is missing or unknown, or its value can mean nothing.
        """
        of_kind("a configuration", values, Mapping, "a mapping from fields to values")
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            odd = ", ".join(sorted(names ^ set(values)))
            raise ArgumentError(
                "the fields of a configuration", expected="this version's", got=f"differing {odd}"
            )
        read = cls(**values)
        read.check()
        return read


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "short": MappingProxyType({"epochs": 3}),
        "paper": MappingProxyType({"data": "mnist", "epochs": 20, "output": "rbf", "augment": "none"}),
        "distortions": MappingProxyType({"data": "mnist", "epochs": 20, "augment": "distortions"}),
    }
)
"""Named settings: a few quick passes; LeNet-5's experiment as published; the one with distorted pictures."""


def preset(name: str) -> FitConfig:
    """Build the configuration that a preset stands for.

    Raises:
        ArgumentError: there is no such preset.

    Example:
        >>> preset("short").epochs
        3
    """
    if of_kind("a preset", name, str, "its name") not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.4)
        known = ", ".join(PRESETS)
        raise ArgumentError(
            f"unknown preset {name!r}", expected=f"one of {known}", hint=near[0] if near else None
        )
    return FitConfig(**PRESETS[name])
