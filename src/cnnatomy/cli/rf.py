"""`cnnatomy rf`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from cnnatomy.cli.argument_parsing import CODE, Command
from cnnatomy.cli.network_argument import MODELS, Network
from cnnatomy.cli.size_arguments import place_of
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.anatomy import Anatomy
    from cnnatomy.anatomy.field import Field

COMMAND = Command(
    "rf",
    {
        "examples": {
            "cnnatomy rf lenet5 c3 --at 4,4": "what a unit of a layer sees",
            "cnnatomy rf lenet5 s4": "the same of its middle unit",
            "cnnatomy rf torchvision:resnet50 layer3 --at 6,6 --input 3x224x224": "in one of torchvision",
        },
        "models": MODELS,
        "code and data": CODE,
    },
)


@dataclass(frozen=True)
class Arguments(Network):
    """What `rf` is told."""

    layer: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="LAYER")] = tyro.MISSING
    """A layer by its path, such as layer3.0.conv1; layer#2 for its second call."""
    at: Annotated[str | None, tyro.conf.arg(metavar="Y,X", help_behavior_hint="")] = None
    """The unit's place on the layer's map. Left out: the middle."""
    channel: int = 0
    """Its channel."""
    reading: Literal["exact", "local"] = "exact"
    """As it is, or with reductions over whole maps (such as squeeze-excite) set aside."""


def main(words: Sequence[str]) -> None:
    """Show what one unit sees."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    arguments.check()
    at = place_of("--at", arguments.at)
    from cnnatomy.anatomy.layer_search import find

    known = arguments.measure(arguments.load(), training=False)
    if known.reason is not None and not known.layers:
        raise ArgumentError(f"nothing was measured: {known.reason}")
    found = find(arguments.layer, [layer.path for layer in known.layers])
    fields = _fields(known, found, arguments.reading)
    from cnnatomy.anatomy.present.map_layout import layout, unit_at
    from cnnatomy.cli.console import output
    from cnnatomy.cli.rf_view import show

    order, shape = layout(fields), fields[0].shape
    middle = tuple((shape[dim] - 1) // 2 for dim in order[1:] if dim)
    place = middle if at is None else at
    unit = unit_at(fields, place, arguments.channel)
    show(known, known.layers[found], fields, unit, place, arguments.reading, output())


def _fields(known: Anatomy, found: int, reading: Literal["exact", "local"]) -> tuple[Field, ...]:
    from cnnatomy.anatomy.present.rows import fields_of, made_by

    made, layer = made_by(known, found), known.layers[found]
    fields = fields_of(known, found, reading=reading)
    if not fields or len(fields[0].shape) < 2:
        what = f"layer {layer.path!r}" if layer.path else "the model"
        why = "computed nothing" if layer.called else "was not called"
        raise ArgumentError(f"{what} {why if not made else 'returns no map'}: it has no receptive field")
    return fields
