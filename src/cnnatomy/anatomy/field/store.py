"""What is known of every storage: the tables of the views that it is read and written by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnatomy.anatomy.field.algebra.arrays import EMPTY, Array
from cnnatomy.anatomy.field.algebra.field_table import Shape, Table
from cnnatomy.anatomy.field.algebra.joining import written
from cnnatomy.anatomy.field.algebra.term import Term
from cnnatomy.anatomy.record.graph import Value

View = tuple[Shape, Shape, int]
"""Shape, strides and offset."""


@dataclass(slots=True)
class Store:
    """Tables by storage and view.

    A write through a view that is the whole of a storage replaces what is known of it; one through a box of
    it is put into the table of the largest view; any other is carried out element by element.
    """

    sizes: dict[int, int]
    """Bytes of each storage."""
    nothing: Table
    """A table without terms, of the pass's reading."""
    views: dict[int, View] = field(default_factory=dict)
    """The view of each value by its id: what has been asked for once."""
    known: dict[int, dict[View, Table]] = field(default_factory=dict)

    def view(self, value: Value) -> View:
        """How a value views its storage."""
        found = self.views.get(id(value))
        if found is None:
            found = self.views[id(value)] = view_of(value)
        return found

    def locally(self, alive: Collection[int]) -> Store:
        """A copy that goes on in the local reading, of the storages that are still alive."""
        known = {
            storage: {view: Table(table.shape, table.terms, True) for view, table in tables.items()}
            for storage, tables in self.known.items()
            if storage in alive
        }
        return Store(self.sizes, Table((), (), True), self.views, known)

    @property
    def bytes(self) -> int:
        """Bytes that the tables take; arrays that several of them share are counted once."""
        terms = (term for tables in self.known.values() for table in tables.values() for term in table.terms)
        arrays = {id(base): base.nbytes for term in terms for base in (_owner(term.cells),)}
        return sum(arrays.values())

    def read(self, value: Value) -> Table:
        """The table of a value."""
        tables = self.known.get(value.storage)
        if not tables:
            return self.nothing.empty(value.shape)
        view = self.view(value)
        found = tables.get(view)
        if found is not None:
            return found
        if not value.numel:
            return self.nothing.empty(value.shape)
        base = max(tables, key=lambda known: prod(known[0]))
        found = tables[view] = _derived(tables[base], base, view, self._cells(value))
        return found

    def put(self, value: Value, table: Table) -> None:
        """A new storage's table, or that of one more view."""
        self.known.setdefault(value.storage, {})[self.view(value)] = table

    def write(self, value: Value, table: Table) -> None:
        """Overwrite what a value views."""
        view, tables = self.view(value), self.known.get(value.storage, {})
        if not value.numel:
            return
        if value.bytes >= self.sizes[value.storage] or not tables:
            self.known[value.storage] = {view: table}
            return
        base = max(tables, key=lambda known: prod(known[0]))
        boxes = _box(base, view)
        if boxes is None:
            whole = _flat([(base, tables[base]), (view, table)], self._cells(value))
            self.known[value.storage] = {base: _gathered(whole, base, table)}
            return
        part = table.view(len(cells) for cells in boxes)
        self.known[value.storage] = {base: written(tables[base], part, boxes)}

    def _cells(self, value: Value) -> int:
        return self.sizes[value.storage] // value.dtype.itemsize


def _owner(array: Array) -> Array:
    """The array whose memory an array shows."""
    return array if array.base is None else _owner(array.base)


def view_of(value: Value) -> View:
    """How a value views its storage; the strides of axes of size 1 mean nothing."""
    return value.shape, _strides(value.shape, value.strides), value.offset


@lru_cache(maxsize=4096)
def _strides(shape: Shape, strides: Shape) -> Shape:
    return tuple(s if n > 1 else 0 for n, s in zip(shape, strides, strict=True))


def _derived(table: Table, base: View, view: View, size: int) -> Table:
    if base[2] == view[2] and prod(base[0]) == prod(view[0]) and _dense(base) and _dense(view):
        return table.view(view[0])
    boxes = _box(base, view)
    if boxes is not None:
        for dim, cells in enumerate(boxes):
            table = table.slice(dim, cells)
        return table.view(view[0])
    return _gathered(_flat([(base, table)], size), view, table) if table.terms else table.empty(view[0])


def _dense(view: View) -> bool:
    """Whether a view's elements lie one after the other in row-major order."""
    step = 1
    for n, stride in zip(reversed(view[0]), reversed(view[1]), strict=True):
        if n > 1 and stride != step:
            return False
        step *= n
    return True


def _box(base: View, view: View) -> list[range] | None:
    """The cells of every axis of one view that another one shows, if it shows a box of it."""
    shape, strides, offset = base
    left, start = view[2] - offset, [0] * len(shape)
    own = [(n, stride) for n, stride in zip(view[0], view[1], strict=True) if n > 1]
    if left < 0 or any(stride == 0 for _, stride in own):
        return None
    for dim in sorted(range(len(shape)), key=lambda d: -strides[d]):
        if strides[dim]:
            start[dim], left = divmod(left, strides[dim])
    boxes = []
    for dim, n in enumerate(shape):
        step, count = 1, 1
        aligned = own and strides[dim] and own[0][1] % strides[dim] == 0
        if aligned and start[dim] + (own[0][0] - 1) * (own[0][1] // strides[dim]) < n:
            count, step = own[0][0], own[0][1] // strides[dim]
            own = own[1:]
        boxes.append(range(start[dim], start[dim] + (count - 1) * step + 1, step))
    inside = all(cells.start < n for cells, n in zip(boxes, shape, strict=True))
    return boxes if not left and not own and inside else None


def _flat(views: list[tuple[View, Table]], size: int) -> Array:
    """Every element of a storage of this size, as views write it one after the other."""
    first = next((t for _, table in views for t in table.terms), None)
    kind: Any = np.int32 if first is None else first.cells.dtype
    depth = 2 if first is None else first.cells.shape[-1]
    flat = np.full((size, depth), EMPTY[np.dtype(kind)], kind)
    for view, table in views:
        _window(flat, view)[...] = table.cells() if table.terms else EMPTY[flat.dtype]
    return flat


def _window(flat: Array, view: View) -> Array:
    item, last = flat.strides
    strides = (*(stride * item for stride in view[1]), last)
    return as_strided(flat[view[2] :], (*view[0], flat.shape[1]), strides)


def _gathered(flat: Array, view: View, like: Table) -> Table:
    """The table of any view of elements; axes along which nothing differs are not kept."""
    cells = _window(flat, view).copy()
    for dim in range(cells.ndim - 1):
        first = cells.take([0], dim)
        if bool((cells == first).all()):
            cells = first
    unsure = next((term.unsure for term in like.terms if term.unsure), "")
    why = "memory shared between different views"
    term = Term(view[0], (1,) * len(view[0]), cells, None, why=why, unsure=unsure)
    return Table(view[0], (term,), like.local)
