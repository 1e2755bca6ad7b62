"""A model by what the caller has of it: the module, what builds it, or its name."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from cnnatomy.anatomy import exported
from cnnatomy.anatomy.building import build
from cnnatomy.anatomy.shell import unwrapped
from cnnatomy.errors import ArgumentError
from cnnatomy.models.found import nearest
from cnnatomy.models.named import Named, parse
from cnnatomy.models.source import FORMS, locate

Source = nn.Module | Callable[[], nn.Module] | str
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def load(source: Source) -> nn.Module:
    """The module, built without weights where it has to be built; nothing is downloaded or unpickled.

    Args:
        source: a module, which is left as it is; a callable without arguments that builds one; or text:
            the name of a model of `cnnatomy.models`; `package.module:name` or `path/to/file.py:name`, a
            module or what builds one; `timm:name`; `torchvision:name`, or such as
            `torchvision:segmentation.fcn_resnet50`; each with arguments if need be, `name(classes=10)`,
            literals only; or the path of a `.pt2` file of `torch.export.save`.

    Raises:
        ArgumentError: there is no such model, a package is missing, or it is not a module.

    Example:
        >>> load("torch.nn:Linear(3, out_features=4)")
        Linear(in_features=3, out_features=4, bias=True)
        >>> load(lambda: nn.Conv2d(3, 64, 7)).weight.device.type
        'meta'
    """
    if isinstance(source, nn.Module):
        return unwrapped(source)
    if isinstance(source, str):
        return _module(_from_text(source.strip()), source)
    if callable(source):
        name = getattr(source, "__name__", "the callable")
        if wanted := _wanted(source):
            hint = f"lambda: {name}(...)"
            raise ArgumentError(
                f"{name} builds nothing by itself", expected="no arguments", got=wanted, hint=hint
            )
        return _module(build(source), name)
    raise ArgumentError("not a model", expected=f"a module, a callable or {FORMS}", got=repr(source)[:80])


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


def _from_text(text: str) -> Any:
    asked = parse(text)
    if asked.where:
        return locate(asked).make(build)
    if Path(text).is_file():
        return _file(Path(text))
    return _catalog(asked)


def _catalog(asked: Named) -> nn.Module:
    from cnnatomy import models

    if asked.name not in models.NAMES:
        near = nearest(asked.name, models.NAMES)
        raise ArgumentError(
            f"unknown model {asked.name!r}", expected=FORMS, hint=near or ", ".join(models.NAMES)
        )
    return build(models.build, asked.name, *asked.args, **{"classes": 10, **asked.kwargs})  # type: ignore[no-any-return]


def _file(path: Path) -> nn.Module:
    """An exported program; other files hold pickles or scripts."""
    if path.suffix == ".pt2":
        return exported.read(path)
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if any("/code/" in name for name in names):
        what, hint = (
            "a TorchScript file",
            "anatomy(torch.jit.load(path), ...), or the module it was made from",
        )
    else:
        what, hint = "not a model but weights or a pickle, which could run any code", "package.module:name"
    raise ArgumentError(f"{path.name} is {what}", expected=f"{FORMS}, or a .pt2 file", hint=hint)
