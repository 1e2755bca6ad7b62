"""Unit by unit where torch does not tag the operator so: some activations and gates."""

from __future__ import annotations

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.rules.rule_registry import See, pointwise, rule
from cnnatomy.anatomy.record.graph import Call


@rule(
    "_prelu_kernel",
    "log_sigmoid_forward",
    "rrelu_with_noise",
    "floor_divide",
    "complex",
    "polar",
    "frexp",
    "hardswish",
)
def activated(call: Call, see: See) -> list[Table]:
    """Unit by unit, though torch does not tag them so, and whatever is kept for the backward pass."""
    found = pointwise(call, see)
    return [found if value.shape == found.shape else found.empty(value.shape) for value in call.outputs]


@rule("glu")
def gated(call: Call, see: See) -> Table:
    """Every unit of the first half of an axis, and its fellow of the second, which gates it."""
    table, out = see(call.read[0]), call.outputs[0].shape
    dim = call.argument("dim") % len(out)
    half = out[dim]
    return union_of([table.slice(dim, range(half)), table.slice(dim, range(half, 2 * half))], out)
