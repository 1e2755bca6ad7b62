"""Views, copies and whatever moves units without reading several of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from cnnatomy.anatomy.field.joining import cat
from cnnatomy.anatomy.field.rules.registry import See, pointwise, rule
from cnnatomy.anatomy.field.rules.windows import stack
from cnnatomy.anatomy.field.table import Table, union_of
from cnnatomy.anatomy.field.taps import bordered, rolled
from cnnatomy.anatomy.graph import Call


def _first(call: Call, see: See) -> Table:
    return see(call.read[0])


@rule(
    "view",
    "_unsafe_view",
    "reshape",
    "_reshape_alias",
    "unsqueeze",
    "squeeze",
    "flatten",
    "view_copy",
    "alias",
)
@rule("detach", "lift_fresh", "lift", "resolve_conj", "resolve_neg", "_conj")
@rule("real", "imag", "unflatten", "_reshape_copy", "pixel_unshuffle_copy")
def view(call: Call, see: See) -> Table:
    """The same units in another shape."""
    return _first(call, see).view(call.outputs[0].shape)


@rule("view_as_complex")
def joined(call: Call, see: See) -> Table:
    """The two parts of a complex number are one unit of it."""
    return _first(call, see).reduce([-1], keep=False)


@rule("view_as_real")
def parted(call: Call, see: See) -> Table:
    """And one unit each."""
    table = _first(call, see)
    return table.view((*table.shape, 1)).expand(call.outputs[0].shape)


@rule("as_strided")
def strided(call: Call, see: See) -> Table:
    """Any view, of which the storage knows more than the values that were seen."""
    return see(call.outputs[0])


@rule("permute", "permute_copy")
def permute(call: Call, see: See) -> Table:
    """Axes in another order."""
    return _first(call, see).permute(call.argument("dims"))


@rule("transpose", "t", "numpy_T", "swapaxes")
def transpose(call: Call, see: See) -> Table:
    """Two axes exchanged."""
    table = _first(call, see)
    rank = len(table.shape)
    if rank < 2:
        return table
    a, b = (call.arguments[1] % rank, call.arguments[2] % rank) if len(call.arguments) > 2 else (0, 1)
    order = list(range(rank))
    order[a], order[b] = b, a
    return table.permute(order)


@rule("expand", "expand_copy", "broadcast_to")
def expand(call: Call, see: See) -> Table:
    """Broadcast."""
    return _first(call, see).expand(call.outputs[0].shape)


@rule("repeat")
def repeat(call: Call, see: See) -> Table:
    """The tensor again and again along its axes."""
    table, repeats = _first(call, see), call.argument("repeats")
    table = table.view((1,) * (len(repeats) - len(table.shape)) + table.shape)
    for dim, times in enumerate(repeats):
        if times > 1:
            shape = (*table.shape[:dim], table.shape[dim] * times, *table.shape[dim + 1 :])
            wide = table.view((*shape[:dim], 1, *table.shape[dim:]))
            table = wide.expand((*shape[:dim], times, *table.shape[dim:])).view(shape)
    return table


@rule("slice", "narrow", "select", "slice_copy", "select_copy")
def part(call: Call, see: See) -> Table:
    """Some cells of an axis, or one."""
    table = _first(call, see)
    dim = call.argument("dim") % len(table.shape)
    n = table.shape[dim]
    if call.operator._opname.startswith("select"):
        at = call.argument("index") % n
        return table.slice(dim, range(at, at + 1)).view(call.outputs[0].shape)
    step = 1
    if call.operator._opname == "narrow":
        start, stop = call.argument("start"), call.argument("start") + call.argument("length")
    else:
        start, stop, step = (call.argument(name) for name in ("start", "end", "step"))
    return table.slice(dim, range(n)[slice(start, stop, step)])


@rule(
    "split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "unbind"
)
@rule("tensor_split", "split_copy", "split_with_sizes_copy", "unbind_copy")
def split(call: Call, see: See) -> list[Table]:
    """An axis in parts."""
    table, at, parts = _first(call, see), 0, []
    dim = call.argument("dim") % len(table.shape)
    gone = call.operator._opname.startswith("unbind")
    for value in call.outputs:
        n = 1 if gone else value.shape[dim]
        parts.append(table.slice(dim, range(at, at + n)).view(value.shape))
        at += n
    return parts


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


@rule("constant_pad_nd")
def pad(call: Call, see: See) -> Table:
    """Constants around some of the last axes; negative widths crop."""
    return _padded(_first(call, see), call.argument("pad"), "")


@rule(*(f"{kind}_pad{rank}d" for kind in ("reflection", "replication") for rank in "123"))
def mirror(call: Call, see: See) -> Table:
    """Borders that repeat cells."""
    mode = "reflect" if call.operator._opname.startswith("reflection") else "edge"
    return _padded(_first(call, see), call.argument("padding"), mode)


def _padded(table: Table, widths: Sequence[int], mode: str) -> Table:
    rank = len(table.shape)
    for i, (before, after) in enumerate(zip(widths[::2], widths[1::2], strict=True)):
        dim = rank - 1 - i
        if before or after:
            table = table.tap(dim, bordered(table.shape[dim], before, after, mode))
    return table


@rule("flip")
def flip(call: Call, see: See) -> Table:
    """Axes read backwards."""
    table = _first(call, see)
    for dim in call.argument("dims"):
        dim %= len(table.shape)
        table = table.slice(dim, range(table.shape[dim] - 1, -1, -1))
    return table


@rule("rot90")
def turn(call: Call, see: See) -> Table:
    """Two axes exchanged, once for every odd turn, and one or both read backwards."""
    table, turns = _first(call, see), call.argument("k") % 4
    rank = len(table.shape)
    a, b = (dim % rank for dim in call.argument("dims"))
    for dim in {1: (b,), 2: (a, b), 3: (a,)}.get(turns, ()):
        table = table.slice(dim, range(table.shape[dim] - 1, -1, -1))
    order = list(range(rank))
    if turns % 2:
        order[a], order[b] = b, a
    return table.permute(order)


@rule("glu")
def gated(call: Call, see: See) -> Table:
    """Every unit of the first half of an axis, and its fellow of the second, which gates it."""
    table, out = _first(call, see), call.outputs[0].shape
    dim = call.argument("dim") % len(out)
    half = out[dim]
    return union_of([table.slice(dim, range(half)), table.slice(dim, range(half, 2 * half))], out)


@rule(
    "_prelu_kernel",
    "log_sigmoid_forward",
    "rrelu_with_noise",
    "floor_divide",
    "complex",
    "polar",
    "frexp",
    "hardswish",
)
def activated(call: Call, see: See) -> list[Table]:
    """Unit by unit, though torch does not tag them so, and whatever is kept for the backward pass."""
    found = pointwise(call, see)
    return [found if value.shape == found.shape else found.empty(value.shape) for value in call.outputs]


@rule("roll")
def roll(call: Call, see: See) -> Table:
    """Cells moved on, those beyond the end to the start."""
    table, shifts, dims = _first(call, see), call.argument("shifts"), call.argument("dims")
    shape = table.shape
    if not dims:
        table, dims = table.view((prod(shape),)), [0]
    for shift, dim in zip(shifts, dims, strict=True):
        dim %= len(table.shape)
        if shift % table.shape[dim]:
            table = table.tap(dim, rolled(table.shape[dim], shift % table.shape[dim]))
    return table.view(shape)


@rule("pixel_shuffle", "pixel_unshuffle")
def shuffle(call: Call, see: See) -> Table:
    """Blocks of channels to blocks of cells, or back (Shi et al. 2016)."""
    table, out = _first(call, see), call.outputs[0].shape
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
    table, groups = _first(call, see), call.argument("groups")
    n, c, *rest = table.shape
    split = table.view((n, groups, c // groups, *rest))
    return split.permute((0, 2, 1, *range(3, 3 + len(rest)))).view(table.shape)


@rule("unfold", "unfold_copy")
def unfold(call: Call, see: See) -> Table:
    """Windows of an axis, their taps along a new last one."""
    table = _first(call, see)
    dim = call.argument("dimension") % len(table.shape)
    size, step = call.argument("size"), call.argument("step")
    count = call.outputs[0].shape[dim]
    taps = [table.slice(dim, range(k, k + (count - 1) * step + 1, step)) for k in range(size)]
    return stack(taps, len(table.shape))


@rule("diagonal", "diagonal_copy")
def diagonal(call: Call, see: See) -> Table:
    """Units of two equal places."""
    table = _first(call, see)
    dims = [call.argument(name) % len(table.shape) for name in ("dim1", "dim2")]
    return (
        table.reduce(dims, keep=False)
        .unknown("diagonal")
        .view((*call.outputs[0].shape[:-1], 1))
        .expand(call.outputs[0].shape)
    )


@rule("copy", "clone", "_to_copy", "contiguous", "to", "_copy_from")
def copy(call: Call, see: See) -> Table:
    """The source's units, broadcast."""
    values = call.read
    source = values[1] if call.operator._opname.startswith("copy") and len(values) > 1 else values[0]
    return see(source).expand(call.outputs[0].shape)


@rule(
    "empty",
    "empty_like",
    "new_empty",
    "new_empty_strided",
    "empty_strided",
    "zeros",
    "zeros_like",
    "new_zeros",
)
@rule(
    "ones",
    "ones_like",
    "new_ones",
    "full",
    "full_like",
    "new_full",
    "arange",
    "linspace",
    "eye",
    "scalar_tensor",
)
@rule(
    "rand",
    "rand_like",
    "randn",
    "randn_like",
    "randint",
    "randperm",
    "zero",
    "normal",
    "uniform",
    "bernoulli",
)
@rule(
    "tril_indices", "triu_indices", "hann_window", "empty_permuted", "empty_quantized", "random", "sym_size"
)
def fresh(call: Call, see: See) -> list[Table]:
    """Depends on no input."""
    known = call.read
    if call.operator._opname.startswith("bernoulli") and known:
        return [see(known[0])]
    return []


@rule("fill", "full_like.Tensor")
def fill(call: Call, see: See) -> list[Table]:
    """One number, which may depend on something."""
    values = call.read
    return [union_of([see(values[1])], call.outputs[0].shape)] if len(values) > 1 else []
