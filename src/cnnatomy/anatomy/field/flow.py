"""Tables of one input axis carried through a recorded pass, operator by operator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cnnatomy.anatomy.field.algebra.arrays import members
from cnnatomy.anatomy.field.algebra.field_table import Table
from cnnatomy.anatomy.field.rules import NotKnown, everything, rule_of
from cnnatomy.anatomy.field.rules.rule_registry import Rule
from cnnatomy.anatomy.field.store import Store, View, view_of
from cnnatomy.anatomy.readings import Reading
from cnnatomy.anatomy.record.graph import Call, Graph, Value


@dataclass(frozen=True, slots=True)
class Step:
    """A call, and what of it is the same for every axis."""

    call: Call
    rule: Rule
    sources: tuple[Value, ...]
    """What it reads."""
    outputs: list[tuple[Value, bool]]
    """What it returns, and whether that is an argument that it has written."""
    full: bool
    """Whether every tensor that it returns has elements."""
    some: bool
    """Whether any has; rules are not asked of what is empty."""
    written: list[Value]
    """What it writes and does not return."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Tables of one axis of one input."""

    calls: list[tuple[Table, ...]]
    """Of the outputs of every call."""
    visits: list[tuple[Table, ...]]
    """Of what every module call returned, as it was when it returned."""
    outputs: tuple[Table, ...]
    """Of what the model returned."""


class Plan:
    """A recorded pass, made ready to carry tables.

    Args:
        graph: the pass.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.views: dict[int, View] = {}
        self._flows: dict[tuple[str, int, Reading], Flow] = {}
        self._forks: dict[tuple[str, int], tuple[int, Store] | None] = {}
        self.leaving: dict[int, list[int]] = {}
        for number, visit in enumerate(graph.visits):
            self.leaving.setdefault(visit.stop, []).append(number)

    @cached_property
    def steps(self) -> list[Step]:
        """Its calls."""
        return list(map(_step, self.graph.calls))

    def alive(self, call: int) -> set[int]:
        """The storages that something may still read from a call on."""
        freed = self.graph.freed
        return {storage for storage in self.graph.sizes if freed.get(storage, call) >= call}

    def flow(self, name: str, axis: int, reading: Reading) -> Flow:
        """Carry one axis of one input through the pass, once."""
        at = name, axis, reading
        if at not in self._flows:
            self._flows[at] = self._local(name, axis) if reading == "local" else self._exact(name, axis)
        return self._flows[at]

    def _exact(self, name: str, axis: int) -> Flow:
        run = Run(self, self.start(name, axis, False))
        run.go(len(self.steps), watched=True)
        self._forks[name, axis] = run.fork
        return run.flow()

    def _local(self, name: str, axis: int) -> Flow:
        """The same as the exact one up to where something is first seen whole."""
        exact = self.flow(name, axis, "exact")
        fork = self._forks.pop((name, axis))
        if fork is None:
            return exact
        at, store = fork
        run = Run(self, store, exact.calls[:at], exact.visits)
        run.go(len(self.steps))
        return run.flow()

    def seen(self, name: str, axis: int, most: int) -> NDArray[np.bool_] | None:
        """Whether the outputs of the model see each cell; None if to tell takes more bytes than `most`.

        The set of every unit is carried on, gaps and all, as long as something will read its tensor.
        """
        cells = self.graph.inputs[name].shape[axis]
        store = self.start(name, axis, True)
        for at, step in enumerate(self.steps):
            _kept(step, _found(step, store), store)
            for storage in self._freed.get(at, ()):
                store.known.pop(storage, None)
            if store.bytes > most:
                return None
        wholes = (store.read(value) for value in self.graph.outputs.values())
        arrays = [table.reduce(range(len(table.shape))).cells() for table in wholes if table.terms]
        found = np.zeros(cells, np.bool_)
        for array in arrays:
            found |= members(array.reshape(-1), cells)
        return found

    @cached_property
    def _freed(self) -> dict[int, list[int]]:
        """The storages that no call uses after this one; the model may keep some of them until it is left."""
        last = {
            value.storage: at
            for at, call in enumerate(self.graph.calls)
            for value in (*call.inputs, *call.outputs)
        }
        found: dict[int, list[int]] = {}
        for storage in last.keys() - {value.storage for value in self.graph.outputs.values()}:
            found.setdefault(last[storage], []).append(storage)
        return found

    def start(self, name: str, axis: int, sets: bool) -> Store:
        """What is known before the first call."""
        value = self.graph.inputs[name]
        store = Store(self.graph.sizes, Table(()), self.views)
        store.put(value, Table.of(value.shape, axis, sets))
        return store


class Run:
    """One passage: the store, and what has been found so far."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        calls: list[tuple[Table, ...]] | None = None,
        visits: list[tuple[Table, ...]] | None = None,
    ) -> None:
        self.plan, self.store = plan, store
        self.calls = list(calls or [])
        self.visits = list(visits or [()] * len(plan.graph.visits))
        self.fork: tuple[int, Store] | None = None
        self._leave()

    def go(self, stop: int, watched: bool = False) -> None:
        """Carry on to a call; if watched, keep a copy of the store from before anything was seen whole."""
        seen: set[int] = set()
        for at in range(len(self.calls), stop):
            step = self.plan.steps[at]
            found = _found(step, self.store)
            if (
                watched
                and self.fork is None
                and any(id(table) not in seen and _may_be_whole(table) for table in found)
            ):
                self.fork = at, self.store.locally(self.plan.alive(at))
            seen.update(map(id, found))
            _kept(step, found, self.store)
            self.calls.append(tuple(found))
            if at + 1 in self.plan.leaving:
                self._leave()

    def flow(self) -> Flow:
        """What was found."""
        outputs = tuple(map(self.store.read, self.plan.graph.outputs.values()))
        return Flow(self.calls, self.visits, outputs)

    def _leave(self) -> None:
        for number in self.plan.leaving.get(len(self.calls), ()):
            self.visits[number] = tuple(map(self.store.read, self.plan.graph.visits[number].outputs))


def _step(call: Call) -> Step:
    outputs = call.outputs
    writes = call.written() if call.writes else []
    written = {(value.storage, view_of(value)) for value in writes}
    returned = {(value.storage, view_of(value)) for value in outputs} if writes else set()
    elements = [value.numel for value in outputs]
    return Step(
        call,
        rule_of(call) or everything,
        call.read,
        [(value, bool(written) and (value.storage, view_of(value)) in written) for value in outputs],
        all(elements),
        any(elements),
        [value for value in writes if (value.storage, view_of(value)) not in returned],
    )


def _found(step: Step, store: Store) -> list[Table]:
    """The outputs' tables; nothing is asked of a rule where no input depends on anything."""
    known = store.known
    for value in step.sources if step.some else ():
        if value.storage in known and store.read(value).terms:
            break
    else:
        return [store.nothing.empty(value.shape) for value, _ in step.outputs]
    try:
        tables = step.rule(step.call, store.read)
    except NotKnown:
        tables = everything(step.call, store.read)
    found = [tables] if isinstance(tables, Table) else list(tables)
    if step.full and len(found) == len(step.outputs):
        return found
    outputs = [value for value, _ in step.outputs]
    found = found[: len(outputs)]
    found += [store.nothing.empty(value.shape) for value in outputs[len(found) :]]
    pairs = zip(outputs, found, strict=True)
    return [table if value.numel else store.nothing.empty(value.shape) for value, table in pairs]


def _kept(step: Step, found: list[Table], store: Store) -> None:
    for (value, written), table in zip(step.outputs, found, strict=True):
        if written:
            store.write(value, table)
        else:
            store.put(value, table)
    for value in step.written:  # and not returned, as by `_foreach_` operators
        tables = everything(step.call, store.read)
        one = tables[0].reduce(range(len(tables[0].shape))).view(()) if tables else store.nothing
        store.write(value, one.expand(value.shape))


def _may_be_whole(table: Table) -> bool:
    """Whether the local reading may differ from here on."""
    return any(term.law is None or not term.marks or bool(np.isinf(term.law).any()) for term in table.terms)
