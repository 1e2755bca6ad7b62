"""Remarks on the whole: where little passes through, and where memory, not arithmetic, takes the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts
from cnnatomy.anatomy.ask.advice.remark import Advice
from cnnatomy.anatomy.present.number_text import stored
from cnnatomy.anatomy.record.graph import Value

NARROW = 8
"""How many times fewer numbers a map may have than the one before it; VGG-16's poolings leave 4."""
BALANCE = 10.0
"""FLOPs per byte below which common processors wait for memory: 100 GB/s beside 1 TFLOP/s and more."""
MUCH = 0.25
"""The share of all bytes moved from which waiting for memory is remarked on."""


def narrow(facts: Facts) -> Iterator[Advice]:
    """Tensors that everything must pass through and that hold far less than what is made before or after."""
    batch = next(iter(facts.graph.inputs.values())).shape[0] if facts.graph.inputs else 1
    made = facts.graph.outputs.values()
    scores = all(prod(value.shape[2:]) == 1 for value in made)  # and no picture, as a decoder's
    outputs = sum(value.numel for value in made) // batch if scores else 0
    for index in _cuts(facts):
        call = facts.graph.calls[index]
        if not facts.operations[index].cost.macs or _final(facts, index):
            continue
        out, before = call.outputs[0], max(value.numel for value in _maps(facts, index)) // batch
        size = out.numel // batch
        if prod(out.shape[2:]) > 1 and before > NARROW * size:
            yield Advice(
                "note",
                facts.layer(index),
                f"leaves {size:,} of {before:,} numbers, {before / size:.0f} times fewer, in one step",
                "a representational bottleneck that no branch goes around (Szegedy et al. 2016, principle 1)",
                "more channels, or the stride in a later layer",
                {"before": before, "after": size},
            )
        elif out.shape[0] == batch and prod(out.shape[2:]) == 1 and size < outputs:
            yield Advice(
                "warning",
                facts.layer(index),
                f"{size:,} numbers stand for {outputs:,} outputs",
                f"the scores lie in {size:,} dimensions and cannot move freely "
                "(Yang et al. 2018, 'Breaking the Softmax Bottleneck')",
                f"{outputs:,} features or more",
                {"features": size, "outputs": outputs},
            )


def waiting(facts: Facts) -> Iterator[Advice]:
    """Layers with weights that move many bytes for little arithmetic: memory decides how long they take."""
    moved = sum(op.cost.read + op.cost.written for op in facts.operations)
    slow = []
    for op in facts.operations:
        bytes_, intensity = op.cost.read + op.cost.written, op.cost.intensity
        if op.cost.macs and intensity is not None and intensity < BALANCE:
            slow.append((bytes_, intensity, op.index))
    share = sum(bytes_ for bytes_, _, _ in slow) / moved if moved else 0.0
    if share < MUCH:
        return
    bytes_, intensity, index = max(slow)
    layers = (facts.layer(i) for _, _, i in sorted(slow, reverse=True))
    yield Advice(
        "note",
        facts.layer(index),
        f"{intensity:.2g} FLOPs for each byte of {stored(bytes_)}; "
        + (f"the {len(slow)} operators like it move" if len(slow) > 1 else "it moves")
        + f" {share:.0%} of the network's {stored(moved)}",
        f"below about {BALANCE:g} FLOPs per byte memory sets the time (Williams et al. 2009, 'Roofline')",
        "larger batches where it moves weights, fused layers or a smaller number format where it moves maps",
        {"intensity": intensity, "share": share, "layers": len(slow)},
        tuple(dict.fromkeys(layer for layer in layers if layer != facts.layer(index))),
    )


def stopped(facts: Facts) -> Iterator[Advice]:
    """A pass that did not reach its end: what is said holds up to there."""
    if facts.anatomy.reason is not None:
        yield Advice(
            "error",
            "",
            "the pass stopped early, so that this is a part of the network",
            facts.anatomy.reason,
            "call the part that stops with its own input, or leave what needs values out of forward",
            {},
        )


def _cuts(facts: Facts) -> Iterator[int]:
    """The calls after which all that later calls read of the input's making is what the call has made."""
    calls, last = facts.graph.calls, dict[int, int]()
    fed = {value.storage for value in facts.graph.inputs.values()}
    for call in calls:
        if any(value.storage in fed for value in call.inputs):
            fed |= {value.storage for value in call.outputs}
    for index, call in enumerate(calls):
        if not call.is_view:
            last |= {value.storage: index for value in call.inputs if value.storage in fed}
    last |= {value.storage: len(calls) for value in facts.graph.outputs.values()}
    alive = {value.storage for value in facts.graph.inputs.values()}
    for index, call in enumerate(calls):
        alive |= {value.storage for value in call.outputs if value.storage in fed}
        alive = {storage for storage in alive if last.get(storage, -1) > index}
        if call.outputs and alive == {call.outputs[0].storage}:
            yield index


def _maps(facts: Facts, index: int) -> Sequence[Value]:
    """The inputs of a call that are no weights."""
    values = [value for value in facts.graph.calls[index].inputs if value.storage not in facts.graph.held]
    return values or facts.graph.calls[index].inputs[:1]


def _final(facts: Facts, index: int) -> bool:
    """Whether nothing that multiplies comes after a call."""
    return not any(op.cost.macs for op in facts.operations[index + 1 :])
