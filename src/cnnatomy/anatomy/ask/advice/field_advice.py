"""Remarks on receptive fields: unseen input, fields too small, and layers that cannot add to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, prod

from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts, Site
from cnnatomy.anatomy.ask.advice.remark import Advice
from cnnatomy.anatomy.field import Field
from cnnatomy.geometry.window_fit import listed

WORTH = 0.05
"""The share of the MACs from which layers that widen no field are remarked on."""
_SIDES = (("front", "back"), ("top", "bottom"), ("left", "right"))


def unread(facts: Facts) -> Iterator[Advice]:
    """Cells of an input that reach no output of the network."""
    source = facts.resizing.source
    if source is not None and (same := facts.resizing.at(source.shape[2])) is not None and not same.unread:
        return
    for name, value in facts.graph.inputs.items():
        rank = len(value.shape) - 2
        every = {axis: facts.anatomy.fields.unread(name, axis) for axis in range(2, len(value.shape))}
        if None in every.values():
            yield _not_determined(name)
        found = {axis: ranges for axis, ranges in every.items() if ranges is not None}
        missing = {axis: ranges for axis, ranges in found.items() if ranges}
        if not missing:
            continue
        parts: dict[str, list[str]] = {}
        for axis, ranges in missing.items():
            sentence, side = _where(ranges, value.shape[axis], _SIDES[axis - 2 - rank])
            parts.setdefault(sentence, []).append(side)
        said = [
            sentence.format("/".join(side for side in sides if side)) for sentence, sides in parts.items()
        ]
        counts = {axis: sum(map(len, ranges)) for axis, ranges in missing.items()}
        seen = listed(said, "and")
        nothing = any(count == value.shape[axis] for axis, count in counts.items())
        sizes = facts.resizing.nearest(lambda one: not one.unread)
        if nothing:
            remedy = "return something that is computed from it"
        else:
            remedy = (
                f"inputs of {listed(sizes)} are read in full"
                if sizes
                else "crop it, or pad where windows do not tile"
            )
        yield Advice(
            "error" if nothing else "warning",
            "",
            f"no output {'depends on' if nothing else f'sees {seen} of'} input {name!r}",
            "whatever is there cannot change what the network says",
            remedy,
            {"unread": counts, "sizes": sizes},
        )


def _not_determined(name: str) -> Advice:
    return Advice(
        "note",
        "",
        f"not determined whether the outputs see every cell of input {name!r}",
        "the sets of cells that its units see take too much memory at this size",
        "ask at a smaller input size",
    )


def small(facts: Facts) -> Iterator[Advice]:
    """A receptive field below the size of the object that is to be seen whole."""
    if (wanted := facts.object_size) is None:
        return
    seen = [(_least(fields), site) for site in facts.sites if (fields := _fields(facts, site.index))]
    size, site = max(seen, key=lambda one: one[0], default=(0, None))
    if site is not None and 0 < size < wanted:
        jump = max((field.law.jump for field in _fields(facts, site.index) if field.law.jump), default=1)
        layers = ceil((wanted - size) / (2 * jump))
        yield Advice(
            "warning",
            site.layer,
            f"its units see {size} cells, the most of all windows, and the object has {wanted}",
            "no unit sees the object whole before maps are pooled or flattened (Araujo et al. 2019, Distill)",
            f"{layers} more 3-wide layer{'s' if layers > 1 else ''} there, each adding 2·{jump} cells",
            {"field": size, "object": wanted, "jump": jump, "layers": layers},
        )


def saturated(facts: Facts) -> Iterator[Advice]:
    """Windows over maps of which every unit sees the whole input already: they cannot add to the field."""
    late = [site for site in facts.sites if _wide(site) and _whole(facts, site)]
    if not late:
        return
    costs = [facts.operations[site.index].cost.macs for site in late]
    total = facts.anatomy.macs
    share = sum(cost or 0 for cost in costs) / total if total else 0.0
    count = len(late)
    if share < WORTH:
        return
    yield Advice(
        "note",
        late[0].layer,
        f"every unit sees the whole input already: windows that widen no field from here on: {count}, "
        f"with {share:.0%} of the MACs",
        "they refine what is seen and add no context (Richter et al. 2021, 'Should You Go Deeper?')",
        "a larger input, fewer strides, or fewer layers here",
        {"layers": count, "share": share},
        tuple(site.layer for site in late[1:]),
    )


def _where(ranges: Sequence[range], n: int, sides: tuple[str, str]) -> tuple[str, str]:
    """What of an axis is not read, with a place for its side."""
    count = sum(map(len, ranges))
    if len(ranges) == 1 and count < n and ranges[0].stop == n:
        return f"the {{}} {count} of {n} cells", sides[1]
    if len(ranges) == 1 and count < n and ranges[0].start == 0:
        return f"the {{}} {count} of {n} cells", sides[0]
    return (f"all {n} cells" if count == n else f"{count} of {n} cells"), ""


def _fields(facts: Facts, call: int) -> tuple[Field, ...]:
    """The fields of a call's first output that have a law, reductions over the whole map set aside."""
    found = facts.anatomy.fields.of(call, reading="local")
    return tuple(field for field in found if field.law.kind == "periodic")


def _least(fields: Sequence[Field]) -> int:
    return min(field.law.size or 0 for field in fields)


def _wide(site: Site) -> bool:
    """Whether a window joins several cells; a pooling over all that is left is a head, and meant so."""
    left = (
        prod(w.output_size(n) for w, n in zip(site.windows, site.sizes, strict=True))
        if not site.transposed
        else 0
    )
    return not site.transposed and left > 1 and any(w.kernel > 1 for w in site.windows)


def _whole(facts: Facts, site: Site) -> bool:
    """Whether every unit of the operator's input sees every axis of the network's input from end to end."""
    value = site.call.inputs[0]
    made = facts.makers.get(value.storage)
    if made is None or facts.graph.calls[made].outputs[0] != value:
        return False
    fields = facts.anatomy.fields.of(made, reading="local")
    return bool(fields) and all(
        not field.unsure and (field.lo == 0).all() and (field.hi == field.n - 1).all() for field in fields
    )
