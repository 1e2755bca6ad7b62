"""Compare two networks layer by layer."""

from __future__ import annotations

from cnnatomy.anatomy.ask.compare.difference import Change, Difference, Pair
from cnnatomy.anatomy.ask.compare.matching import matched
from cnnatomy.anatomy.figures import Layer
from cnnatomy.anatomy.present.rows import fields_of
from cnnatomy.anatomy.result import Anatomy

_FACTS = ("type", "parameters", "frozen")
_COSTS = ("macs", "flops", "activations", "saved")
"""Told of layers without children only: what holds others costs what they cost."""


def diff(before: Anatomy, after: Anatomy, *, fields: bool = True) -> Difference:
    """Compare two networks layer by layer, and their sums.

    Layers are matched by path and type; those left over by their order among layers of the same type and
    shape (the longest common subsequence, as the lines of two texts are compared), so that a renamed or moved
    layer finds its counterpart.

    Args:
        before: the first network.
        after: the second.
        fields: compare receptive fields (cells on each axis) as well, where both passes were recorded.

    Example:
        >>> from torch import nn
        >>> from cnnatomy.anatomy.measure import anatomy
        >>> one = anatomy(nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU()), (1, 32, 32))
        >>> two = anatomy(nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU()), (1, 32, 32))
        >>> [str(change) for change in list(diff(one, two))[1].changes[:3]]
        ['output 1×6×28×28 → 1×6×30×30', 'parameters 156 → 60', 'macs 117,600 → 48,600']
    """
    fields = fields and before.graph is not None and after.graph is not None
    pairs = []
    for a, b in matched(before.layers, after.layers):
        if a is not None and b is not None:
            changes = _changes(_facts(before, a, fields), _facts(after, b, fields))
            pairs.append(Pair(a.path, b.path, a.type, changes))
        elif a is not None:
            pairs.append(Pair(a.path, None, a.type, parameters=a.parameters))
        elif b is not None:
            pairs.append(Pair(None, b.path, b.type, parameters=b.parameters))
    mine, theirs = _sums(before), _sums(after)
    totals = tuple(Change(what, mine[what], theirs[what]) for what in mine)
    return Difference((before.model, after.model), totals, tuple(pairs), (before.reason, after.reason))


def _changes(mine: dict[str, object], theirs: dict[str, object]) -> tuple[Change, ...]:
    both = [what for what in mine if what in theirs]
    return tuple(Change(what, mine[what], theirs[what]) for what in both if mine[what] != theirs[what])


def _facts(anatomy: Anatomy, layer: Layer, fields: bool) -> dict[str, object]:
    facts: dict[str, object] = {"output": layer.output_shapes}
    facts |= {name: getattr(layer, name) for name in (*_FACTS, *(_COSTS if layer.leaf else ()))}
    return facts | ({"field": _field(anatomy, layer)} if fields else {})


def _field(anatomy: Anatomy, layer: Layer) -> tuple[str, ...]:
    """The borderless field of the layer's first output by axis, in cells; its kind where it has no size."""
    laws = [field.law for field in fields_of(anatomy, anatomy.layers.index(layer))]
    return tuple(
        "/".join(map(str, sorted(set(law.sizes)))) if law.kind == "periodic" else law.kind for law in laws
    )


def _sums(anatomy: Anatomy) -> dict[str, object]:
    memory = anatomy.memory
    sums: dict[str, object] = {
        name: getattr(anatomy, name) for name in ("parameters", "trainable", "macs", "flops")
    }
    sums["output"] = tuple(anatomy.outputs.values())
    sums["weights memory"] = memory and memory.weights
    sums["inference peak"] = memory and memory.inference
    sums["saved for backward"] = memory and memory.saved
    sums["training peak"] = memory and memory.training
    return sums
