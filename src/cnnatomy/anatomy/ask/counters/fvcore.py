"""fvcore: the operators that `torch.jit.trace` writes down, norms and interpolations among them."""

from __future__ import annotations

import math

from cnnatomy.anatomy.ask.counters.seen import RECURRENT, Part, Seen
from cnnatomy.anatomy.record.graph import Call, Value

_PRODUCTS = ("convolution", "_convolution", "mm", "addmm", "bmm", "matmul", "linear")
_BATCH = ("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
_RESIZED = {"upsample_nearest2d": 1, "upsample_bilinear2d": 4, "grid_sampler_2d": 4, "grid_sampler_3d": 4}


def fvcore(seen: Seen) -> list[Part]:
    """By `fvcore.nn.flop_count` and `jit_handles`."""
    worded = {i for i in seen.named("convolution") if seen.visits[seen.calls[i].visit].worded}
    recurrent, attended = seen.within(seen.torchs(*RECURRENT)), seen.attended()
    quick, others = seen.within(seen.quick(gradients=True)), seen.but(*_PRODUCTS)
    counted = set(range(len(seen.calls))) - quick - recurrent - attended - others - worded
    return [
        (_norms(seen), "norms: per element 2 of a batch norm, 5 of others; 1 less without weights"),
        (_means(seen), "adaptive average pooling of maps, 1 per element"),
        (_resized(seen), "interpolation: 4 per output, of the nearest 1"),
        (seen.connections(counted), "connections that a table leaves out"),
        *seen.missing(
            (quick, "attention layers run as one operator where nothing is trained"),
            (recurrent, "recurrent layers are not known to it"),
            (attended, "fused attention is not known to it"),
            (worded, "convolutions whose padding is a word are not known to it"),
            (others, "products that it has no rule for"),
        ),
    ]


def _norms(seen: Seen) -> int:
    found = 0
    for index in seen.named(*_BATCH, "native_layer_norm", "native_group_norm"):
        call = seen.calls[index]
        weighted = isinstance(call.argument("weight"), Value)
        found += call.inputs[0].numel * ((1 if _is_folded(seen, call) else 4) + weighted)
    return found


def _is_folded(seen: Seen, call: Call) -> bool:
    """Whether it is a batch norm with statistics of its own; an instance norm repeats what it owns."""
    if not call.takes("running_mean") or not isinstance(call.argument("running_mean"), Value):
        return False
    own = [one for one in call.inputs[1:] if one.numel]
    return all(one.storage in seen.held for one in own) and not (
        call.takes("training") and call.argument("training")
    )


def _means(seen: Seen) -> int:
    """Of maps alone: torch pools a row by way of a map, and to one cell by a mean over axes -1 and -2."""
    found = 0
    for index in seen.named("mean", "_adaptive_avg_pool2d"):
        call, before = seen.calls[index], seen.calls[index - 1] if index else None
        row = before is not None and before.name == "aten.unsqueeze" and before.outputs[0] == call.inputs[0]
        if not row and (call.name != "aten.mean" or _over_maps(call)):
            found += call.inputs[0].numel
    own = seen.traced("AdaptiveAvgPool2d")
    return found + sum(math.prod(layer.input_shapes[0]) for layer in own)


def _over_maps(call: Call) -> bool:
    return call.takes("dim") and list(call.argument("dim") or ()) == [-1, -2] and call.argument("keepdim")


def _resized(seen: Seen) -> int:
    found = sum(n * seen.calls[i].outputs[0].numel for name, n in _RESIZED.items() for i in seen.named(name))
    for layer in seen.traced("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"):
        for how in (seen.calls[i].argument("how") for i in layer.operations):
            each = 4 if "linear" in how else 1 if "nearest" in how else 0
            found += each * math.prod(layer.output_shapes[0]) * (len(layer.output_shapes[0]) == 4)
    return found
