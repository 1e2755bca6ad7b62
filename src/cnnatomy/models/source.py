"""What a text such as `net.py:Net(3)` or `timm:resnet10t` names: found, and built as the caller wants it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from cnnatomy.errors import ArgumentError
from cnnatomy.models.named import LIBRARIES, OBJECT, Named, given_as_object

FORMS = "a model of the catalog, package.module:name, path/to/file.py:name, timm:name or torchvision:name"
Make = Callable[..., Any]
"""What calls a builder with its arguments: plainly, or so that no weights are made."""


def _plainly(builder: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return builder(*args, **kwargs)


@dataclass(frozen=True)
class Found:
    """What a text names: a module, or a callable that builds one, with the arguments of the text.

    Args:
        what: the module or the callable.
        where: the file, the Python module or the library that it is in.
        name: its name there.
        args: positional arguments of the text.
        kwargs: named arguments, those of the text and those that must be given.
        folder: where what it imports as it runs may lie.
        called: whether the text has arguments, `name()` included.
    """

    what: Any
    where: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    called: bool = True

    def takes(self, *names: str) -> str | None:
        """The first of these arguments that the builder has and the text leaves open."""
        try:
            signature = inspect.signature(self.what)
            given = signature.bind_partial(*self.args, **self.kwargs).arguments
        except (TypeError, ValueError):  # it cannot be called so, or has no signature
            return None
        return next((name for name in names if name in signature.parameters and name not in given), None)

    def make(self, by: Make = _plainly, **more: Any) -> Any:
        """What the builder returns, or the module itself; `more` are arguments that the text does not give.

        Raises:
            ArgumentError: it cannot be called so, or raises anything.
        """
        if isinstance(self.what, nn.Module) and not self.called:
            return self.what
        kwargs = {**more, **self.kwargs}
        if self.where not in LIBRARIES:
            self._check_call(kwargs)
        with on_path(self.folder), theirs(f"{self.name} of {self.where}"), warnings.catch_warnings():
            if self.where in LIBRARIES:
                warnings.simplefilter("ignore")  # how weights are drawn is of no matter
            return by(self.what, *self.args, **kwargs)

    def _check_call(self, kwargs: Mapping[str, Any]) -> None:
        try:
            inspect.signature(self.what).bind(*self.args, **kwargs)
        except TypeError as error:
            hint = f"{self.where}:{self.name}(...) with literals"
            raise ArgumentError(f"{self.name} cannot be called so: {error}", hint=hint) from error
        except ValueError:
            pass  # it has no signature to check


def locate(asked: Named) -> Found:
    """Find what a text names, without building it; code of a file or a package is run, as it is imported.

    Raises:
        ArgumentError: there is no such thing, or a package is missing.
    """
    if asked.where == "timm":
        return _timm(asked)
    if asked.where == "torchvision":
        return _torchvision(asked)
    if asked.where == OBJECT:
        raise given_as_object(f"{OBJECT}:{asked.name}")
    return _imported(asked)


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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Names that are like this one."""
    return ", ".join(get_close_matches(name, list(known), n=3, cutoff=0.5)) or None


def _timm(asked: Named) -> Found:
    timm = package("timm")
    if not timm.is_model(asked.name):
        raise _unknown("timm", asked.name, timm.list_models())
    if "checkpoint_path" in asked.kwargs:
        raise ArgumentError("checkpoint_path is no argument here", hint="weights=, or --weights")
    fixed = {**asked.kwargs, "pretrained": False}
    return Found(timm.create_model, "timm", asked.name, (asked.name, *asked.args), fixed)


def _torchvision(asked: Named) -> Found:
    models = package("torchvision.models")
    builder = _published(models, asked.name)
    if not callable(builder):
        known = (name for name in dir(models) if callable(getattr(models, name)))
        raise _unknown("torchvision", asked.name, known)
    accepted = inspect.signature(builder).parameters
    weights = [name for name in ("weights", "weights_backbone") if {name} & {*accepted, *asked.kwargs}]
    fixed = {**asked.kwargs, **dict.fromkeys(weights)}
    return Found(builder, "torchvision", asked.name, asked.args, fixed)


def _published(models: Any, name: str) -> Any:
    """What torchvision itself defines under a name; what its modules merely import is none of it."""
    found = models
    for part in name.split("."):
        found = None if part.startswith("_") else getattr(found, part, None)
        home = getattr(found, "__name__" if isinstance(found, ModuleType) else "__module__", None)
        if not f"{home}.".startswith("torchvision.models."):
            return None
    return found


def _imported(asked: Named) -> Found:
    """A module, or the callable that builds it, of a Python module or file."""
    path = Path(asked.where)
    is_file = path.suffix == ".py"
    home = _run(path) if is_file else _import(asked.where)
    found = home
    for part in asked.name.split("."):
        found = getattr(found, part, None)
    if found is None:
        known = [name for name, value in vars(home).items() if callable(value) and not name.startswith("_")]
        raise _unknown(asked.where, asked.name, known)
    if not callable(found):
        raise ArgumentError(f"{asked.name!r} of {asked.where} is not a model", got=type(found).__name__)
    folder = path.parent if is_file else Path.cwd()
    return Found(found, asked.where, asked.name, asked.args, asked.kwargs, folder, asked.called)


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


def _unknown(where: str, name: str, known: Iterable[str]) -> ArgumentError:
    return ArgumentError(f"{where} has no model {name!r}", hint=nearest(name, known))


@contextmanager
def theirs(what: str) -> Iterator[None]:
    """Name the caller's own code in what it raises."""
    try:
        yield
    except ArgumentError:
        raise
    except Exception as error:  # whatever it may raise
        raise ArgumentError(f"{what} raised {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What an error says, in a line.

    Example:
        >>> reason(RuntimeError("sizes differ\\n in two places"))
        'RuntimeError: sizes differ'
    """
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


@contextmanager
def on_path(folder: Path | None) -> Iterator[None]:
    """Let what is imported there import what lies beside it."""
    if folder is None:
        yield
        return
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
