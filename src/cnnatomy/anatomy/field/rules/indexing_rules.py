"""Units picked by index tensors, whose numbers a pass on meta tensors does not have."""

from __future__ import annotations

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.rules.rule_registry import See, everything, rule
from cnnatomy.anatomy.record.graph import Call, Value


@rule("index_select", "gather", "take_along_dim")
def pick(call: Call, see: See) -> Table:
    """Every output reads its index, and one unit of the axis, whichever."""
    x, index = call.read[:2]
    rank, out = len(x.shape), call.outputs[0].shape
    dim = call.argument("dim") % max(rank, 1)
    table = see(x).mark_unsure(call.operator._opname, [dim])
    places = see(index)
    if len(index.shape) == 1:
        places = places.view((*(1,) * dim, index.shape[0], *(1,) * (rank - dim - 1)))
    if call.operator._opname == "gather":  # other axes may be cut to the index's sizes
        for axis, n in enumerate(index.shape):
            if axis != dim:
                table = table.slice(axis, range(n))
    return union_of([table, places], out)


@rule("embedding")
def embedding(call: Call, see: See) -> Table:
    """Every row reads its index."""
    weight, index = call.read[:2]
    parts = [
        see(index).view((*index.shape, 1)),
        see(weight).mark_unsure("embedding", [0]).reduce([0], keep=False),
    ]
    return union_of([part for part in parts if part.terms] or parts[:1], call.outputs[0].shape)


@rule("index", "_unsafe_index")
def index(call: Call, see: See) -> Table | list[Table]:
    """Every output reads its indices, and the units of the indexed axes, whichever."""
    x, given = call.arguments[0], call.arguments[1]
    at = [dim for dim, entry in enumerate(given) if isinstance(entry, Value)]
    picked = [given[dim] for dim in at]
    boolean = any(not value.dtype.is_floating_point and value.dtype.itemsize == 1 for value in picked)
    if boolean or at != list(range(at[0], at[-1] + 1)):
        return everything(call, see)
    table = see(x).mark_unsure("index", at)
    rank = max(len(value.shape) for value in picked)
    lead, rest = x.shape[: at[0]], x.shape[at[-1] + 1 :]
    out = call.outputs[0].shape
    table = table.view((*lead, *(1,) * rank, *rest))
    places = [see(v).view((*(1,) * (rank - len(v.shape)), *v.shape, *(1,) * len(rest))) for v in picked]
    return union_of([table, *places], out)


@rule(
    "masked_select", "nonzero", "index_put", "_unsafe_index_put", "_index_put_impl", "scatter", "scatter_add"
)
@rule("index_add", "index_copy", "scatter_reduce", "take", "put", "masked_scatter", "unique_dim", "_unique2")
@rule("index_fill", "slice_scatter", "select_scatter", "as_strided_scatter")
def anywhere(call: Call, see: See) -> list[Table]:
    """Any output may read any unit."""
    return everything(call, see)
