"""The bytes that a call reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod

from cnnatomy.anatomy.record.graph import Call, Value
from cnnatomy.anatomy.shapes import Shape


def _aten(names: str) -> set[str]:
    return {f"aten.{name}" for name in names.split()}


_UNFILLED = _aten("empty empty_like empty_strided new_empty new_empty_strided")
CREATES = _UNFILLED | _aten(
    "zeros zeros_like new_zeros ones ones_like new_ones full full_like new_full zero fill scalar_tensor eye"
    " arange linspace logspace tril_indices triu_indices rand randn randint randperm rand_like randn_like"
    " randint_like bernoulli uniform normal exponential random lift_fresh _efficientzerotensor"
)
"""They fill a tensor and compute nothing that counts; those that do not even fill it write nothing."""

LOOKUPS = _aten("index _unsafe_index gather index_select embedding take take_along_dim roll")
"""They read what they return."""

MOVES = LOOKUPS | _aten(
    "copy clone _to_copy to contiguous cat stack flip rot90 roll repeat repeat_interleave where"
    " constant_pad_nd constant_pad_nd_backward reflection_pad1d reflection_pad2d reflection_pad3d"
    " replication_pad1d replication_pad2d replication_pad3d reflection_pad2d_backward"
    " replication_pad2d_backward pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle"
    " masked_fill masked_scatter masked_select scatter index_put _unsafe_index_put index_copy index_fill"
    " slice_scatter select_scatter as_strided_scatter diagonal_scatter slice_backward select_backward"
    " im2col tril triu diag_embed unfold_copy expand_copy permute_copy split_with_sizes_copy"
    " upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d"
    " _upsample_nearest_exact2d _upsample_nearest_exact3d max_unpool2d max_unpool3d dropout set resize"
    " view_as_complex view_as_real complex _conj resolve_conj resolve_neg one_hot bucketize searchsorted"
    " nonzero item _local_scalar_dense unsafe_split unsafe_chunk as_strided detach alias"
    " _unique2 unique_dim unique_consecutive"
)
MOVES.add("cnnatomy.pool_indices")
"""They put elements elsewhere or compare them, and compute nothing."""

_OVERWRITES = _aten("copy_ fill_ zero_ normal_ uniform_ bernoulli_ random_ exponential_")


def elements(value: Value) -> int:
    """Elements of a tensor in memory: broadcast ones once."""
    return _elements(value.shape, value.strides)


@lru_cache(maxsize=4096)
def _elements(shape: Shape, strides: Shape) -> int:
    return prod(n if step or not n else 1 for n, step in zip(shape, strides, strict=True))


def moved(call: Call) -> tuple[int, int]:
    """Bytes read and written."""
    name, inputs, outputs = call.name, call.inputs, call.outputs
    if name in _UNFILLED or call.is_view:
        return 0, 0
    written = (*outputs, *(call.written() if call.writes else ()))
    if name in LOOKUPS:
        indices = [value for value in inputs[1:] if not value.dtype.is_floating_point]
        return _bytes(outputs) + _bytes(indices), _bytes(written)
    if name in _OVERWRITES or "out" in call.keywords:
        inputs = tuple(value for value in inputs if value not in written)
    return _bytes(inputs), _bytes(written)


def _bytes(values: Sequence[Value]) -> int:
    """Of different tensors; two views of the same elements are one."""
    different = values if len(values) < 2 else dict.fromkeys(values)
    return sum([elements(value) * value.dtype.itemsize for value in different])
