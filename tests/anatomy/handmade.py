"""An anatomy written by hand, with all that presentations must cope with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnnatomy.anatomy import Anatomy, Cost, Layer, Memory, Operation

_NOTHING: dict[str, Any] = {
    "called": True,
    "input_shapes": ((1, 3, 8, 8),),
    "output_shapes": (),
    **dict.fromkeys(("trainable", "frozen", "shared", "absent", "macs", "flops", "read", "written"), 0),
    "activations": 0,
    "saved": 0,
    "operations": (),
    "children": (),
    "outputs": (),
}


def layer(path: str, kind: str, depth: int, parent: int | None, **more: Any) -> Layer:
    """A layer of which only this is known."""
    return Layer(path, kind, depth, parent, **(_NOTHING | more))


def operation(index: int, at: int, macs: int | None, flops: int | None, **more: Any) -> Operation:
    """An operation that reads 1000 bytes and writes 24."""
    cost = Cost(macs, flops, 1000, 24, **more)
    name = ("convolution", "add", "relu")[index % 3]
    return Operation(index, name, at, ((1, 3, 8, 8),), ((1, 4, 6, 6),), cost)


MAP = ((1, 4, 6, 6),)
ANATOMY = Anatomy(
    model="Net",
    inputs={"0": (1, 3, 8, 8)},
    outputs={"0": (1, 10)},
    operations=(
        operation(0, 2, 15_552, 31_248, formula="4·6·6 outputs × 3·3·12 taps = 15,552"),
        operation(1, 1, 0, 144),
        operation(2, 3, 15_552, 31_248),
        operation(3, 4, 1440, 2890),
    ),
    layers=(
        layer("", "Net", 0, None, macs=32_544, flops=65_530, children=(1, 4), saved=900,
              output_shapes=((1, 10),)),
        layer("block", "<b>Block|</b>", 1, 0, macs=31_104, flops=62_640, saved=800, children=(2, 3),
              operations=(1,), output_shapes=MAP, activations=576, outputs=(2,)),
        layer("block.conv#1", "Conv2d", 2, 1, trainable=112, frozen=4, macs=15_552, flops=31_248, saved=500,
              operations=(0,), output_shapes=MAP, activations=576, absent=7),
        layer("block.conv#2", "Conv2d", 2, 1, shared=116, macs=15_552, flops=31_248, saved=300,
              operations=(2,), output_shapes=MAP, activations=576),
        layer("head", "Head", 1, 0, trainable=1450, macs=1440, flops=2890, saved=100, operations=(3,),
              output_shapes=((1, 10), (1, 4)), activations=56),
        layer("unused", "Linear", 1, 0, called=False, trainable=20, saved=None),
    ),
    memory=Memory(weights=6344, inference=2048, saved=900, training=123_456_789),
    notes=("hooks of the caller, not run: 1",),
)  # fmt: skip
"""A block that calls one convolution twice and adds, a head of two outputs, and a layer never called."""

PARTIAL = replace(ANATOMY, reason="layer 'head' cannot run without data", memory=None)

STRANGE = replace(
    ANATOMY,
    operations=(*ANATOMY.operations[:3], operation(3, 4, None, None)),
    layers=(
        replace(ANATOMY.layers[0], macs=None, flops=None),
        *ANATOMY.layers[1:4],
        replace(ANATOMY.layers[4], macs=None, flops=None),
        ANATOMY.layers[5],
    ),
)
"""The same with an operator that nobody counts."""
