"""Convolution, pooling and what else slides a window over axes."""

from __future__ import annotations

from collections.abc import Sequence

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.algebra.taps import Rows, Taps, adaptive, sliding, transposed
from cnnatomy.anatomy.field.rules.rule_registry import NotKnown, See, rule
from cnnatomy.anatomy.record.call_windows import POOLS, pool_windows, windows_of
from cnnatomy.anatomy.record.graph import CONVOLUTIONS, Call, Value
from cnnatomy.geometry import Window


def slid(table: Table, windows: Sequence[Window]) -> Table:
    """Windows over the last axes."""
    first = len(table.shape) - len(windows)
    return tapped(table, [sliding(w, n) for w, n in zip(windows, table.shape[first:], strict=True)])


def tapped(table: Table, taps: Sequence[Taps]) -> Table:
    """Taps on the last axes."""
    first = len(table.shape) - len(taps)
    for dim, one in enumerate(taps, first):
        table = table.tap(dim, one)
    return table


@rule(*CONVOLUTIONS)
def convolution(call: Call, see: See) -> Table:
    """Every output channel reads its group's input channels, through the kernel's taps."""
    x, weight = (call.argument(name) for name in ("input", "weight"))
    out: Value = call.outputs[0]
    if see(weight).terms:
        raise NotKnown("a kernel that depends on the input")
    groups = call.argument("groups")
    windows = windows_of(call, weight.shape[2:])
    table = see(x)
    if call.takes("transposed") and call.argument("transposed"):
        channels = weight.shape[1]
        sizes = zip(windows, table.shape[-len(windows) :], out.shape[-len(windows) :], strict=True)
        taps = [transposed(window, n, size) for window, n, size in sizes]
    else:
        channels = weight.shape[0] // groups
        taps = [sliding(w, n) for w, n in zip(windows, table.shape[-len(windows) :], strict=True)]
    return tapped(grouped(table, groups, channels, len(table.shape) - len(windows) - 1), taps)


def grouped(table: Table, groups: int, channels: int, dim: int = 1) -> Table:
    """Every one of a group's new channels reads all of its old ones."""
    shape = table.shape
    before, after = shape[:dim], shape[dim + 1 :]
    if table.alike(dim):
        return table.resized(dim, groups * channels)
    if groups == 1:
        return table.reduce([dim]).expand((*before, channels, *after))
    table = table.view((*before, groups, shape[dim] // groups, *after)).reduce([dim + 1])
    return table.expand((*before, groups, channels, *after)).view((*before, groups * channels, *after))


@rule(*POOLS)
def pool(call: Call, see: See) -> list[Table]:
    """Every output reads its window, channel by channel."""
    table = see(call.read[0])
    found = slid(table, pool_windows(call))
    return [found] * len(call.outputs)


@rule(
    *(f"{pre}adaptive_{kind}_pool{rank}d" for pre in ("", "_") for kind in ("max", "avg") for rank in "123")
)
def adaptive_pool(call: Call, see: See) -> list[Table]:
    """Every bin reads its share of the cells; a single one the whole axis."""
    table = see(call.read[0])
    found = binned(table, call.argument("output_size"))
    return [found] * len(call.outputs)


def binned(table: Table, sizes: Sequence[int]) -> Table:
    """Adaptive bins on the last axes."""
    first = len(table.shape) - len(sizes)
    whole = [dim for dim, size in enumerate(sizes, first) if size == 1]
    table = table.reduce(whole) if whole else table
    for dim, size in enumerate(sizes, first):
        if size not in (1, table.shape[dim]):
            table = table.tap(dim, adaptive(table.shape[dim], size))
    return table


@rule("im2col")
def im2col(call: Call, see: See) -> Table:
    """Every column holds one window: tap by tap, which are kept apart."""
    x = call.argument("self")
    table = see(x)
    windows = windows_of(call, call.argument("kernel_size"))
    parts, (rows, columns) = [], windows
    for i in range(rows.kernel):
        for j in range(columns.kernel):
            taps = [_one_tap(w, tap, n) for w, tap, n in zip(windows, (i, j), x.shape[-2:], strict=True)]
            parts.append(tapped(table, taps))
    stacked = stack(parts, len(x.shape) - 2)
    return stacked.view(call.outputs[0].shape)


def _one_tap(window: Window, tap: int, n: int) -> Taps:
    """One tap of a window: a window of one cell, with the padding that is before and after it."""
    table, count = window.table(n), window.output_size(n)
    places = [table.start[o] + (tap - table.skip[o]) * table.step for o in range(count)]
    seen = [tap in range(table.skip[o], table.skip[o] + table.count[o]) for o in range(count)]
    rows = Rows.of([place] if inside else [] for place, inside in zip(places, seen, strict=True))
    first = tap * window.dilation - window.padding[0]
    return Taps(rows, Rows.of([[first]]), window.stride)


def stack(tables: Sequence[Table], dim: int) -> Table:
    """Tables side by side along a new axis."""
    shape = tables[0].shape
    parts = [table.view((*shape[:dim], 1, *shape[dim:])) for table in tables]
    placed = [p.place(dim, range(i, i + 1), len(parts)) for i, p in enumerate(parts)]
    return union_of(placed, (*shape[:dim], len(parts), *shape[dim:]))


@rule("col2im")
def col2im(call: Call, see: See) -> Table:
    """Every cell sums the columns of the windows that hold it; of a window, the tap that it is."""
    x, size = call.argument("self"), call.argument("output_size")
    windows = windows_of(call, call.argument("kernel_size"))
    counts = [w.output_size(n) for w, n in zip(windows, size, strict=True)]
    kernel = [w.kernel for w in windows]
    batch = x.shape[:-2]
    channels = x.shape[-2] // (kernel[0] * kernel[1])
    table = see(x).view((*batch, channels, *kernel, *counts))
    dim, parts = len(batch) + 1, []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            part = table.slice(dim, range(i, i + 1)).slice(dim + 1, range(j, j + 1))
            part = part.view((*batch, channels, *counts))
            taps = [_back_tap(w, tap, n) for w, tap, n in zip(windows, (i, j), size, strict=True)]
            parts.append(tapped(part, taps))
    return union_of(parts, call.outputs[0].shape)


def _back_tap(window: Window, tap: int, n: int) -> Taps:
    """The output of which a cell is this tap, if there is one."""
    forward = _one_tap(window, tap, n).rows
    owner: list[list[int]] = [[] for _ in range(n)]
    for o, (cell,) in enumerate(forward.cells):
        if forward.none is None or not forward.none[o]:
            owner[cell].append(o)
    first, step = tap * window.dilation - window.padding[0], window.stride
    period = ([] if (i - first) % step else [(i - first) // step] for i in range(step))
    return Taps(Rows.of(owner), Rows.of(period), 1)


@rule("max_unpool2d", "max_unpool3d")
def max_unpool(call: Call, see: See) -> Table:
    """Every cell may hold any value of its plane: the indices are not known."""
    return union_of([spread_out(see(value), call) for value in call.read], call.outputs[0].shape)


def spread_out(table: Table, call: Call) -> Table:
    """Read the last axes in a way that is not known."""
    rank = 3 if call.operator._opname.endswith("3d") else 2
    return table.mark_unsure(call.operator._opname, range(len(table.shape) - rank, len(table.shape)))


@rule("fractional_max_pool2d", "fractional_max_pool3d")
def fractional(call: Call, see: See) -> list[Table]:
    """Windows drawn at random."""
    table = spread_out(see(call.read[0]), call)
    return [table.expand(value.shape) for value in call.outputs]
