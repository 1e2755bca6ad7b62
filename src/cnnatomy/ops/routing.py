"""How a call runs: chooses between a direct run, a function for transforms and an operator in a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._C import _len_torch_dispatch_stack
from torch._C._functorch import is_legacy_batchedtensor, maybe_current_level
from torch._guards import TracingContext
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

from cnnatomy.errors import ArgumentError, TensorError

P = ParamSpec("P")
R = TypeVar("R")

_ORDINARY = (Tensor, torch.nn.Parameter)


def plain(x: Tensor) -> bool:
    """True for an ordinary tensor with data, that no mode, transform or batch wraps."""
    ordinary = type(x) in _ORDINARY and not x.is_meta
    return ordinary and not (_len_torch_dispatch_stack() or is_legacy_batchedtensor(x))


def batched(x: Tensor) -> bool:
    """True for many gradients in one, as `torch.autograd.grad(is_grads_batched=True)` passes them."""
    return bool(is_legacy_batchedtensor(x))


def each(run: Callable[..., Sequence[Tensor]], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Run on all entries of batched tensors (N, ...) at once, as on one tensor of so many times N."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    apart = [torch._remove_batch_dim(x, level, 1, 0) for x in tensors]
    count = max(map(len, apart))
    found = run(*[x.expand(count, *x.shape[1:]).flatten(0, 1) for x in apart])
    return tuple(torch._add_batch_dim(y.view(count, len(y) // count, *y.shape[1:]), 0, level) for y in found)


def overridable(function: Callable[P, R]) -> Callable[P, R]:
    """The function as one that torch's overrides see: `torch.fx` records a call of it, subclasses their own.

    Example:
        >>> @overridable
        ... def doubled(x):
        ...     return 2 * x if x.dim() else x
        >>> print(torch.fx.symbolic_trace(doubled).code.strip().splitlines()[-2].strip())
        doubled = cnnatomy_ops_routing_doubled(x);  x = None
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        relevant = (*args, *kwargs.values()) if kwargs else args
        if has_torch_function(relevant):
            return handle_torch_function(called, relevant, *args, **kwargs)
        return function(*args, **kwargs)

    return called


def demand_dense(what: str, x: object, kinds: Collection[torch.dtype] = ()) -> None:
    """See that x is a tensor with all its values in rows of one size, and of one of these dtypes, if any.

    Raises:
        ArgumentError: it is something else.
        TensorError: it is sparse, nested, quantized, or of another dtype.

    Example:
        >>> demand_dense("pooling", torch.eye(2, dtype=torch.bool), (torch.float32,))
        Traceback (most recent call last):
        cnnatomy.errors.TensorError: no pooling of this dtype: expected float32, got torch.bool
    """
    if not isinstance(x, Tensor):
        raise ArgumentError(f"{what} wants a tensor", expected="a torch.Tensor", got=type(x).__name__)
    if x.is_nested or x.layout is not torch.strided:
        got, hint = (
            ("a nested one", "torch.nested.to_padded_tensor(x, 0)")
            if x.is_nested
            else (str(x.layout), "x.to_dense()")
        )
        raise TensorError(f"{what} wants a dense tensor", expected="torch.strided", got=got, hint=hint)
    if x.is_quantized:
        hint = "x.dequantize(), or torch.nn's layer of that name, which torch.ao.quantization replaces"
        raise TensorError(
            f"no {what} of quantized numbers", expected="plain ones", got=str(x.dtype), hint=hint
        )
    if kinds and x.dtype not in kinds:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in kinds)
        raise TensorError(f"no {what} of this dtype", expected=known, got=str(x.dtype))


def spatial_axes(what: str, x: Tensor, rank: int | None, entries: int | None = None) -> int:
    """How many axes of x are spatial: `rank`, or as many as a window has entries, or all but two of 4 and 5.

    Raises:
        ArgumentError: x has no such axes, or three that can be read in two ways.

    Example:
        >>> spatial_axes("pooling", torch.rand(1, 3, 8, 8), None)
        2
        >>> spatial_axes("pooling", torch.rand(3, 8, 8), None)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: pooling can read three axes in two ways: ...; try rank=2
    """
    axes, said = x.dim(), entries if rank is None else rank
    if said is None:
        if 4 <= axes <= 5:
            return axes - 2
        if axes == 3:
            n, c = x.shape[:2]
            expected = f"rank=1 for {n} signals of {c} channels, or rank=2 for one picture of {n} channels"
            what, got = f"{what} can read three axes in two ways", f"shape {tuple(x.shape)}"
            raise ArgumentError(what, expected=expected, got=got, hint="rank=2")
    elif said in (1, 2, 3) and axes - said in (1, 2):
        return said
    raise ArgumentError(
        f"{what} wants (N, C, *spatial)" + ("" if said is None else " or (C, *spatial)"),
        expected=f"{said + 1} or {said + 2} axes" if said in (1, 2, 3) else "one to three spatial axes",
        got=f"shape {tuple(x.shape)}" + ("" if rank is None else f" and rank={rank!r}"),
        hint="x[None, None], for a map of one channel" if axes == 2 else None,
    )


@overridable
def dense(what: str, x: Tensor, kinds: Collection[torch.dtype] = ()) -> Tensor:
    """The tensor itself, once `demand_dense` has looked at it: for modules made of torch's own operators."""
    demand_dense(what, x, kinds)
    return x


def remembered(function: Any, *arguments: Any) -> Any:
    """function(*arguments) from its cache, if its arguments have hashes and no compiler warns of caches."""
    if torch.compiler.is_compiling():
        return function.__wrapped__(*arguments)
    try:
        return function(*arguments)
    except TypeError:
        return function.__wrapped__(*arguments)


def eager(*tensors: Tensor) -> bool:
    """True if nobody traces or transforms a call on these tensors."""
    seen = torch.compiler.is_compiling() or tracing() or transformed()
    return not seen and all(map(plain, tensors))


def transformed() -> bool:
    """True inside `torch.func` transforms and forward-mode differentiation."""
    return maybe_current_level() is not None or forward_ad._current_level >= 0


def tracing() -> bool:
    """True while `torch.jit.trace`, or the exporter built on it, records torch's own operators."""
    return not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None


def refuse_tangents() -> None:
    """Let no graph be made of forward-mode differentiation, which operators in graphs do not have.

    Raises:
        ArgumentError: tangents are being pushed through what is compiled.
    """
    if forward_ad._current_level >= 0 and TracingContext.try_get() is not None:
        what = "a compiled graph would drop the tangents of forward-mode differentiation"
        raise ArgumentError(what, hint="jvp or jacfwd without torch.compile, or jacrev")
