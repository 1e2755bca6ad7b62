"""How the forward pass of a pooling runs: which kernel, and the tables that it reads."""

from __future__ import annotations

import math
from functools import lru_cache

from cnnatomy.backends.cpu.pooling import fold_forward, scan_forward
from cnnatomy.backends.cpu.pooling.forward_common import SLOTS
from cnnatomy.backends.cpu.pooling.window import LONGEST, UNUSED, Key, Layout, Plan, Strided
from cnnatomy.backends.cpu.runtime.sizes import aligned
from cnnatomy.reducers.contract import Fold, Scan
from cnnatomy.regions import Axis

_FEW = 9
"""Windows of at most so many taps are read tap by tap where vectors run over channels."""


@lru_cache(maxsize=512)
def forward_plan(key: Key) -> Plan:
    """How to run the forward pass."""
    layout, reducer = Layout(key), key.reducer
    kept = len(reducer.saves) if key.track else 0
    pointers = 2 + len(reducer.companions) + kept + reducer.draws
    assert isinstance(reducer, Fold | Scan), f"{reducer} has no kernel"
    if isinstance(reducer, Scan):
        return _scan_plan(key, layout, reducer, pointers)
    width, across = layout.w, layout.across
    direct = _direct(layout, reducer)
    row = _forward_tables(layout, across)
    run = key.lanes == 1 and width.step == 1 and width.taps >= layout.widths[0]
    columns = width.taps if width.taps <= LONGEST else 0
    spec = fold_forward.Forward(
        *(reducer, key.dtype, key.taps, key.track, across, len(layout.axes)),
        *(layout.h.taps, columns, layout.widths, run, direct),
        layout.alike if across or direct else 0.0,
        _even(layout.d, layout.h) if direct or (across and across.fused) else 0,
    )
    path = "fused" if across and across.fused else "strided" if across else "direct" if direct else "tabled"
    kept_rows = {"strided": fold_forward.BLOCK, "tabled": 1}.get(path, 0)  # rows of states
    most = max(len(fold.fields(key.track)) for fold in (reducer, reducer.quick or reducer))
    scratch = row * most * kept_rows
    return layout.plan(spec, SLOTS, path, layout.d.outputs * layout.h.outputs, scratch, pointers)


def _even(depth: Axis, height: Axis) -> int:
    """The stride of windows down, if they cut every plane of one slice into rows of whole windows; else 0."""
    stride = height.window.stride if height.window else height.size
    cut = [o * stride for o in range(height.outputs)] == list(height.table.start)
    whole = min(height.table.count) == height.taps and height.outputs * stride == height.size
    flat = depth.size == depth.outputs == depth.taps == 1 and depth.origin(0) == 0
    return stride if cut and whole and flat else 0


def _direct(layout: Layout, reducer: Fold) -> bool:
    """True if an output's columns are better folded where they are merged than shared between outputs.

    That is so where no column is read twice, and where reading it again is cheaper than keeping its state.
    """
    window = layout.w.window
    if layout.across or window is None:
        return False
    few = layout.d.taps * layout.h.taps * layout.w.taps <= _FEW and reducer.quick is None
    return few or window.extent <= min(window.stride, LONGEST)


def _scan_plan(key: Key, layout: Layout, reducer: Scan, pointers: int) -> Plan:
    kernel = (layout.d.taps, layout.h.taps, layout.w.taps)
    few = math.prod(kernel) <= scan_forward.FEW
    across = layout.across if few else None
    _forward_tables(layout, across)
    way: scan_forward.Way = "columns" if across else "lanes" if few else "looped"
    spec = scan_forward.Scanned(
        *(reducer, key.dtype, key.taps, key.track, way, across),
        *(kernel if few else (1, 1, 1), layout.sizes["pad"], layout.widths),
    )
    return layout.plan(spec, SLOTS, way, layout.d.outputs * layout.h.outputs, 0, pointers)


def _forward_tables(layout: Layout, across: Strided | None) -> int:
    """Lay out the tables of a forward kernel; the bytes of one scratch row."""
    width, sizes, lanes = layout.w, layout.sizes, layout.key.lanes
    for letter, axis in (("d", layout.d), ("h", layout.h), ("w", None if across else width)):
        table = axis.table if axis else UNUSED  # vectors over columns need no table
        columns = {"start": table.start, "count": table.count, "skip": table.skip}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}
        sizes[f"{letter}_step"] = table.step
    row, pad = width.size * lanes, 0
    if across and width.window:
        pad = width.window.padding[0]
        last = (width.outputs - 1) * across.stride + width.window.extent
        row = max(pad + row, last) + across.stride * layout.widths[0]  # vectors read a little further
    sizes |= {"pad": pad, "scratch_row": aligned(row * layout.item)}
    return sizes["scratch_row"]
