"""Networks of other origin brought in: modules that are given, and those that a text names by their place."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cnnatomy import checks
from cnnatomy.adapt.swap import NothingSwapped, convert
from cnnatomy.adapt.window_modules import ADAPTIVE, SLIDING, replacement
from cnnatomy.errors import ArgumentError
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.foreign_classifier import Adopted, Loss
from cnnatomy.models.libraries import arguments, published_input
from cnnatomy.models.named import LIBRARIES, parse
from cnnatomy.models.named_object import Found
from cnnatomy.models.network_location import locate
from cnnatomy.models.notated import Network
from cnnatomy.models.scoring import WrongOutputs
from cnnatomy.models.weights.head import fresh_head
from cnnatomy.nn.pooling_modules import PoolingModule
from cnnatomy.notation.parse import parse_pooling
from cnnatomy.notation.reducer_names import EACH_CHANNEL, instance
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Whole

CLASSES = ("num_classes", "n_classes", "classes")
CHANNELS = ("in_channels", "in_chans")
"""What an own network may call the number of its classes and of its pictures' channels."""


def adopted(
    module: nn.Module, names: Sequence[str], shape: Sequence[int], loss: Loss | None = None
) -> Classifier:
    """A module as a classifier for these classes; one that is a classifier already is given back.

    Raises:
        ArgumentError: it does not score such pictures, or not so many classes.
    """
    if not isinstance(checks.module(module), Classifier):
        return Adopted(module, names, shape, loss)
    assert isinstance(module, Classifier)
    if isinstance(module, Network) and not module.built:
        module.materialize(shape[0], shape[1:])
    if loss is not None:
        raise ArgumentError("loss is for modules", expected="none", got=f"a {type(module).__name__}")
    if tuple(module.input_shape) != tuple(shape):
        got, expected = ("x".join(map(str, sizes)) for sizes in (shape, module.input_shape))
        raise ArgumentError("the network reads other pictures", expected=expected, got=got)
    if module.goal == "classify" and len(module.classes) != len(names):
        expected, got = f"{len(names)} classes", f"{len(module.classes)}"
        raise ArgumentError("the network tells other classes apart", expected=expected, got=got)
    if module.goal == "classify":
        module.classes = tuple(names)
    return module


def from_text(
    text: str, names: Sequence[str], shape: Sequence[int] | None, pool: Reducer | str | None = None
) -> Classifier:
    """Build the network that a text names by its place, with fresh weights, and adopt it.

    It is told the number of classes and of channels where it takes them; a network that ends in another
    number of outputs gets a fresh head, and a note says so.

    Raises:
        ArgumentError: there is no such network, it cannot be built so, or it does not read such pictures.
    """
    with torch.random.fork_rng(devices=[]):  # whether a file is imported now or was before, draws nothing
        found = locate(parse(text))
    shape = shape or _own_shape(found)
    built = found.make(**_arguments(found, len(names), shape))
    if not isinstance(built, nn.Module):
        raise ArgumentError(f"{text} gives no model", expected="a torch.nn.Module", got=type(built).__name__)
    if built is found.what:  # it is the file's or the package's, and stays as it is there
        built = copy.deepcopy(built)
    if pool is not None:
        built = _pooled(built, _reducer(pool), text)
    try:
        return adopted(built, names, shape)
    except WrongOutputs as error:
        try:
            path = fresh_head(built, len(names))
        except ArgumentError as no_head:
            raise ArgumentError(f"{error}; its last layer cannot be replaced: {no_head}") from no_head
    model = adopted(built, names, shape)
    if isinstance(model, Adopted):
        model.notes = (f"the last layer of {text}, {path}, was for other classes and begins anew",)
    return model


def _own_shape(found: Found) -> tuple[int, ...]:
    """The pictures that a network was published for."""
    if found.where in LIBRARIES:
        return published_input(found)
    what = f"what {found.name} of {found.where} reads is not known"
    raise ArgumentError(what, expected="input_size=(channels, height, width)")


def _arguments(found: Found, classes: int, shape: Sequence[int]) -> dict[str, Any]:
    """What a network is told of its classes and its pictures, as far as it takes it."""
    if found.where in LIBRARIES:
        return arguments(found, classes, shape)
    counts = {found.takes(*CLASSES): classes, found.takes(*CHANNELS): shape[0]}
    return {name: value for name, value in counts.items() if name is not None}


def _reducer(pool: Reducer | str) -> Reducer:
    """The pooling itself. What it learns is one for all channels: how many these are shows when it runs."""
    pooling = parse_pooling(pool)
    if EACH_CHANNEL in dict(pooling.args).values():
        got = f"learned={EACH_CHANNEL}"
        raise ArgumentError("a pooling in place of a module's", expected="learned=1", got=got)
    return instance(pooling, channels=1)


def _pooled(module: nn.Module, pool: Reducer, text: str) -> nn.Module:
    """The network with another pooling in place of every one that has windows or a grid.

    Raises:
        ArgumentError: there is none, or one cannot be swapped.
    """

    met: list[nn.Module] = []

    def other(old: nn.Module) -> nn.Module:
        if type(old).__module__.partition(".")[0] not in ("torch", "cnnatomy"):
            what = f"{text} pools by {type(old).__name__}, which has rules of its own"
            raise ArgumentError(what, hint="leaving out pool")
        if _is_global(old):
            return old
        met.append(old)
        return replacement(old, pool)

    kinds = (*SLIDING, *(kind for kind in ADAPTIVE if _has_grid(module, kind)), PoolingModule)
    nothing = ArgumentError(f"pool finds no pooling with windows or a grid in {text}", hint="leaving it out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is left is an error here
            done = convert(module, dict.fromkeys(kinds, other), inplace=True)
    except NothingSwapped as error:
        raise nothing from error
    if done.left:
        what = f"pool does not reach every pooling of {text}"
        raise ArgumentError(what, got="; ".join(done.left), hint="leaving out pool")
    if not met:
        raise nothing
    return done.model


def _has_grid(module: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(one, kind) and not _is_global(one) for one in module.modules())


def _is_global(pooling: nn.Module) -> bool:
    """Whether a pooling leaves one value of each map."""
    size = getattr(pooling, "output_size", None)
    sizes = size if isinstance(size, tuple | list) else (size,)
    return isinstance(getattr(pooling, "region", None), Whole) or all(side == 1 for side in sizes)
