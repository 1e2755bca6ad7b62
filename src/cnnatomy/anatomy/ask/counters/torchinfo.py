"""torchinfo: for every module without children, its parameters at every output."""

from __future__ import annotations

import math

from cnnatomy.anatomy.ask.counters.seen import Part, Seen
from cnnatomy.anatomy.figures import Layer


def torchinfo(seen: Seen) -> list[Part]:
    """By `LayerInfo.calculate_macs`."""
    linear = spread = transposed = small = known = 0
    for layer in seen.leaves:
        known += layer.macs or 0
        difference = _counted(seen, layer) - (layer.macs or 0)
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


def _counted(seen: Seen, layer: Layer) -> int:
    own = seen.owned(layer)
    if not own or not layer.output_shapes:
        return 0
    shape = layer.output_shapes[0]
    each = shape[0] * math.prod(shape[2:]) if "Conv" in layer.type else shape[0]
    others = [
        n
        for name, n in own.items()
        if name not in ("weight", "bias") and ("weight" in name or "bias" in name)
    ]
    return each * (own.get("weight", 0) + own.get("bias", 0)) + math.prod(shape[:2]) * sum(others)
