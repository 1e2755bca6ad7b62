"""Remarks on parameters: those that nothing uses, those that cannot matter, and where most of them are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import prod

from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts
from cnnatomy.anatomy.ask.advice.channels import needed_channels
from cnnatomy.anatomy.ask.advice.remark import Advice
from cnnatomy.anatomy.record.graph import Call, Weight
from cnnatomy.nn.wiring import Wired

BIG_SHARE = 0.5
"""The share of all parameters from which one layer is remarked on."""
_SMALL = 1000  # below so many parameters no layer's share is worth a remark


def unused(facts: Facts) -> Iterator[Advice]:
    """Parameters that the pass never read, or from which no output is computed."""
    groups: defaultdict[tuple[str, str], list[Weight]] = defaultdict(list)
    for weight in facts.graph.weights:
        used = facts.readers.get(weight.storage, []) if weight.storage is not None else []
        if weight.parameter and not any(index in facts.alive for index in used):
            path = weight.name.rpartition(".")[0]
            asleep = _asleep(facts, path)
            groups[
                asleep or path, "asleep" if asleep else "reach no output" if used else "are never used"
            ].append(weight)
    for (path, state), weights in groups.items():
        count, names = sum(prod(weight.shape) for weight in weights), [weight.name for weight in weights]
        if state == "asleep":
            text = f"{count:,} parameters of a module that is not called in evaluation"
            yield Advice(
                "note",
                path,
                text,
                "they serve training only, or nothing",
                "leave it out of what is shipped",
                {"parameters": count},
            )
            continue
        own = ", ".join(name.rpartition(".")[2] for name in names)
        why, remedy = "they get no gradient and do nothing", "remove them, or use what they make"
        yield Advice(
            "warning",
            path,
            f"{count:,} parameters ({own}) {state}",
            why,
            remedy,
            {"parameters": count, "names": (*names,)},
        )


def _asleep(facts: Facts, path: str) -> str | None:
    """The outermost module around a path of which nothing was called; None if the module itself was."""
    parts = path.split(".")
    return next(
        (root for i in range(len(parts)) if (root := ".".join(parts[: i + 1])) not in facts.called), None
    )


def dead_channels(facts: Facts) -> Iterator[Advice]:
    """Output channels of a convolution that no output of the network depends on."""
    for site, mask in needed_channels(facts):
        dead = [channel for channel, needed in enumerate(mask) if not needed]
        if 0 < len(dead) < len(mask):
            weight = site.call.argument("weight")
            own = weight.shape[1] if site.transposed else weight.shape[0]
            cost = len(dead) * (weight.numel // own)
            yield Advice(
                "warning",
                site.layer,
                f"{len(dead)} of {len(mask)} output channels reach no output, channel {dead[0]} first",
                f"{cost:,} weights are multiplied for nothing",
                f"{len(mask) - len(dead)} channels, or use all of them",
                {"dead": tuple(dead), "channels": len(mask), "weights": cost},
            )


def unwired(facts: Facts) -> Iterator[Advice]:
    """Maps that a table of connections leaves out altogether; asked of the model, a pass holds no tables."""
    for path, module in facts.model.named_modules() if facts.model is not None else ():
        if not isinstance(module, Wired) or module.places is None or module.places.is_meta:
            continue
        for axis, kind, does in (
            (1, "input", "read by no output map"),
            (0, "output", "made of no input map"),
        ):
            sums = module.table.sum(axis).tolist()
            idle = [number for number, total in enumerate(sums) if not total]
            if idle:
                yield Advice(
                    "warning",
                    path,
                    f"{len(idle)} of {len(sums)} {kind} maps are {does}, map {idle[0]} first",
                    "the table of connections has no entry for them",
                    "connections for them, or fewer maps",
                    {"maps": tuple(idle), "kind": kind},
                )


def wasted_bias(facts: Facts) -> Iterator[Advice]:
    """A bias right before a normalization that subtracts the mean of its channel: it cannot matter."""
    for index, call in enumerate(facts.graph.calls):
        if call.name not in ("aten.convolution", "aten.addmm", "aten.linear"):
            continue
        bias = call.argument("self" if call.name == "aten.addmm" else "bias")
        out = call.outputs[0]
        after = facts.readers.get(out.storage, [])
        if bias is None or bias.storage not in facts.graph.held or not after:
            continue
        channel = out.strides[-1 if call.name != "aten.convolution" else 1]
        if all(_centres(facts.graph.calls[reader], bias.numel, channel) for reader in after):
            norms = {facts.anatomy.layers[facts.operations[reader].layer].type for reader in after}
            kind = "an instance norm" if all("Instance" in norm for norm in norms) else "a batch norm"
            yield Advice(
                "note",
                facts.layer(index),
                f"its bias of {bias.numel} parameters stands right before {kind}",
                "which subtracts the channel's mean, the bias with it (Ioffe and Szegedy 2015, section 3.2)",
                "bias=False",
                {"parameters": bias.numel},
            )


def heavy(facts: Facts) -> Iterator[Advice]:
    """One layer with most of the parameters: as a rule the linear layer behind a flattened map."""
    total = facts.anatomy.parameters
    for layer in facts.anatomy.layers:
        share = layer.parameters / total if total else 0.0
        if (
            share < BIG_SHARE
            or layer.parameters < _SMALL
            or "Linear" not in layer.type
            or not layer.input_shapes
        ):
            continue
        width = layer.input_shapes[0][-1]
        folded = next((n for n in _map_sizes(facts, width)), None)
        if folded is None:
            continue
        maps, cells = folded
        left = layer.parameters - layer.output_shapes[0][-1] * (width - maps)
        yield Advice(
            "note",
            layer.path,
            f"holds {share:.0%} of all {total:,} parameters",
            f"it reads a flattened map of {maps}×{cells} = {width:,} numbers",
            f"global average pooling before it leaves {left:,} (Lin et al. 2014, 'Network In Network')",
            {"parameters": layer.parameters, "share": share, "pooled": left},
        )


def _map_sizes(facts: Facts, width: int) -> Iterator[tuple[int, int]]:
    """Channels and cells of maps whose flattening has that width, the last one first; the input is no map."""
    given = {value.storage for value in facts.graph.inputs.values()}
    for call in reversed(facts.graph.calls):
        for value in call.inputs:
            folds = len(value.shape) > 2 and prod(value.shape[1:]) == width and prod(value.shape[2:]) > 1
            if folds and value.storage not in given:
                yield value.shape[1], prod(value.shape[2:])


def _centres(call: Call, channels: int, stride: int) -> bool:
    """Whether a call subtracts the mean of every channel, the channels being those of the bias."""
    x = call.inputs[0]
    return "batch_norm" in call.name and x.shape[1] == channels and x.strides[1] == stride
