"""The network that a command is told: MODEL, the shape of its input, and what the catalog takes besides."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cnnatomy.cli.argument_parsing import Common
from cnnatomy.errors import ArgumentError
from cnnatomy.models.model_catalog import ENTRIES, find

if TYPE_CHECKING:
    from torch import nn

    from cnnatomy.anatomy import Anatomy

__all__ = ["DTYPES", "MODELS", "Network", "read_shape"]

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64")
_SOURCE = r"\.py:|\.pt2?$|[/\\]|^\w+(\.\w+)*:\w+(\.\w+)*(\(.*\))?$"
_SIZES = r"[1-9][0-9]{0,8}([x×,][1-9][0-9]{0,8})*"
MODELS = {entry.name: entry.summary for entry in ENTRIES} | {
    '"conv3-32 maxpool FC-10"': "any network in the papers' notation",
    "package.module:name": "a module or what builds one; name(classes=10) passes arguments",
    "file.py:name": "the same in a file",
    "file.pt2": "a file of torch.export.save",
    "runs/NAME": "the network of a run's folder, with its weights",
    "torchvision:name": "a network of torchvision, if that is installed",
    "timm:name": "a network of timm, if that is installed",
}
"""What MODEL can be, for the help."""


@dataclass(frozen=True)
class Network(Common):
    """Which network, on what input."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")] = tyro.MISSING
    """A model of the catalog, notation, package.module:name, file.py:name, torchvision:name, timm:name, or
    the folder of a run."""
    input: Annotated[str | None, tyro.conf.arg(metavar="CxHxW", help_behavior_hint="")] = None
    """Shape of one input, channels x height x width; several joined by +, such as 3x64x64+1x64x64.
    Left out: the one it was made for."""
    dtype: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """The input's numbers: float32, float64, float16, bfloat16 or int64. Left out: those of the weights."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """How many classes a model of the catalog tells apart. Left out: as many as it was published with."""
    output: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """The output layer of a model of the catalog. Left out: the one that suits the classes."""

    assume: Annotated[str | None, tyro.conf.arg(metavar="NAME=COUNT", help_behavior_hint="")] = None
    """What to take for numbers that depend on the picture, joined by commas: nonzero=all, nms=100, unique=10,
    item=1. Left out: the network is measured up to there."""

    def shapes(self) -> list[tuple[int, ...]] | None:
        """The shapes of the inputs; None where none are given.

        Raises:
            ArgumentError: they cannot be read.
        """
        return None if self.input is None else [read_shape(one) for one in self.input.split("+")]

    def check(self) -> None:
        """Find fault before anything is loaded.

        Raises:
            ArgumentError: the input's shapes or numbers, or what is assumed, cannot be read.
        """
        self.shapes()
        if self.assume is not None:
            from cnnatomy.anatomy.record.assumed_values import assumptions

            assumptions(self.assume)
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ArgumentError("--dtype", expected=f"one of {', '.join(DTYPES)}", got=self.dtype)

    def load(self) -> nn.Module:
        """The model; no weights are allocated for one that is not of the catalog.

        Raises:
            ArgumentError: there is none, or it does not take an option.
        """
        if Path(self.model).is_dir():
            self._demand_no_choice(None)
            from cnnatomy.train.run_folder import RunFolder

            return RunFolder(Path(self.model)).load_model()[0]
        if re.search(_SOURCE, self.model):
            self._demand_no_choice("{model}({name}=...)")
            from cnnatomy.anatomy.record.model_source import load

            return load(self.model)
        if self.classes is not None and self.classes < 2:
            raise ArgumentError("--classes", expected="a whole number >= 2", got=str(self.classes))
        entry = find(self.model)
        entry.output_for(self.classes or 10, self.output)
        from cnnatomy import models

        if entry.name == "lenet5":
            return models.build(entry.name, classes=self.classes or 10, output=self.output)
        shapes = self.shapes()
        shape = shapes[0] if shapes else entry.input_shape
        return models.network(self.model, classes=self.classes, input_size=shape, device="meta")

    def _demand_no_choice(self, hint: str | None) -> None:
        """Refuse what models of the catalog alone take."""
        for name in ("classes", "output"):
            if getattr(self, name) is not None:
                hinted = None if hint is None else hint.format(model=self.model, name=name)
                raise ArgumentError(f"--{name} is for models of the catalog", hint=hinted)

    def given(self, model: nn.Module) -> tuple[int, ...] | list[tuple[int, ...]]:
        """The shapes of the inputs, else the one that the network was made for.

        Raises:
            ArgumentError: there is none.
        """
        own: tuple[int, ...] | None = getattr(model, "input_shape", None)
        shapes = self.shapes() or ([own] if own else [])
        if not shapes:
            raise ArgumentError("--input is missing", expected="the shape of one input, such as 3x224x224")
        return shapes[0] if len(shapes) == 1 else shapes

    def measure(self, model: nn.Module, *, training: bool = True) -> Anatomy:
        """Its anatomy.

        Raises:
            ArgumentError: it cannot take the input, or no input is given and it was made for none.
        """
        import torch

        from cnnatomy.anatomy import anatomy

        dtype = getattr(torch, self.dtype) if self.dtype else None
        given = self.given(model)
        known = anatomy(model, given, dtype=dtype, training=training, assume=self.assume)
        return replace(known, model=self.model) if known.model == "Network" else known


def read_shape(text: str, what: str = "--input") -> tuple[int, ...]:
    """A shape as people write it; `what` it is of.

    Example:
        >>> read_shape("1x32x32")
        (1, 32, 32)
    """
    if not re.fullmatch(_SIZES, text):
        raise ArgumentError(what, expected="sizes such as 1x32x32", got=repr(text))
    return tuple(int(size) for size in re.split("[x×,]", text))
