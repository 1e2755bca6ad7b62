"""thop: the modules that it has a rule for; what is derived from them is another module to it."""

from __future__ import annotations

import math
from collections.abc import Callable

from cnnatomy.anatomy.ask.counters.seen import RECURRENT, Part, Seen, path_of
from cnnatomy.anatomy.figures import Layer

_RANKS = (1, 2, 3)
_CONVOLUTIONS = [f"Conv{kind}{rank}d" for kind in ("", "Transpose") for rank in _RANKS]
_NORMS = [f"{kind}{rank}d" for kind in ("BatchNorm", "InstanceNorm") for rank in _RANKS]
_UPSAMPLINGS = {"linear1d": 5, "bilinear2d": 11, "bicubic2d": 259} | dict.fromkeys(
    [f"nearest{rank}d" for rank in _RANKS], 1
)
"""Per output, by torch's operators; it has no rule for others."""
_CELLS = {"RNNCell": (1, 0), "LSTMCell": (4, 4), "GRUCell": (3, 4)}
"""Gates, and further operations of a unit."""


def thop(seen: Seen) -> list[Part]:
    """By `thop.profile` and its hooks."""
    known = {"Linear", *_CONVOLUTIONS}
    runs = [seen.layers[i] for i in seen.torchs(*known, *RECURRENT, *_CELLS)]
    convolutions = [layer for layer in runs if layer.type in _CONVOLUTIONS]
    recurrent = [layer for layer in runs if layer.type in (*RECURRENT, *_CELLS)]
    others: list[tuple[str, tuple[str, ...], Callable[[Seen, Layer], int]]] = [
        ("norms, 2 per element, or 4 with weights", (*_NORMS, "LayerNorm"), _norm),
        ("average pooling", tuple(f"{kind}AvgPool{n}d" for kind in ("", "Adaptive") for n in _RANKS), _mean),
        ("interpolation", ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"), _resized),
        ("PReLU, 1 per element", ("PReLU",), lambda _, layer: math.prod(layer.input_shapes[0])),
        ("softmax, 3 per element, 1 less for each vector", ("Softmax",), _softmax),
    ]
    return [
        (
            sum(_convolved(seen, layer) - (layer.macs or 0) for layer in convolutions),
            "transposed convolutions at their output's pixels",
        ),
        (
            sum(_gates(seen, layer) - (layer.macs or 0) for layer in recurrent),
            "gates and biases of recurrent layers",
        ),
        *((sum(rule(seen, seen.layers[i]) for i in seen.torchs(*types)), why) for why, types, rule in others),
        (
            sum(layer.macs or 0 for layer in runs) - seen.macs,
            "products outside of modules that it has a rule for",
        ),
    ]


def _convolved(seen: Seen, layer: Layer) -> int:
    """Every output meets all taps of its group; its second axis is taken for the channels."""
    found = 0
    for call in (seen.calls[index] for index in layer.operations):
        if call.convolves:
            taps = math.prod(call.inputs[1].shape[2:])
            channels = layer.input_shapes[0][1] // call.argument("groups")
            found += math.prod(layer.output_shapes[0]) * channels * taps
    return found


def _norm(seen: Seen, layer: Layer) -> int:
    return (4 if seen.owned(layer) else 2) * math.prod(layer.input_shapes[0])


def _mean(_: Seen, layer: Layer) -> int:
    """One per output; adaptive, one more for each cell of a bin, all bins taken to be equal."""
    given, out = layer.input_shapes[0], math.prod(layer.output_shapes[0])
    if not layer.type.startswith("Adaptive"):
        return out
    bins = math.prod(n / m for n, m in zip(given[2:], layer.output_shapes[0][2:], strict=True))
    return int((bins + 1) * out)


def _resized(seen: Seen, layer: Layer) -> int:
    names = [seen.calls[i].name.removeprefix("aten.upsample_") for i in layer.operations]
    return sum(_UPSAMPLINGS.get(name, 0) for name in names) * math.prod(layer.output_shapes[0])


def _softmax(seen: Seen, layer: Layer) -> int:
    found = 0
    for call in (seen.calls[i] for i in layer.operations):
        if call.name == "aten._softmax":
            whole = call.inputs[0].numel
            found += 3 * whole - whole // call.inputs[0].shape[call.argument("dim")]
    return found


def _gates(seen: Seen, layer: Layer) -> int:
    """By `thop.rnn_hooks`: for each gate its unit's inputs, its like, itself, both biases; and some more."""
    own = seen.shapes.get(path_of(layer), {})
    cell = layer.type.endswith("Cell")
    gates, more = _CELLS[layer.type if cell else f"{layer.type}Cell"]
    biases = 2 if any(name.startswith("bias") for name in own) else 0
    ways = 2 if "weight_ih_l0_reverse" in own else 1
    found = 0
    for name, (rows, columns) in ((n, shape) for n, shape in own.items() if n.startswith("weight_ih")):
        units = rows // gates
        inputs = columns if cell or "_l0" in name else units * ways
        found += units * (gates * (inputs + units + 1 + biases) + more)
    return found * math.prod(layer.input_shapes[0][: 1 if cell else 2])
