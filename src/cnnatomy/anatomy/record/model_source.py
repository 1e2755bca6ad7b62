"""A model by what the caller has of it: the module, what builds it, or its name."""

from __future__ import annotations

import copy
import inspect
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from cnnatomy.anatomy.record import exported_program
from cnnatomy.anatomy.record.building import build
from cnnatomy.anatomy.record.shell import unwrapped
from cnnatomy.errors import ArgumentError
from cnnatomy.models.named import parse
from cnnatomy.models.network_location import FORMS, locate

Source = nn.Module | Callable[[], nn.Module] | str
_PLACE = re.compile(r"^[^\s(]+:\w")
"""Text that says where a network is."""
_LONGEST_PATH = 1024
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def load(source: Source, *, input_size: Sequence[int] | None = None) -> nn.Module:
    """The module, built without weights where it has to be built; nothing is downloaded or unpickled.

    Args:
        source: a module, which is left as it is; a callable without arguments that builds one; or text:
            the name of a model of `cnnatomy.models`, or notation; `package.module:name` or
            `path/to/file.py:name`, a module or what builds one; `timm:name`; `torchvision:name`, or such as
            `torchvision:segmentation.fcn_resnet50`; each with arguments if need be, `name(classes=10)`,
            literals only; or the path of a `.pt2` file of `torch.export.save`.
        input_size: the shape of an input, for notation that leaves it open.

    Raises:
        ArgumentError: there is no such model, a package is missing, or it is not a module.

    Example:
        >>> load("torch.nn:Linear(3, out_features=4)")
        Linear(in_features=3, out_features=4, bias=True)
        >>> load(lambda: nn.Conv2d(3, 64, 7)).weight.device.type
        'meta'
    """
    if isinstance(source, nn.Module):
        return _closed(unwrapped(source), input_size)
    if isinstance(source, str):
        return _module(_from_text(source.strip(), input_size), source)
    if callable(source):
        name = getattr(source, "__name__", "the callable")
        if wanted := _wanted(source):
            hint = f"lambda: {name}(...)"
            raise ArgumentError(
                f"{name} builds nothing by itself", expected="no arguments", got=wanted, hint=hint
            )
        return _module(build(source), name)
    raise ArgumentError("not a model", expected=f"a module, a callable or {FORMS}", got=repr(source)[:80])


def _closed(module: nn.Module, input: Sequence[int] | None) -> nn.Module:
    """The module itself; of a network in notation whose input is open, a weightless one for this input."""
    from cnnatomy.models.notated import Network

    if input is None or not isinstance(module, Network) or module.built:
        return module
    channels, *size = input
    return copy.deepcopy(module).materialize(channels, size, "meta")


def _wanted(builder: Callable[..., Any]) -> str:
    """The arguments that a builder cannot do without, in words."""
    try:
        given = inspect.signature(builder).parameters.values()
    except ValueError:  # some of C's tell none
        return ""
    names = [one.name for one in given if one.default is one.empty and one.kind not in _ANY]
    return f"one that wants {', '.join(names)}" if names else ""


def _module(built: Any, what: str) -> nn.Module:
    if not isinstance(built, nn.Module):
        raise ArgumentError(f"{what} gives no model", expected="a torch.nn.Module", got=type(built).__name__)
    return unwrapped(built)


def _from_text(text: str, input: Sequence[int] | None) -> Any:
    if _PLACE.search(text):
        return locate(parse(text)).make(build)
    if len(text) < _LONGEST_PATH and Path(text).is_file():
        return _file(Path(text))
    from cnnatomy import models

    name = text.partition("(")[0]
    if name in models.NAMES and (name != text or name == "lenet5"):
        parsed = parse(text)
        return build(models.build, name, *parsed.args, **{"classes": 10, **parsed.kwargs})
    if input is not None and name in models.NAMES:
        _demand_no_batch(tuple(input), models.find(name).input_shape)
    return models.network(text, input_size=None if input is None else tuple(input), device="meta")


def _demand_no_batch(given: tuple[int, ...], own: tuple[int, ...] | None) -> None:
    """A classic for pictures can be made for volumes, but hardly for those of one channel of three layers."""
    if own is not None and len(given) == len(own) + 1 and given[0] == 1 and given[1] == own[0]:
        hint = f"input_size={given[1:]}, without the batch"
        raise ArgumentError("input_size", expected="the sizes of one input", got=str(given), hint=hint)


def _file(path: Path) -> nn.Module:
    """An exported program; other files hold pickles or scripts."""
    if path.suffix == ".pt2":
        return exported_program.read(path)
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if any("/code/" in name for name in names):
        what, hint = (
            "a TorchScript file",
            "anatomy(torch.jit.load(path), ...), or the module it was made from",
        )
    else:
        what, hint = "not a model but weights or a pickle, which could run any code", "package.module:name"
    raise ArgumentError(f"{path.name} is {what}", expected=f"{FORMS}, or a .pt2 file", hint=hint)
