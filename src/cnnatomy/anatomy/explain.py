"""Why other tools print other numbers: their counts, by their own rules, of the operations recorded here.

The rules are those of torchinfo 1.8, fvcore 0.1.5, thop 0.1.1, ptflops 0.7 (backend `aten`) and
`torch.utils.flop_counter` of torch 2, read from their sources; each is a function below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from cnnatomy.anatomy.costs.products import CONVOLUTIONS
from cnnatomy.anatomy.graph import Call, Graph, Value
from cnnatomy.anatomy.result import Anatomy, Layer
from cnnatomy.errors import ArgumentError


class Peer(NamedTuple):
    """What another tool would print."""

    tool: str
    macs: int
    """Multiply-accumulates by its rules; a tool that prints FLOPs prints twice as many."""
    why: str
    """What makes it differ from ours, with the numbers; "the same" if nothing does."""


_PARTS = Callable[["_Seen"], list[tuple[int, str]]]


def explain_macs(anatomy: Anatomy) -> list[Peer]:
    """What torchinfo, fvcore, thop, ptflops and FlopCounterMode would count for a network, and why.

    Args:
        anatomy: a whole one, with its recorded pass.

    Raises:
        ArgumentError: the anatomy is partial, has operators that nobody counts, or was read from a file.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy import anatomy
        >>> for peer in explain_macs(anatomy(torch.nn.ConvTranspose2d(1, 1, 2, 2, bias=False), (1, 4, 4))):
        ...     print(peer.tool, peer.macs, peer.why)
        torchinfo 256 +192 transposed convolutions at their output's pixels
        fvcore 64 the same
        thop 256 +192 transposed convolutions at their output's pixels
        ptflops 64 the same
        FlopCounterMode 64 the same
    """
    if anatomy.macs is None or anatomy.graph is None:
        what = (
            "no total to compare with" if anatomy.graph is not None else "an anatomy without its operations"
        )
        raise ArgumentError(what, expected="an anatomy that is whole, and measured here", got=anatomy.reason)
    seen = _Seen(anatomy, anatomy.graph, anatomy.macs)
    found = []
    for tool, parts in _TOOLS.items():
        differences = [(count, why) for count, why in parts(seen) if count]
        why = "; ".join(f"{count:+,} {text}" for count, text in differences) or "the same"
        found.append(Peer(tool, anatomy.macs + sum(count for count, _ in differences), why))
    return found


class _Seen:
    """An anatomy as the rules of other tools see it."""

    def __init__(self, anatomy: Anatomy, graph: Graph, macs: int) -> None:
        self.layers, self.calls, self.macs = anatomy.layers, graph.calls, macs
        self.costs = [operation.cost for operation in anatomy.operations]
        self.weights: dict[str, dict[str, int]] = {}
        for weight in graph.weights:
            if weight.parameter:
                path, _, name = weight.name.rpartition(".")
                self.weights.setdefault(path, {})[name] = math.prod(weight.shape)
        paths = [layer.path.split("#")[0] for layer in anatomy.layers]
        owners = {path.rpartition(".")[0] for path in paths if path}
        self.leaves = [
            x for x in anatomy.layers if x.called and x.leaf and x.path.split("#")[0] not in owners
        ]

    def named(self, *names: str) -> list[int]:
        """Places of the calls of these ATen operators."""
        wanted = {f"aten.{name}" for name in names}
        return [index for index, call in enumerate(self.calls) if call.name in wanted]

    def elements(self, each: int, *names: str) -> int:
        """So many for each element of their first inputs."""
        return each * sum(self.calls[index].inputs[0].numel for index in self.named(*names))

    def biases(self) -> int:
        """Outputs that a convolution or a matrix product adds a bias to."""
        biased = [i for i in self.named("convolution") if isinstance(self.calls[i].argument("bias"), Value)]
        return sum(self.calls[i].outputs[0].numel for i in (*biased, *self.named("addmm", "linear")))

    def attention(self) -> int:
        """MACs within `scaled_dot_product_attention`, which torch takes apart around a softmax of its own."""
        products = self.named("bmm", "baddbmm", "matmul")
        around: set[int] = set()
        for softmax in self.named("_safe_softmax"):
            around |= {max((i for i in products if i < softmax), default=-1)}
            around |= {min((i for i in products if i > softmax), default=-1)}
        whole = [i for i, call in enumerate(self.calls) if "scaled_dot_product" in call.name]
        return sum(self.costs[i].macs or 0 for i in (*(around - {-1}), *whole))

    def fused(self) -> int:
        """MACs within `nn.MultiheadAttention`, which is one operator on real tensors in evaluation mode."""
        return sum(layer.macs or 0 for layer in self.layers if layer.type == "MultiheadAttention")


def _torchinfo(seen: _Seen) -> list[tuple[int, str]]:
    linear = spread = transposed = small = 0
    known = 0
    for layer in seen.leaves:
        own = seen.weights.get(layer.path.split("#")[0], {})
        shape = layer.output_shapes[0] if layer.output_shapes else (0,)
        per_map = shape[0] * math.prod(shape[2:]) if "Conv" in layer.type else shape[0]
        counted = per_map * (own.get("weight", 0) + own.get("bias", 0))
        others = (
            n
            for name, n in own.items()
            if name not in ("weight", "bias") and ("weight" in name or "bias" in name)
        )
        counted += math.prod(shape[:2]) * sum(others)
        known += layer.macs or 0
        difference = counted - (layer.macs or 0)
        if "ConvTranspose" in layer.type:
            transposed += difference
        elif layer.macs == 0:
            small += difference
        elif "Conv" in layer.type:
            spread += difference
        else:
            linear += difference
    return [
        (transposed, "transposed convolutions at their output's pixels"),
        (spread, "biases of convolutions at every pixel"),
        (linear, "linear layers once per input, not once per token, with their biases"),
        (small, "parameters of norms and the like, once per input"),
        (known - seen.macs, "products that no module without children runs"),
    ]


def _fvcore(seen: _Seen) -> list[tuple[int, str]]:
    norms = seen.elements(2, "native_batch_norm", "_native_batch_norm_legit_no_training")
    norms += seen.elements(5, "native_layer_norm", "native_group_norm")
    means = seen.elements(1, "mean", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d")
    sized = seen.named("upsample_bilinear2d", "grid_sampler_2d", "upsample_nearest2d")
    each = {i: 1 if "nearest" in seen.calls[i].name else 4 for i in sized}
    resized = sum(count * seen.calls[i].outputs[0].numel for i, count in each.items())
    return [
        (norms, "norms, 2 per element of a batch norm, 5 of others"),
        (means, "means, 1 per element"),
        (resized, "interpolation, 4 per output"),
        (-seen.attention(), "fused attention is not known to it"),
    ]


_THOP_CONVOLUTIONS = {f"Conv{kind}{rank}d" for kind in ("", "Transpose") for rank in (1, 2, 3)}
_THOP_NORMS = {f"{kind}{rank}d" for kind in ("BatchNorm", "InstanceNorm") for rank in (1, 2, 3)} | {
    "LayerNorm"
}


def _thop(seen: _Seen) -> list[tuple[int, str]]:
    transposed = norms = pools = known = 0
    for layer in seen.leaves:
        out = math.prod(layer.output_shapes[0]) if layer.output_shapes else 0
        if layer.type in _THOP_CONVOLUTIONS or layer.type == "Linear":
            known += layer.macs or 0
            transposed += _at_outputs(seen, layer)
        elif layer.type in _THOP_NORMS:
            own = seen.weights.get(layer.path.split("#")[0])
            norms += (4 if own else 2) * math.prod(layer.input_shapes[0])
        elif layer.type.startswith("AdaptiveAvgPool") and out:
            pools += math.prod(layer.input_shapes[0]) + out
        elif layer.type.startswith("AvgPool"):
            pools += out
    return [
        (transposed, "transposed convolutions at their output's pixels"),
        (norms, "norms, 4 per element"),
        (pools, "average pooling"),
        (known - seen.macs, "products outside of modules that it has a rule for"),
    ]


def _at_outputs(seen: _Seen, layer: Layer) -> int:
    """What a transposed convolution has more if every output, not every input, is given all taps."""
    found = 0
    for call in (seen.calls[index] for index in layer.operations):
        if call.name in CONVOLUTIONS and call.argument("transposed"):
            x, weight = call.inputs[:2]
            here = _pixels(call.outputs[0]) - _pixels(x)
            found += here * x.shape[0] * weight.numel
    return found


def _pixels(value: Value) -> int:
    return math.prod(value.shape[2:])


def _ptflops(seen: _Seen) -> list[tuple[int, str]]:
    return [
        (seen.biases(), "biases, 1 per output"),
        (-seen.attention(), "fused attention is not known to it"),
    ]


_COUNTED = ("convolution", "_convolution", "mm", "addmm", "bmm", "baddbmm", "_scaled_mm")


def _flop_counter(seen: _Seen) -> list[tuple[int, str]]:
    known = set(seen.named(*_COUNTED))
    others = [i for i, call in enumerate(seen.calls) if i not in known and not _is_attention(call)]
    return [
        (-seen.fused(), "MultiheadAttention runs as one operator in evaluation mode, which it does not know"),
        (-sum(seen.costs[i].macs or 0 for i in others), "products that it has no formula for"),
    ]


def _is_attention(call: Call) -> bool:
    return "scaled_dot_product" in call.name


_TOOLS: dict[str, _PARTS] = {
    "torchinfo": _torchinfo,
    "fvcore": _fvcore,
    "thop": _thop,
    "ptflops": _ptflops,
    "FlopCounterMode": _flop_counter,
}
