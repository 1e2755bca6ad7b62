"""Run what builds a model without ever holding its weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

_PATCHING = threading.RLock()
_LARGE = 2**26  # elements: some systems refuse to promise such memory even where it is never written


def build(builder: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the builder returns, every parameter a meta tensor from the moment a module takes it.

    Memory that was asked for and never written costs nothing, so a weight costs nothing until it is filled,
    and it becomes a meta tensor before that. Buffers are real: constructors compute with them. A builder that
    computes with weights themselves is run as it is. torch's random numbers are left where they were.

    Example:
        >>> net = build(nn.Linear, 100_000, 100_000)
        >>> net.weight.device.type, tuple(net.weight.shape)
        ('meta', (100000, 100000))
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with _parameters_on_meta(), _Unfilled():  # type: ignore[no-untyped-call]
                return builder(*args, **kwargs)
        except (RuntimeError, AttributeError):
            return builder(*args, **kwargs)  # says what is wrong, if the missing data was not


class _Unfilled(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Initializing a meta tensor does nothing."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import it: a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = args[0] if args else None
        writes = func._schema.is_mutable and torch.Tag.inplace_view not in func.tags
        if writes and isinstance(first, Tensor) and first.is_meta:
            return first
        if func is torch.ops.aten.empty.memory_format and prod(args[0]) > _LARGE:
            kwargs = {**(kwargs or {}), "device": "meta"}
        return func(*args, **(kwargs or {}))


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """While in it, every parameter that a module of this thread takes becomes a meta tensor."""
    owner = threading.get_ident()
    with _PATCHING:
        register = nn.Module.register_parameter

        def taking(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
            register(module, name, param)
            known = module._parameters.get(name)
            if threading.get_ident() == owner and known is not None and not (known.is_meta or is_lazy(known)):
                module._parameters[name] = _on_meta(known)

        nn.Module.register_parameter = taking  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            nn.Module.register_parameter = register  # type: ignore[method-assign]


def _on_meta(parameter: nn.Parameter) -> nn.Parameter:
    bare = torch.empty_strided(parameter.shape, parameter.stride(), dtype=parameter.dtype, device="meta")
    made = nn.Parameter(bare, parameter.requires_grad)
    made.__dict__.update(parameter.__dict__)
    return made
