"""What reads whole axes: sums and maxima, normalization, softmax, sorting, matrix products, attention."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.algebra.taps import unmasked
from cnnatomy.anatomy.field.rules.rule_registry import See, pointwise, rule
from cnnatomy.anatomy.record.graph import Call


def axes(call: Call, rank: int) -> list[int]:
    """The axes of a reduction; all where none are named."""
    dims = call.argument("dim") if call.takes("dim") else None
    if dims is None or dims == []:
        return list(range(rank))
    return [dim % rank for dim in ([dims] if isinstance(dims, int) else dims)] if rank else []


@rule("mean", "sum", "amax", "amin", "max", "min", "aminmax", "var", "std", "var_mean", "std_mean", "prod")
@rule(
    "linalg_vector_norm", "norm", "logsumexp", "all", "any", "argmax", "argmin", "median", "nanmedian", "mode"
)
@rule("kthvalue", "count_nonzero", "nansum", "special_logsumexp")
def reduction(call: Call, see: See) -> list[Table]:
    """Every output reads whole axes."""
    values = call.read
    if len(values) > 1:  # max(x, y)
        return [pointwise(call, see)]
    table = see(values[0])
    found = table.reduce(axes(call, len(table.shape)))
    return [found.view(value.shape) for value in call.outputs]


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax", "sort", "argsort", "linalg_qr")
def along(call: Call, see: See) -> list[Table]:
    """Every output reads the axis that it lies on, whole but for what a mask closes."""
    table = see(call.read[0])
    if call.closed is not None:
        return [attended(table, call.closed).expand(table.shape)]
    found = table.mix(axes(call, len(table.shape)) if table.shape else [])
    return [found] * len(call.outputs)


def attended(table: Table, closed: NDArray[np.bool_]) -> Table:
    """Each row of scores read where it is open, as size 1; whole if units differ along both of its axes."""
    rows, columns = len(table.shape) - 2, len(table.shape) - 1
    parts, queries, taps = [], table.shape[rows], unmasked(closed)
    for term in table.terms:
        part = Table(table.shape, (term,), table.local)
        if part.run(rows) == queries:  # keys: what query i reads takes the place of key i
            part = part.slice(rows, range(1)).tap(columns, taps)
            parts.append(part.permute((*range(rows), columns, rows)))
        else:
            parts.append(part.reduce([columns]))
    return union_of(parts, (*table.shape[:-1], 1))


@rule("topk")
def topk(call: Call, see: See) -> list[Table]:
    """Every output may be any unit of the axis."""
    table = see(call.read[0])
    found = table.reduce([call.argument("dim")])
    return [found.expand(value.shape) for value in call.outputs]


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "_cummax_helper", "_cummin_helper")
def cumulative(call: Call, see: See) -> list[Table]:
    """Every output reads the units up to its own."""
    table = see(call.read[0])
    dim = call.argument("dim") % max(len(table.shape), 1)
    return [before(table, dim)] * len(call.outputs)


def before(table: Table, dim: int) -> Table:
    """Every unit reads those of its axis up to its own."""
    return table.accumulate(dim) if table.shape else table


@rule(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
)
@rule("_batch_norm_with_update", "_batch_norm_no_update", "batch_norm", "instance_norm")
def batch_norm(call: Call, see: See) -> list[Table]:
    """In evaluation unit by unit; in training every unit reads its whole channel."""
    table, rest = see(call.read[0]), [see(value) for value in call.read[1:]]
    others = [dim for dim in range(len(table.shape)) if dim != 1]
    if call.takes("training") and call.argument("training"):
        table = table.mix(others)
    ones = (1,) * (len(table.shape) - 2)
    beside = [part.view((*part.shape, *ones)) for part in rest if part.terms]
    found = union_of([table, *beside], table.shape)
    if not any(value.numel for value in call.outputs[1:]):
        return [found]
    channels = table.reduce(others, keep=False)
    return [found] + [channels if v.numel else channels.empty(v.shape) for v in call.outputs[1:]]


@rule("native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(call: Call, see: See) -> list[Table]:
    """Every unit reads the last axes whole."""
    values = call.read
    table, count = see(values[0]), len(call.argument("normalized_shape"))
    axes = range(len(table.shape) - count, len(table.shape))
    found = union_of([table.mix(axes), *(see(value) for value in values[1:])], table.shape)
    return [found] + [table.reduce(axes).view(value.shape) for value in call.outputs[1:]]


@rule("native_group_norm", "group_norm")
def group_norm(call: Call, see: See) -> list[Table]:
    """Every unit reads its group of channels whole."""
    values = call.read
    table = see(values[0])
    groups = call.argument("group" if call.operator._opname.startswith("native") else "num_groups")
    n, c, *rest = table.shape
    split = table.view((n, groups, c // groups, *rest))
    axes = range(2, 3 + len(rest))
    found = split.mix(axes).view(table.shape)
    others = [see(value).view((c, *(1,) * len(rest))) for value in values[1:] if see(value).terms]
    found = union_of([found, *others], table.shape)
    return [found] + [split.reduce(axes).view(value.shape) for value in call.outputs[1:]]


@rule(
    "mm", "bmm", "matmul", "mv", "dot", "addmm", "baddbmm", "addmv", "addbmm", "linear", "_addmm_activation"
)
def product(call: Call, see: See) -> Table:
    """Every output reads a row of the one and a column of the other, and what is added."""
    values, name = call.read, call.operator._opname
    added = values[:-2] if name.startswith(("add", "badd", "_add")) else []
    left, right = values[-2:]
    if name == "linear":
        left, right, added = values[0], values[1], values[2:]
    out = call.outputs[0].shape
    one, two = see(left), see(right)
    if name == "linear":
        two = two.permute((1, 0))
    columns = (
        _columns(two, len(left.shape))
        if call.closed is None
        else two.tap(-2 % len(two.shape), unmasked(call.closed))
    )
    parts = [_rows(one, len(right.shape)), columns, *map(see, added)]
    if name == "addbmm":
        parts[:2] = [part.reduce([0], keep=False) for part in parts[:2]]
    return union_of(parts, out)


def _rows(table: Table, other: int) -> Table:
    """The contracted axis read; it stays as size 1 where the other factor has columns."""
    return table.reduce([-1], keep=other > 1)


def _columns(table: Table, other: int) -> Table:
    if len(table.shape) == 1:
        return table.reduce([0], keep=False)
    return table.reduce([-2], keep=other > 1)


_ATTENTION = (
    *("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention"),
    *("attention_math", "fused_attention_overrideable"),
)


@rule("scaled_dot_product_attention", *(f"_scaled_dot_product_{name}" for name in _ATTENTION))
def attention(call: Call, see: See) -> list[Table]:
    """Every query reads itself, its mask's row, and every key and value; of its own past with `is_causal`."""
    values = call.read
    query, key, value = (see(given) for given in values[:3])
    out = call.outputs[0].shape
    causal = call.argument("is_causal") and query.shape[-2] == key.shape[-2]
    parts = [query.reduce([-1])]
    for table in (key.reduce([-1]), value):
        keys = len(table.shape) - 2
        if call.closed is not None:
            table = table.tap(keys, unmasked(call.closed))
        else:
            table = before(table, keys) if causal else table.reduce([keys])
        parts.append(_shared(table, out))
    parts += [see(mask).reduce([-1]) for mask in values[3:]]
    found = union_of(parts, out)
    sums = [found.reduce([-1], keep=False).expand(v.shape) for v in call.outputs[1:2] if v.numel]
    return [found, *sums]


def _shared(table: Table, out: tuple[int, ...]) -> Table:
    """Keys or values of which several query heads read one, as with `enable_gqa`."""
    if len(out) < 4 or table.shape[-3] in (1, out[-3]):
        return table
    *lead, heads, a, b = table.shape
    groups = out[-3] // heads
    wide = table.view((*lead, heads, 1, a, b)).expand((*lead, heads, groups, a, b))
    return wide.view((*lead, heads * groups, a, b))


@rule("_fft_r2c", "_fft_c2c", "_fft_c2r")
def fourier(call: Call, see: See) -> Table:
    """Every coefficient reads the transformed axes whole."""
    return see(call.read[0]).reduce(call.argument("dim")).expand(call.outputs[0].shape)


@rule("_cdist_forward", "cdist")
def distances(call: Call, see: See) -> Table:
    """Of every row of the one to every row of the other."""
    one, two = (see(value).reduce([-1]) for value in call.read[:2])
    rank = len(two.shape)
    return union_of([one, two.permute((*range(rank - 2), rank - 1, rank - 2))], call.outputs[0].shape)


@rule("tril", "triu")
def triangle(call: Call, see: See) -> Table:
    """Units on one side of the diagonal; those of the other are kept, as if they were too."""
    return see(call.read[0]).unknown("triangle")
