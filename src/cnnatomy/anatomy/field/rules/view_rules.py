"""The same units in another shape or order, or parts of them: view, permute, expand, slice, split, copy."""

from __future__ import annotations

from cnnatomy.anatomy.field.algebra.field_table import Table
from cnnatomy.anatomy.field.rules.rule_registry import See, rule
from cnnatomy.anatomy.record.graph import Call


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
    return see(call.read[0]).view(call.outputs[0].shape)


@rule("view_as_complex")
def joined(call: Call, see: See) -> Table:
    """The two parts of a complex number are one unit of it."""
    return see(call.read[0]).reduce([-1], keep=False)


@rule("view_as_real")
def parted(call: Call, see: See) -> Table:
    """And one unit each."""
    table = see(call.read[0])
    return table.view((*table.shape, 1)).expand(call.outputs[0].shape)


@rule("as_strided")
def strided(call: Call, see: See) -> Table:
    """Any view, of which the storage knows more than the values that were seen."""
    return see(call.outputs[0])


@rule("permute", "permute_copy")
def permute(call: Call, see: See) -> Table:
    """Axes in another order."""
    return see(call.read[0]).permute(call.argument("dims"))


@rule("transpose", "t", "numpy_T", "swapaxes")
def transpose(call: Call, see: See) -> Table:
    """Two axes exchanged."""
    table = see(call.read[0])
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
    return see(call.read[0]).expand(call.outputs[0].shape)


@rule("slice", "narrow", "select", "slice_copy", "select_copy")
def part(call: Call, see: See) -> Table:
    """Some cells of an axis, or one."""
    table = see(call.read[0])
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
    table, at, parts = see(call.read[0]), 0, []
    dim = call.argument("dim") % len(table.shape)
    gone = call.operator._opname.startswith("unbind")
    for value in call.outputs:
        n = 1 if gone else value.shape[dim]
        parts.append(table.slice(dim, range(at, at + n)).view(value.shape))
        at += n
    return parts


@rule("diagonal", "diagonal_copy")
def diagonal(call: Call, see: See) -> Table:
    """Units of two equal places."""
    table = see(call.read[0])
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
