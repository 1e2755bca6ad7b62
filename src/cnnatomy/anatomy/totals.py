"""Sum an anatomy by type, by stage, by module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from cnnatomy.anatomy.figures import Grouping, Layer, Total
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.errors import ArgumentError


def _module(layer: Layer) -> str:
    return layer.path.split("#")[0]


_NAMES: dict[str, Callable[[Layer], str]] = {
    "type": lambda layer: layer.type,
    "stage": lambda layer: _module(layer).split(".")[0],
    "module": _module,
}


def totals(anatomy: Anatomy, grouping: Grouping) -> tuple[Total, ...]:
    """See `Anatomy.by`."""
    if grouping not in _NAMES:
        raise ArgumentError("no such grouping", expected=" or ".join(map(repr, _NAMES)), got=repr(grouping))
    groups: defaultdict[str, list[Layer]] = defaultdict(list)
    for layer in anatomy.layers:
        groups[_NAMES[grouping](layer)].append(layer)
    return tuple(_total(anatomy, name, layers) for name, layers in groups.items())


def _total(anatomy: Anatomy, name: str, layers: Sequence[Layer]) -> Total:
    costs = [anatomy.operations[index].cost for layer in layers for index in layer.operations]
    macs = total([cost.macs for cost in costs])
    share = macs / anatomy.macs if macs is not None and anatomy.macs else None
    return Total(
        name,
        parameters=sum(layer.parameters for layer in layers),
        macs=macs,
        flops=total([cost.flops for cost in costs]),
        activations=sum(cost.written for cost in costs),
        share=share,
    )


def total(numbers: Sequence[int | None]) -> int | None:
    """The sum, None if one of them is not known.

    Example:
        >>> total([1, 2]), total([1, None])
        (3, None)
    """
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
