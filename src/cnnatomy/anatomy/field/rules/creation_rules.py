"""Tensors made anew: they depend on no input, or on the one number that fills them."""

from __future__ import annotations

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.rules.rule_registry import See, rule
from cnnatomy.anatomy.record.graph import Call


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
