"""Networks found by their place: in a file, in a Python module, or in a library."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from cnnatomy.errors import ArgumentError
from cnnatomy.models.libraries import timm_network, torchvision_network
from cnnatomy.models.named import OBJECT, Named, given_as_object
from cnnatomy.models.named_object import Found, on_path, theirs, unknown

FORMS = "a model of the catalog, package.module:name, path/to/file.py:name, timm:name or torchvision:name"


def locate(named: Named) -> Found:
    """Find what a text names, without building it; code of a file or a package is run, as it is imported.

    Raises:
        ArgumentError: there is no such thing, or a package is missing.
    """
    if named.where == "timm":
        return timm_network(named)
    if named.where == "torchvision":
        return torchvision_network(named)
    if named.where == OBJECT:
        raise given_as_object(f"{OBJECT}:{named.name}")
    return _imported(named)


def _imported(named: Named) -> Found:
    """A module, or the callable that builds it, of a Python module or file."""
    path = Path(named.where)
    is_file = path.suffix == ".py"
    home = _run(path) if is_file else _import(named.where)
    found = home
    for part in named.name.split("."):
        found = getattr(found, part, None)
    if found is None:
        known = [name for name, value in vars(home).items() if callable(value) and not name.startswith("_")]
        raise unknown(named.where, named.name, known)
    if not callable(found):
        raise ArgumentError(f"{named.name!r} of {named.where} is not a model", got=type(found).__name__)
    folder = path.parent if is_file else Path.cwd()
    return Found(found, named.where, named.name, named.args, named.kwargs, folder, named.called)


def _import(name: str) -> Any:
    with on_path(Path.cwd()), theirs(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise ArgumentError(
                f"there is no Python module {error.name!r}", expected=FORMS, got=repr(name)
            ) from error


def _run(path: Path) -> Any:
    if not path.is_file():
        raise ArgumentError(f"there is no file {str(path)!r}", expected="path/to/file.py:name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    home, before = importlib.util.module_from_spec(spec), sys.modules.get(path.stem)
    sys.modules[path.stem] = home  # dataclasses and the like look themselves up
    try:
        with on_path(path.parent), theirs(str(path)):
            spec.loader.exec_module(home)
    except BaseException:
        sys.modules.pop(path.stem, None)  # it is half made
        raise
    finally:
        if before is not None:
            sys.modules[path.stem] = before
    return home
