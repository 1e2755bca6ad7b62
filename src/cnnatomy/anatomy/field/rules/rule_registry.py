"""Which rule says what an operator's outputs see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.record.graph import Call, Value

See = Callable[[Value], Table]
"""The table of a value that a call was given."""
Rule = Callable[[Call, See], "Table | Sequence[Table]"]


class NotKnown(Exception):
    """A rule does not hold for a call."""


RULES: dict[str, Rule] = {}
"""By the operator's name, in-place forms under that of the others."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule for operators of these names, of torch's own where no namespace is given."""

    def enter(function: Rule) -> Rule:
        for name in names:
            RULES[name if "." in name else f"aten.{name}"] = function
        return function

    return enter


def rule_of(call: Call) -> Rule | None:
    """The rule of a call's operator; None if there is none."""
    if call.signature.own:
        import cnnatomy.anatomy.field.rules.own_rules  # noqa: F401 (it enters its rules; other networks need no regions)
    found = RULES.get(call.name) or RULES.get(call.name.removesuffix("_"))
    if found is None and (call.signature.pointwise or _elementwise(call.name)):
        return pointwise
    return found


@lru_cache(maxsize=4096)
def _elementwise(name: str) -> bool:
    """Whether torch says so of the form that does not write in place: of the other it does not always."""
    space, _, own = name.removesuffix("_").partition(".")
    packet = getattr(getattr(torch.ops, space), own, None) if name.endswith("_") else None
    kinds = getattr(packet, "_overload_names", ())
    return any(torch.Tag.pointwise in getattr(packet, kind or "default").tags for kind in kinds)


def pointwise(call: Call, see: See) -> Table:
    """Every output unit reads the unit at its own place of every input, broadcast."""
    tables = [table for table in map(see, call.read) if table.terms] or [see(call.read[0])]
    return union_of(tables, call.outputs[0].shape)


def everything(call: Call, see: See) -> list[Table]:
    """Every output unit reads every input whole; marked as not known."""
    wholes = [see(value).mark_unsure(call.operator._opname) for value in call.read]
    if not wholes:
        return []
    first = max(wholes, key=lambda table: len(table.shape))
    rank = len(first.shape)
    one = union_of([first, *wholes], (1,) * rank)
    return [one.view(()).expand(value.shape) for value in call.outputs]
