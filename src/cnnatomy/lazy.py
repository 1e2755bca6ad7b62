"""Packages whose public names load on first use, and packages that stand for a function of theirs.

Loading on first use keeps torch out of a command's help, and lets the parts of a package import each other
in no fixed order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def loader(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: a public name's object, from the module of the package that has it.

    Args:
        package: its `__name__`.
        homes: by public name the module that has it.

    Example:
        >>> load = loader("cnnatomy", {"ArgumentError": "errors"})
        >>> load("ArgumentError").__module__
        'cnnatomy.errors'
        >>> load("Argument")
        Traceback (most recent call last):
        AttributeError: module 'cnnatomy' has no attribute 'Argument'
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load


def make_callable(package: str, module: str) -> None:
    """Let a package be called as the function of its own name.

    Args:
        package: its `__name__`.
        module: the module that has the function, which loads at the first call.
    """

    class Called(ModuleType):
        @property
        def __wrapped__(self) -> Any:
            """The function, whose signature is the package's."""
            return getattr(import_module(module), package.rpartition(".")[2])

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.__wrapped__(*args, **kwargs)

    sys.modules[package].__class__ = Called
