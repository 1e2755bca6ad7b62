"""A model by what the caller has of it: the module, what builds it, or its name."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from cnnatomy.anatomy.building import build
from cnnatomy.anatomy.shell import unwrapped
from cnnatomy.errors import ArgumentError

Source = nn.Module | Callable[[], nn.Module] | str
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_FORMS = "a model of the catalog, package.module:name, path/to/file.py:name, timm:name or torchvision:name"


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
    raise ArgumentError("not a model", expected=f"a module, a callable or {_FORMS}", got=repr(source)[:80])


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


class Named(NamedTuple):
    """A text taken apart: `where:name(arguments)`."""

    where: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    called: bool


def parse(text: str) -> Named:
    """Take a text apart; its arguments are Python literals.

    Raises:
        ArgumentError: they are not.

    Example:
        >>> parse("net.py:Tiny(3, depth=(1, 2))")
        Named(where='net.py', name='Tiny', args=(3,), kwargs={'depth': (1, 2)}, called=True)
    """
    head, bracket, inside = text.partition("(")
    where, _, name = head.rpartition(":")
    if not bracket:
        return Named(where, name, (), {}, False)
    try:
        call = ast.parse(f"f({inside}", mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        args = tuple(map(ast.literal_eval, call.args))
        kwargs = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords if each.arg}
        assert len(kwargs) == len(call.keywords)
    except (AssertionError, SyntaxError, ValueError) as error:
        expected = "Python literals, such as (classes=10)"
        raise ArgumentError(f"the arguments of {head!r}", expected=expected, got=bracket + inside) from error
    return Named(where, name, args, kwargs, True)


def _from_text(text: str) -> Any:
    asked = parse(text)
    if asked.where == "timm":
        return _timm(asked)
    if asked.where == "torchvision":
        return _torchvision(asked)
    if asked.where:
        return _imported(asked)
    if Path(text).is_file():
        return _file(Path(text))
    return _catalog(asked)


def _catalog(asked: Named) -> nn.Module:
    from cnnatomy import models

    if asked.name not in models.NAMES:
        near = _nearest(asked.name, models.NAMES)
        raise ArgumentError(
            f"unknown model {asked.name!r}", expected=_FORMS, hint=near or ", ".join(models.NAMES)
        )
    return build(models.build, asked.name, *asked.args, **{"classes": 10, **asked.kwargs})  # type: ignore[no-any-return]


def _timm(asked: Named) -> Any:
    timm = _package("timm")
    if not timm.is_model(asked.name):
        raise _unknown("timm", asked.name, timm.list_models())
    return build(timm.create_model, asked.name, *asked.args, **{**asked.kwargs, "pretrained": False})


def _torchvision(asked: Named) -> Any:
    models = _package("torchvision.models")
    builder = _attribute(models, asked.name)
    if not callable(builder):
        known = (name for name in dir(models) if callable(getattr(models, name)))
        raise _unknown("torchvision", asked.name, known)
    accepted = inspect.signature(builder).parameters
    unloaded = {name: None for name in ("weights", "weights_backbone") if name in accepted}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how weights are drawn is of no matter
        return build(builder, *asked.args, **{**asked.kwargs, **unloaded})


def _package(name: str) -> Any:
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ArgumentError(f"{package} is not installed", hint=f"pip install {package}") from error
    except (ImportError, RuntimeError, OSError) as error:
        hint = f"a {package} made for torch {torch.__version__}"
        raise ArgumentError(f"{package} cannot be imported: {error}", hint=hint) from error


def _imported(asked: Named) -> Any:
    """A module, or what is built by the callable, of a Python module or file."""
    path = Path(asked.where)
    home = _run(path) if path.suffix == ".py" else _import(asked.where)
    found = _attribute(home, asked.name)
    if found is None:
        known = [name for name, value in vars(home).items() if callable(value) and not name.startswith("_")]
        raise _unknown(asked.where, asked.name, known)
    if isinstance(found, nn.Module) and not asked.called:
        return found
    if not callable(found):
        raise ArgumentError(f"{asked.name!r} of {asked.where} is not a model", got=type(found).__name__)
    try:
        inspect.signature(found).bind(*asked.args, **asked.kwargs)
    except TypeError as error:
        hint = f"{asked.where}:{asked.name}(...) with literals"
        raise ArgumentError(f"{asked.name} cannot be called so: {error}", hint=hint) from error
    except ValueError:
        pass  # it has no signature to check
    with (
        _on_path(path.parent if path.suffix == ".py" else Path.cwd()),
        _theirs(f"{asked.name} of {asked.where}"),
    ):
        return build(found, *asked.args, **asked.kwargs)


def _import(name: str) -> Any:
    with _on_path(Path.cwd()), _theirs(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise ArgumentError(
                f"there is no Python module {error.name!r}", expected=_FORMS, got=repr(name)
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
        with _on_path(path.parent), _theirs(str(path)):
            spec.loader.exec_module(home)
    except BaseException:
        sys.modules.pop(path.stem, None)  # it is half made
        raise
    finally:
        if before is not None:
            sys.modules[path.stem] = before
    return home


def _file(path: Path) -> nn.Module:
    """An exported program; other files hold pickles or scripts."""
    if path.suffix == ".pt2":
        if not zipfile.is_zipfile(path):
            raise ArgumentError(f"{path.name} is not a file of torch.export.save")
        with _theirs(path.name):
            return torch.export.load(path).module()
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if any("/code/" in name for name in names):
        what, hint = (
            "a TorchScript file",
            "anatomy(torch.jit.load(path), ...), or the module it was made from",
        )
    else:
        what, hint = "not a model but weights or a pickle, which could run any code", "package.module:name"
    raise ArgumentError(f"{path.name} is {what}", expected=f"{_FORMS}, or a .pt2 file", hint=hint)


def _attribute(home: Any, name: str) -> Any:
    for part in name.split("."):
        home = getattr(home, part, None)
    return home


def _unknown(where: str, name: str, known: Iterable[str]) -> ArgumentError:
    near = _nearest(name, list(known))
    return ArgumentError(f"{where} has no model {name!r}", hint=near)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return ", ".join(get_close_matches(name, list(known), n=3, cutoff=0.5)) or None


@contextmanager
def _theirs(what: str) -> Iterator[None]:
    """Name the caller's own code in what it raises."""
    try:
        yield
    except ArgumentError:
        raise
    except Exception as error:  # whatever it may raise
        raise ArgumentError(f"{what} raised {type(error).__name__}: {error}") from error


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let what is imported there import what lies beside it."""
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
