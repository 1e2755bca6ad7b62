"""How the forward pass of a pooling runs: which kernel, and the tables that it reads."""

from __future__ import annotations

from functools import lru_cache

from cnnatomy.backends.cpu.pooling import fold_forward, scan_forward
from cnnatomy.backends.cpu.pooling.forward_common import SLOTS
from cnnatomy.backends.cpu.pooling.kernel_choice import Choice, Way, choose
from cnnatomy.backends.cpu.pooling.window_tables import LONGEST, UNUSED, Key, Layout, Plan
from cnnatomy.backends.cpu.runtime.sizes import aligned
from cnnatomy.reducers.contract import Fold, Scan
from cnnatomy.regions import Axis

_FEW = 9
"""Windows of at most so many taps are read tap by tap where vectors run over channels."""


@lru_cache(maxsize=512)
def forward_plan(key: Key) -> Plan:
    """How to run the forward pass."""
    assert isinstance(key.reducer, Fold | Scan), f"{key.reducer} has no kernel"
    return choose(FORWARD, Layout(key))


# when each way is taken


def _by_columns(layout: Layout) -> bool:
    """a scan of up to 32 taps in a regular window, channels first"""
    return _in_registers(layout) and layout.across is not None


def _in_registers(layout: Layout) -> bool:
    """any other scan of up to 32 taps"""
    taps = layout.d.taps * layout.h.taps * layout.w.taps
    return _scans(layout) and taps <= scan_forward.FEW


def _scans(layout: Layout) -> bool:
    """any other scan"""
    return isinstance(layout.key.reducer, Scan)


def _fused(layout: Layout) -> bool:
    """a fold over windows as long as their stride, without padding across, channels first"""
    return layout.across is not None and layout.across.fused


def _strided(layout: Layout) -> bool:
    """a fold over any other regular window of up to 8 columns and stride up to 8, channels first"""
    return layout.across is not None


def _direct(layout: Layout) -> bool:
    """a fold over regular windows that share no columns, or of up to 9 taps without exponentials"""
    window, reducer = layout.w.window, layout.key.reducer
    if window is None or not isinstance(reducer, Fold):
        return False
    few = layout.d.taps * layout.h.taps * layout.w.taps <= _FEW and reducer.fast.fold is None
    return few or window.extent <= min(window.stride, LONGEST)


def _any(layout: Layout) -> bool:
    """any other fold"""
    return isinstance(layout.key.reducer, Fold)


# plans


def _scan(layout: Layout, way: Way) -> Plan:
    """The plan of a scan."""
    key, reducer = layout.key, layout.key.reducer
    assert isinstance(reducer, Scan)
    kernel = (1, 1, 1) if way is Way.LOOP else (layout.d.taps, layout.h.taps, layout.w.taps)
    across = layout.across if way is Way.COLUMNS else None
    _tables(layout, way)
    spec = scan_forward.Scanned(
        *(reducer, key.dtype, key.taps, key.track, way, across),
        *(kernel, layout.sizes["pad"], layout.widths),
    )
    return layout.plan(spec, SLOTS, way, layout.d.outputs * layout.h.outputs, 0, _tensors(key))


def _fold(layout: Layout, way: Way) -> Plan:
    """The plan of a fold."""
    key, reducer, width = layout.key, layout.key.reducer, layout.w
    assert isinstance(reducer, Fold)
    row = _tables(layout, way)
    run = key.lanes == 1 and width.step == 1 and width.taps >= layout.widths[0]
    columns = width.taps if width.taps <= LONGEST else 0
    spec = fold_forward.Forward(
        *(reducer, key.dtype, key.taps, key.track, layout.across, len(layout.axes)),
        *(layout.h.taps, columns, layout.widths, run, way is Way.DIRECT),
        0.0 if way is Way.TABLE else layout.constant_divisor,
        _even(layout.d, layout.h) if way in (Way.DIRECT, Way.FUSED) else 0,
    )
    kept_rows = {Way.STRIDED: fold_forward.BLOCK, Way.TABLE: 1}.get(way, 0)  # rows of states
    most = max(len(fold.fields(key.track)) for fold in (reducer, reducer.fast.fold or reducer))
    units, scratch = layout.d.outputs * layout.h.outputs, row * most * kept_rows
    return layout.plan(spec, SLOTS, way, units, scratch, _tensors(key))


def _tensors(key: Key) -> int:
    """How many tensors a kernel is given."""
    saved = len(key.reducer.saves) if key.track else 0
    return 2 + len(key.reducer.companions) + saved + key.reducer.draws


def _even(depth: Axis, height: Axis) -> int:
    """The stride of windows down, if they cut every plane of one slice into rows of whole windows; else 0."""
    stride = height.window.stride if height.window else height.size
    cut = [o * stride for o in range(height.outputs)] == list(height.table.start)
    whole = min(height.table.count) == height.taps and height.outputs * stride == height.size
    flat = depth.size == depth.outputs == depth.taps == 1 and depth.origin(0) == 0
    return stride if cut and whole and flat else 0


def _tables(layout: Layout, way: Way) -> int:
    """Lay out the tables of a forward kernel; the bytes of one scratch row."""
    width, sizes = layout.w, layout.sizes
    across = layout.across if way in (Way.COLUMNS, Way.FUSED, Way.STRIDED) else None
    for letter, axis in (("d", layout.d), ("h", layout.h), ("w", None if across else width)):
        table = axis.table if axis else UNUSED  # vectors over columns need no table
        columns = {"start": table.start, "count": table.count, "skip": table.skip}
        sizes |= {f"{letter}_{what}": layout.array(numbers) for what, numbers in columns.items()}
        sizes[f"{letter}_step"] = table.step
    row, pad = width.size * layout.key.lanes, 0
    if across and width.window:
        pad = width.window.padding[0]
        last = (width.outputs - 1) * across.stride + width.window.extent
        row = max(pad + row, last) + across.stride * layout.widths[0]  # vectors read a little further
    sizes |= {"pad": pad, "scratch_row": aligned(row * layout.item)}
    return sizes["scratch_row"]


FORWARD = (
    Choice(Way.COLUMNS, _by_columns, "holds all taps in registers; vectors run over output columns", _scan),
    Choice(Way.CHANNELS, _in_registers, "holds all taps in registers; vectors run over channels", _scan),
    Choice(Way.LOOP, _scans, "reads the taps again and again in loops; vectors run over channels", _scan),
    Choice(Way.FUSED, _fused, "folds each column where it is merged; vectors run over output columns", _fold),
    Choice(
        *(Way.STRIDED, _strided),
        "folds the window's rows into a row of states, then merges states at the stride, 8 rows at a time",
        _fold,
    ),
    Choice(Way.DIRECT, _direct, "folds each column where it is merged; vectors run over channels", _fold),
    Choice(
        *(Way.TABLE, _any),
        "folds the window's rows into a row of states, then merges the columns that a table names",
        _fold,
    ),
)
"""The ways of the forward pass, in the order in which they are tried."""
