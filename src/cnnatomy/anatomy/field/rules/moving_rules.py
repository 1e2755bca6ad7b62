"""Units put elsewhere: roll, flip, rot90, pad, cat, stack, repeat, unfold, shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from cnnatomy.anatomy.field.algebra.field_table import Table
from cnnatomy.anatomy.field.algebra.joining import cat
from cnnatomy.anatomy.field.algebra.taps import bordered, rolled
from cnnatomy.anatomy.field.rules.rule_registry import See, rule
from cnnatomy.anatomy.field.rules.window_rules import stack
from cnnatomy.anatomy.record.graph import Call


@rule("roll")
def roll(call: Call, see: See) -> Table:
    """Cells moved on, those beyond the end to the start."""
    table, shifts, dims = see(call.read[0]), call.argument("shifts"), call.argument("dims")
    shape = table.shape
    if not dims:
        table, dims = table.view((prod(shape),)), [0]
    for shift, dim in zip(shifts, dims, strict=True):
        dim %= len(table.shape)
        if shift % table.shape[dim]:
            table = table.tap(dim, rolled(table.shape[dim], shift % table.shape[dim]))
    return table.view(shape)


@rule("flip")
def flip(call: Call, see: See) -> Table:
    """Axes read backwards."""
    table = see(call.read[0])
    for dim in call.argument("dims"):
        dim %= len(table.shape)
        table = table.slice(dim, range(table.shape[dim] - 1, -1, -1))
    return table


@rule("rot90")
def turn(call: Call, see: See) -> Table:
    """Two axes exchanged, once for every odd turn, and one or both read backwards."""
    table, turns = see(call.read[0]), call.argument("k") % 4
    rank = len(table.shape)
    a, b = (dim % rank for dim in call.argument("dims"))
    for dim in {1: (b,), 2: (a, b), 3: (a,)}.get(turns, ()):
        table = table.slice(dim, range(table.shape[dim] - 1, -1, -1))
    order = list(range(rank))
    if turns % 2:
        order[a], order[b] = b, a
    return table.permute(order)


@rule("constant_pad_nd")
def pad(call: Call, see: See) -> Table:
    """Constants around some of the last axes; negative widths crop."""
    return _padded(see(call.read[0]), call.argument("pad"), "")


@rule(*(f"{kind}_pad{rank}d" for kind in ("reflection", "replication") for rank in "123"))
def mirror(call: Call, see: See) -> Table:
    """Borders that repeat cells."""
    mode = "reflect" if call.operator._opname.startswith("reflection") else "edge"
    return _padded(see(call.read[0]), call.argument("padding"), mode)


def _padded(table: Table, widths: Sequence[int], mode: str) -> Table:
    rank = len(table.shape)
    for i, (before, after) in enumerate(zip(widths[::2], widths[1::2], strict=True)):
        dim = rank - 1 - i
        if before or after:
            table = table.tap(dim, bordered(table.shape[dim], before, after, mode))
    return table


@rule("cat", "concat", "_cat")
def concatenate(call: Call, see: See) -> Table:
    """Tensors side by side along an axis."""
    values = [value for value in call.read if value.shape != (0,)]
    out = call.outputs[0].shape
    return cat([see(value) for value in values], call.argument("dim") % len(out), out)


@rule("stack")
def stacked(call: Call, see: See) -> Table:
    """Tensors side by side along a new axis."""
    return stack([see(value) for value in call.read], call.argument("dim") % len(call.outputs[0].shape))


@rule("repeat")
def repeat(call: Call, see: See) -> Table:
    """The tensor again and again along its axes."""
    table, repeats = see(call.read[0]), call.argument("repeats")
    table = table.view((1,) * (len(repeats) - len(table.shape)) + table.shape)
    for dim, times in enumerate(repeats):
        if times > 1:
            shape = (*table.shape[:dim], table.shape[dim] * times, *table.shape[dim + 1 :])
            wide = table.view((*shape[:dim], 1, *table.shape[dim:]))
            table = wide.expand((*shape[:dim], times, *table.shape[dim:])).view(shape)
    return table


@rule("unfold", "unfold_copy")
def unfold(call: Call, see: See) -> Table:
    """Windows of an axis, their taps along a new last one."""
    table = see(call.read[0])
    dim = call.argument("dimension") % len(table.shape)
    size, step = call.argument("size"), call.argument("step")
    count = call.outputs[0].shape[dim]
    taps = [table.slice(dim, range(k, k + (count - 1) * step + 1, step)) for k in range(size)]
    return stack(taps, len(table.shape))


@rule("pixel_shuffle", "pixel_unshuffle")
def shuffle(call: Call, see: See) -> Table:
    """Blocks of channels to blocks of cells, or back (Shi et al. 2016)."""
    table, out = see(call.read[0]), call.outputs[0].shape
    *batch, c, h, w = table.shape
    b = len(batch)
    if call.operator._opname == "pixel_shuffle":
        r = call.argument("upscale_factor")
        table = table.view((*batch, c // (r * r), r, r, h, w))
        order = (*range(b), b, b + 3, b + 1, b + 4, b + 2)
    else:
        r = call.argument("downscale_factor")
        table = table.view((*batch, c, h // r, r, w // r, r))
        order = (*range(b), b, b + 2, b + 4, b + 1, b + 3)
    return table.permute(order).view(out)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call, see: See) -> Table:
    """Channels of all groups in turn (Zhang et al. 2018)."""
    table, groups = see(call.read[0]), call.argument("groups")
    n, c, *rest = table.shape
    split = table.view((n, groups, c // groups, *rest))
    return split.permute((0, 2, 1, *range(3, 3 + len(rest)))).view(table.shape)
