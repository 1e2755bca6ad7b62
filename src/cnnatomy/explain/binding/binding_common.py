"""What bindings share: an operator on its input, and arguments held to what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError, TensorError
from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.plane_layout import Call, Laid
from cnnatomy.models.named_object import theirs
from cnnatomy.ops.routing import spatial_axes

Options = Mapping[str, Any]
Run = Callable[[Mapping[str, Tensor]], Tensor]
MOST_MADE = 100_000_000
"""The most numbers that an operator's whole output has."""


class Family(Protocol):
    """An operator of one family, as it is called."""

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        ...


class Bound(NamedTuple):
    """An operator and its input.

    Args:
        family: the operator.
        axes: how many axes a plane of its output has.
        whole: the operator as it was asked for, where the family is only the last of its steps.
    """

    family: Family
    axes: int
    whole: Call | None = None


def tensor_of(x: Any, name: str = "x") -> Tensor:
    """x as a tensor of real numbers; numbers in lists become floats.

    Raises:
        ArgumentError: it holds anything else.
    """
    if not isinstance(x, Tensor):
        try:
            x = torch.as_tensor(x, dtype=torch.get_default_dtype())
        except (TypeError, ValueError, RuntimeError) as error:
            expected = "a tensor, or lists of numbers"
            what = f"{name} cannot be read as numbers"
            raise ArgumentError(what, expected=expected, got=str(error).splitlines()[0]) from None
    if not x.is_floating_point():
        what, expected = "numbers with a derivative are explained", "a floating-point dtype"
        raise TensorError(what, expected=expected, got=str(x.dtype), hint=f"{name}.float()")
    if x.layout is not torch.strided or x.is_nested or not x.is_cpu:
        what, expected, got = (
            f"{name} is not to be read",
            "a dense tensor on the CPU",
            f"{x.layout} on {x.device}",
        )
        raise TensorError(what, expected=expected, got=got, hint=f"{name}.cpu()" if x.is_cuda else None)
    found: Tensor = x.detach()
    return found


def spatial(x: Tensor, rank: int | None, *saying: object) -> int:
    """How many axes of x are spatial: all of a plain map's, else what an operator itself would take them for.

    Args:
        x: what is explained.
        rank: the number, if it was given.
        saying: sizes and regions, whose entries say it.
    """
    if rank is not None:
        return rank  # `batched` adds what is missing
    if x.dim() <= 2:
        return x.dim()
    each = (len(one) if isinstance(one, Sequence) else getattr(one, "rank", None) for one in saying)
    return spatial_axes("this operator", x, None, next((n for n in each if n is not None), None))


def batched(x: Tensor, rank: int, name: str = "x") -> Tensor:
    """x as (N, C, *spatial): an image and a channel are added where there are none.

    Raises:
        ArgumentError: it has other axes, or no numbers.
    """
    if not rank <= x.dim() <= rank + 2:
        expected = f"(N, C, *spatial), (C, *spatial) or (*spatial) with {rank} spatial axes"
        raise ArgumentError(f"{name} does not fit", expected=expected, got=f"shape {tuple(x.shape)}")
    if 0 in x.shape:
        raise ArgumentError(f"{name} is empty", expected="numbers", got=f"shape {tuple(x.shape)}")
    return x.reshape((1,) * (rank + 2 - x.dim()) + tuple(x.shape))


def taken(options: Options, known: Options, what: str) -> dict[str, Any]:
    """Options over their defaults.

    Raises:
        ArgumentError: one of them is unknown.
    """
    if strange := sorted(set(options) - set(known)):
        expected = ", ".join(f"{name}=" for name in known) or "no more arguments"
        raise ArgumentError(f"{what} does not take {strange[0]}=", expected=expected)
    return {**known, **options}


def needed(given: Options, name: str) -> Any:
    """An option that has no default.

    Raises:
        ArgumentError: it is missing.
    """
    if given.get(name) is None:
        raise ArgumentError(f"{name}= is missing", hint=f"explain(.., {name}=..)")
    return given[name]


def code(module: nn.Module) -> str:
    """The call of a module on one line."""
    return " ".join(repr(module).split()) + "(x)"


def settings(module: Any, names: Sequence[str]) -> dict[str, Any]:
    """A module's settings as JSON has them."""
    found = {}
    for name in names:
        value = getattr(module, name, None)
        if value is not None:
            found[name] = value if isinstance(value, int | float | str | bool) else str(value)
    return found


def functional(module: nn.Module, names: Sequence[str], *more: Any) -> Run:
    """A module as a function of x and of some of its parameters."""

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        x = inputs["x"].clone()  # some write in place
        own = {
            name: tensor.to(x.device)
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }
        own |= {name: inputs[name] for name in names}
        y = torch.func.functional_call(module, own, (x, *more))
        return y[0] if isinstance(y, tuple) else y  # type: ignore[no-any-return]

    return run


def fitting(name: str, run: Run, inputs: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The shape that an operator gives, found without computing it where it works on weightless tensors.

    Raises:
        ArgumentError: it does not take its input, or its output is too large.
    """
    with torch.no_grad():
        try:
            made = run({key: value.to("meta") for key, value in inputs.items()})
        except (
            Exception
        ):  # what it reads beside its inputs has numbers, or the input does not fit: it says so
            with theirs(f"{name}, given x of shape {tuple(inputs['x'].shape)},"):
                made = run(inputs)
    if made.numel() > MOST_MADE:
        what, expected = "the output is too large to be explained", f"at most {MOST_MADE:,} numbers"
        raise ArgumentError(what, expected=expected, got=" × ".join(f"{n:,}" for n in made.shape))
    return tuple(made.shape)


def widened(dtype: torch.dtype) -> torch.dtype:
    """The dtype that sums of this dtype are computed in."""
    return torch.promote_types(dtype, torch.float32)


def called(
    text: str,
    name: str,
    params: Options,
    inputs: Mapping[str, Tensor],
    run: Run,
    wide: torch.dtype | None = None,
) -> Call:
    """An operator as it is called, if it takes its input.

    Raises:
        ArgumentError: it does not, or would make too much of it.
    """
    x = inputs["x"]
    known = {key: value.detach() for key, value in inputs.items()}
    fitting(name, run, known)
    return Call(text, name, params, known, run, x.dtype, wide or widened(x.dtype))
