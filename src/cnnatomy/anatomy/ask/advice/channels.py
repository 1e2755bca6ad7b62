"""Which channels the outputs of a network depend on, from the outputs back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts, Site
from cnnatomy.anatomy.record.call_windows import slid
from cnnatomy.anatomy.record.graph import Call, Value

Mask = NDArray[np.bool_]
_APART = (
    "batch_norm",
    "pool",
    "pad",
    "upsample",
    "clone",
    "detach",
    "alias",
    "contiguous",
    "_to_copy",
    "dropout",
)


def needed_channels(facts: Facts) -> Iterator[tuple[Site, Mask]]:
    """Every convolution whose output is used, with the channels of it that an output depends on.

    Channels are followed through what keeps them apart (pointwise operators, poolings, slices,
    concatenations, groups); everything else is taken to read all channels.
    """
    masks: dict[Value, Mask] = {}
    whole = {value.storage for value in facts.graph.outputs.values()}
    sites = {site.index: site for site in facts.sites if not site.pools}
    found = []
    for index in range(len(facts.graph.calls) - 1, -1, -1):
        call = facts.graph.calls[index]
        wanted = [_wanted(value, masks, whole) for value in call.outputs]
        written = call.written()
        if written and any(value.storage in {v.storage for v in masks} | whole for value in written):
            wanted = [_all(value) for value in call.outputs]
        if not any(mask.any() for mask in wanted):
            continue
        if index in sites:
            found.append((sites[index], wanted[0]))
        for value, mask in _wanted_inputs(call, wanted):
            masks[value] = masks[value] | mask if value in masks else mask
    yield from reversed(found)


def _wanted(value: Value, masks: dict[Value, Mask], whole: set[int]) -> Mask:
    if value.storage in whole:
        return _all(value)
    return masks.get(value, np.zeros(_width(value), bool))


def _wanted_inputs(call: Call, wanted: Sequence[Mask]) -> list[tuple[Value, Mask]]:
    """What a call needs of its inputs for what is wanted of its outputs."""
    name = call.name.removeprefix("aten.")
    inputs, out, mask = call.inputs, call.outputs[0], wanted[0]
    if name == "cat" and call.argument("dim") == 1:
        ends = np.cumsum([_width(value) for value in inputs])[:-1]
        return list(zip(inputs, np.split(mask, ends), strict=True))
    if (
        name in ("slice", "select", "split", "split_with_sizes", "chunk", "unbind")
        and call.argument("dim") == 1
    ):
        return [(inputs[0], _cut(call, name, wanted))]
    if name == "convolution":
        groups, fed = call.argument("groups"), np.zeros(_width(inputs[0]), bool)
        for part, rows in zip(np.split(fed, groups), np.split(mask, groups), strict=True):
            part[:] = rows.any()
        return [(inputs[0], fed), *((value, _all(value)) for value in inputs[1:])]
    if _apart(call, name, out):
        same = [
            value for value in inputs if len(value.shape) == len(out.shape) and _width(value) == len(mask)
        ]
        return [(value, mask if value in same else _all(value)) for value in inputs]
    return [(value, _all(value)) for value in inputs]


def _cut(call: Call, name: str, wanted: Sequence[Mask]) -> Mask:
    """The channels of which slices take those that are wanted."""
    source = call.inputs[0]
    fed, places = np.zeros(_width(source), bool), np.arange(_width(source))
    if name == "slice":
        start, end, step = (call.argument(part) for part in ("start", "end", "step"))
        fed[places[slice(start, end, step)]] = wanted[0]
    elif name == "select":
        fed[call.argument("index")] = True
    elif name == "unbind":
        fed[:] = [mask.any() for mask in wanted]
    else:
        ends = np.cumsum([len(mask) for mask in wanted])[:-1]
        for part, mask in zip(np.split(fed, ends), wanted, strict=True):
            part[:] = mask
    return fed


def _apart(call: Call, name: str, out: Value) -> bool:
    """Whether a call keeps channels apart, its output having those of its input."""
    if not call.inputs or len(out.shape) < 2 or _width(call.inputs[0]) != _width(out):
        return False
    if call.name == "aten.mean":
        dims: Any = call.argument("dim") or range(len(call.inputs[0].shape))
        return not {dim % len(call.inputs[0].shape) for dim in dims} & {0, 1}
    plain = call.signature.pointwise or any(part in name for part in _APART)
    return plain or bool(slid(call)) or (name == "cat" and call.argument("dim") != 1)


def _width(value: Value) -> int:
    return value.shape[1] if len(value.shape) > 1 else 1


def _all(value: Value) -> Mask:
    return np.ones(_width(value), bool)
