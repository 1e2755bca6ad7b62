"""Receptive fields by call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod

import numpy as np

from cnnatomy.anatomy.field.algebra.field_table import Table
from cnnatomy.anatomy.field.axis_field import Field, Place
from cnnatomy.anatomy.field.flow import Flow, Plan
from cnnatomy.anatomy.field.law import law_of, places
from cnnatomy.anatomy.readings import Reading
from cnnatomy.anatomy.record.call_windows import slid, spatial, transposes
from cnnatomy.anatomy.record.graph import Graph
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window
from cnnatomy.geometry.axis_table import left_out

_MOST = 2**29
"""Bytes of the sets of cells that units see, beyond which they are not determined."""


class Fields:
    """The receptive fields of a recorded pass, each axis found when first asked for.

    The interval of a unit is the hull of the cells that it depends on by structure: learned weights are
    taken to be nonzero, fixed coefficients that are zero do not count. A union of hulls is the hull of the
    union, so that operators with known taps lose nothing.
    Units at the borders are exact: their taps are clipped.

    Two readings: `"exact"`, and `"local"`, in which what reads a whole axis at once (global pooling,
    squeeze-excite, group normalization, attention over the map) is set aside; without that every unit behind
    it sees everything.

    Args:
        graph: a recorded pass.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill
    2019, whose one size, stride and start per layer are the borderless law of a chain of windows.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.MaxPool2d(2))
        >>> graph = trace(net, [torch.zeros(1, 1, 6, 6)])
        >>> rows, columns = Fields(graph).of(len(graph.calls) - 1)
        >>> rows.law.size, rows.law.jump, rows.law.start
        (4, Fraction(2, 1), -1)
        >>> rows.interval((0, 0, 0, 0)), rows.interval((0, 0, 1, 0))
        (range(0, 3), range(1, 5))
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._plan = Plan(graph)

    @property
    def axes(self) -> list[tuple[str, int]]:
        """The tracked axes, as (input, axis): all but the first two of every input."""
        inputs = self.graph.inputs.items()
        return [(name, axis) for name, value in inputs for axis in range(2, len(value.shape))]

    def of(self, call: int, output: int = 0, reading: Reading = "exact") -> tuple[Field, ...]:
        """The fields of one output of a call, one for each spatial axis of every input.

        Args:
            call: its index among the graph's calls.
            output: which of its outputs.
            reading: `"exact"` or `"local"`.

        Raises:
            ArgumentError: there is no such call, output or reading.
        """
        self._check(call, output)
        flows = self._all(reading)
        return self._fields([flow.calls[call][output] for flow in flows])

    def returned(self, visit: int, output: int = 0, reading: Reading = "exact") -> tuple[Field, ...]:
        """The fields of what a module returned, as it was then: parts may be written after a tensor's making.

        Args:
            visit: the module call, as an index into the graph's visits.
            output: which of the tensors that it returned.
            reading: `"exact"` or `"local"`.

        Raises:
            ArgumentError: there is no such module call, output or reading.
        """
        visits = self.graph.visits
        if not 0 <= visit < len(visits):
            raise ArgumentError(f"no module call {visit}", expected=f"0 .. {len(visits) - 1}")
        if not 0 <= output < len(visits[visit].outputs):
            count = len(visits[visit].outputs)
            raise ArgumentError(f"no output {output}", expected=f"one of {count} tensors returned")
        flows = self._all(reading)
        return self._fields([flow.visits[visit][output] for flow in flows])

    def unread(self, input: str, axis: int) -> tuple[range, ...] | None:
        """Cells of an input that no output of the model reads, as ranges of neighbours.

        Returns:
            None if that was not determined: the sets of cells that units see, which are kept for every tensor
            that is still to be read, take more than 512 MiB.

        Raises:
            ArgumentError: there is no such input, or it has no such axis.

        Example:
            >>> import torch
            >>> from cnnatomy.anatomy.record.tracing import trace
            >>> Fields(trace(torch.nn.MaxPool2d(3), [torch.zeros(1, 1, 7, 9)])).unread("0", 2)
            (range(6, 7),)
        """
        if (input, axis) not in self.axes:
            raise ArgumentError("no such axis", expected=f"one of {self.axes}", got=repr((input, axis)))
        n = self.graph.inputs[input].shape[axis]
        seen = self._plan.seen(input, axis, _MOST)
        if seen is None:
            return None
        return left_out(n, [range(int(i), int(i) + 1) for i in np.flatnonzero(seen)])

    def padding(self, call: int) -> float | None:
        """The share of a window operator's taps that fall into its own padding; None for other operators.

        Raises:
            ArgumentError: there is no such call.
        """
        self._check(call)
        one = self.graph.calls[call]
        windows = () if transposes(one) else slid(one)
        if not windows:
            return None
        sizes = spatial(one.inputs[0], windows)
        return 1 - prod(_inside(window, n) for window, n in zip(windows, sizes, strict=True))

    def _fields(self, tables: Sequence[Table]) -> tuple[Field, ...]:
        """Those of one tensor, from its tables of every axis."""
        lie = list(map(places, tables))
        known = {place for some in lie for place in some}
        parts = zip(self.axes, tables, lie, strict=True)
        return tuple(self._field(at, table, known - own) for at, table, own in parts)

    def _field(self, at: tuple[str, int], table: Table, others: Iterable[Place]) -> Field:
        name, axis = at
        cells = table.cells()
        unsure = next((term.unsure for term in table.terms if term.unsure), "")
        n = self.graph.inputs[name].shape[axis]
        law, place = law_of(table, others)
        return Field(name, axis, n, table.shape, cells[..., 0], -cells[..., 1], law, place, unsure)

    def _all(self, reading: Reading) -> list[Flow]:
        """The flows of every axis, found once."""
        if reading not in ("exact", "local"):
            raise ArgumentError("no such reading", expected="'exact' or 'local'", got=repr(reading))
        return [self._plan.flow(*at, reading) for at in self.axes]

    def _check(self, call: int, output: int = 0) -> None:
        calls = self.graph.calls
        if type(call) is not int or not 0 <= call < len(calls):
            name = getattr(call, "path", call)
            hint = None if isinstance(name, int) else f"known[{name!r}].field, for a layer by its name"
            raise ArgumentError(f"no call {call!r}", expected=f"0 .. {len(calls) - 1}", hint=hint)
        outputs = len(calls[call].outputs)
        if type(output) is not int or not 0 <= output < max(outputs, 1):
            raise ArgumentError(f"the call has no output {output}", expected=f"0 .. {outputs - 1}")


@lru_cache(maxsize=1024)
def _inside(window: Window, n: int) -> float:
    """The share of a window's taps on an axis that fall on the input."""
    table = window.table(n)
    return sum(table.count) / (window.kernel * table.outputs)
