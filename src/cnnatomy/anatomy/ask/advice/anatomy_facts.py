"""What the rules ask of an anatomy: its windows, who reads a tensor, and what its outputs depend on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from cnnatomy.anatomy.ask.call_uses import depended_on
from cnnatomy.anatomy.ask.resizing import Resizing
from cnnatomy.anatomy.figures import Operation
from cnnatomy.anatomy.record.call_windows import slid, spatial, transposes
from cnnatomy.anatomy.record.graph import Call, Graph
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.geometry import Window

_AXES = ("depth", "height", "width")


@dataclass(frozen=True, slots=True)
class Site:
    """A window operator where it stands."""

    index: int
    """Its call."""
    call: Call
    layer: str
    """The path of its layer."""
    windows: tuple[Window, ...]
    sizes: tuple[int, ...]
    """Cells of its input on the axes that the windows slide over."""
    transposed: bool

    @property
    def pools(self) -> bool:
        """Whether it is a pooling."""
        return "pool" in self.call.name

    @property
    def axes(self) -> list[tuple[str, Window, int]]:
        """Name, window and cells of every axis; equal ones once, named `axis`."""
        pairs = list(zip(self.windows, self.sizes, strict=True))
        if len(set(pairs)) == 1:
            return [("axis", *pairs[0])]
        return [(name, *pair) for name, pair in zip(_AXES[-len(pairs) :], pairs, strict=True)]


class Facts:
    """An anatomy with what its rules look up; found when first asked for.

    Args:
        anatomy: a recorded one.
        object_size: cells of what the network is to see whole; None if it is not known.
        model: the network itself, for what a recorded pass does not hold.
    """

    def __init__(
        self, anatomy: Anatomy, object_size: int | None = None, model: nn.Module | None = None
    ) -> None:
        assert anatomy.graph is not None
        self.anatomy, self.object_size, self.model = anatomy, object_size, model
        self.graph: Graph = anatomy.graph

    @cached_property
    def sites(self) -> list[Site]:
        """Every operator that slides windows, in running order."""
        found = []
        for index, call in enumerate(self.graph.calls):
            if windows := slid(call):
                sizes = spatial(call.inputs[0], windows)
                found.append(Site(index, call, self.layer(index), windows, sizes, transposes(call)))
        return found

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """The calls that read each storage's values, views aside."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for index, call in enumerate(self.graph.calls):
            if not call.is_view:
                for storage in dict.fromkeys(value.storage for value in call.inputs):
                    found[storage].append(index)
        return dict(found)

    @cached_property
    def alive(self) -> set[int]:
        """The calls that an output of the model depends on."""
        return depended_on(self.graph)

    @cached_property
    def called(self) -> set[str]:
        """The paths of the modules that ran, or in which a module ran; the model's own is the empty one."""
        found = {""}
        for visit in self.graph.visits:
            parts = visit.path.split(".")
            found |= {".".join(parts[: i + 1]) for i in range(len(parts))}
        return found

    @cached_property
    def makers(self) -> dict[int, int]:
        """The call that first made each storage."""
        found: dict[int, int] = {}
        for index, call in enumerate(self.graph.calls):
            for value in call.outputs:
                found.setdefault(value.storage, index)
        return found

    def unpadded(self, site: Site) -> tuple[int, ...]:
        """The sizes of a window operator's input before a padding operator, if one stands right before it."""
        made = self.makers.get(site.call.inputs[0].storage)
        source = (
            site.call if made is None or "pad" not in self.graph.calls[made].name else self.graph.calls[made]
        )
        return spatial(source.inputs[0], site.windows)

    @cached_property
    def resizing(self) -> Resizing:
        """The recorded pass on other input sizes."""
        return Resizing(self.graph)

    @cached_property
    def clean_sizes(self) -> tuple[int, ...]:
        """The nearest input sizes, one below and one above, on which no window loses a cell."""
        return self.resizing.nearest(lambda one: not one.lost)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, one for each call."""
        return self.anatomy.operations

    def layer(self, index: int) -> str:
        """The path of the layer that a call ran in."""
        return self.anatomy.layers[self.anatomy.operations[index].layer].path
