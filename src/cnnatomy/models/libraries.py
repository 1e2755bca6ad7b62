"""Networks of timm and torchvision, where these are installed; neither is ever required."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

from cnnatomy.errors import ArgumentError
from cnnatomy.models.named import Named
from cnnatomy.models.named_object import Found, unknown

PUBLISHED = (3, 224, 224)
"""What networks of these libraries read where nothing else is said."""


def timm_network(named: Named) -> Found:
    """A network of timm by its name there, without weights.

    Raises:
        ArgumentError: there is no such network, or no timm.
    """
    timm = package("timm")
    if not timm.is_model(named.name):
        raise unknown("timm", named.name, timm.list_models())
    if "checkpoint_path" in named.kwargs:
        raise ArgumentError("checkpoint_path is no argument here", hint="weights=, or --weights")
    fixed = {**named.kwargs, "pretrained": False}
    return Found(timm.create_model, "timm", named.name, (named.name, *named.args), fixed)


def torchvision_network(named: Named) -> Found:
    """A network of torchvision by its name, `resnet18` or `segmentation.fcn_resnet50`, without weights.

    Raises:
        ArgumentError: there is no such network, or no torchvision.
    """
    models = package("torchvision.models")
    builder = _published(models, named.name)
    if not callable(builder):
        known = (name for name in dir(models) if callable(getattr(models, name)))
        raise unknown("torchvision", named.name, known)
    accepted = inspect.signature(builder).parameters
    weights = [name for name in ("weights", "weights_backbone") if {name} & {*accepted, *named.kwargs}]
    fixed = {**named.kwargs, **dict.fromkeys(weights)}
    return Found(builder, "torchvision", named.name, named.args, fixed)


def _published(models: Any, name: str) -> Any:
    """What torchvision itself defines under a name; what its modules merely import is none of it."""
    found = models
    for part in name.split("."):
        found = None if part.startswith("_") else getattr(found, part, None)
        home = getattr(found, "__name__" if isinstance(found, ModuleType) else "__module__", None)
        if not f"{home}.".startswith("torchvision.models."):
            return None
    return found


def published_input(found: Found) -> tuple[int, ...]:
    """The pictures that a network was published for: channels, height and width."""
    config = _timm_config(found.name) if found.where == "timm" else None
    return tuple(getattr(config, "input_size", None) or PUBLISHED)


def arguments(found: Found, classes: int, shape: Sequence[int]) -> dict[str, Any]:
    """How a network is told of its classes and, as far as it can be, of its pictures."""
    if found.where == "torchvision":
        return {"num_classes": classes}
    fixed = getattr(_timm_config(found.name), "fixed_input_size", False)
    size = {"img_size": tuple(shape[1:])} if fixed else {}
    return {"num_classes": classes, "in_chans": shape[0], **size}


def _timm_config(name: str) -> Any:
    return package("timm").get_pretrained_cfg(name)


def package(name: str) -> Any:
    """Import an optional library.

    Raises:
        ArgumentError: it is not installed, or does not go with this torch.
    """
    top = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != top:
            what = f"{top} cannot be imported: it needs {error.name}"
            raise ArgumentError(what, hint=f"pip install {error.name}") from error
        raise ArgumentError(f"{top} is not installed", hint=f"pip install {top}") from error
    except Exception as error:  # one that does not go with torch ends its import in many ways
        said = str(error).strip().splitlines() or [type(error).__name__]
        both = " and ".join(dict.fromkeys((top, "torchvision")))
        hint = f"{both} made for torch {torch.__version__}"
        raise ArgumentError(f"{top} cannot be imported: {said[0]}", hint=hint) from error
