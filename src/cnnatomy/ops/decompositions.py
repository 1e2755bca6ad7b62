"""The package's operators in torch's table of decompositions, where exporters look for themselves.

`torch.onnx.export` breaks down by that table what it has no translation of. No tensor of constants can come
out of a decomposition, so that only what torch has an operator for is there: the poolings and resamplings of
torch.nn above all. `cnnatomy.export.onnx` writes the others out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from torch import Tensor
from torch._decomp import register_decomposition
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.ops import library, lowering, resampling
from cnnatomy.reducers import Mean, Reducer
from cnnatomy.regions import Adaptive, Region, Sliding

_GRIDS: dict[str, dict[int, Any]] = {
    "max": {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d},
    "avg": {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d},
}


def pool(
    inputs: Sequence[Tensor], seed: Tensor | None, region: str, reducer: str, indices: bool = False
) -> list[Tensor]:
    """`cnnatomy::pool` without what is saved for a backward pass.

    Raises:
        ArgumentError: torch has no operator for it.
    """
    where, what, x = Region.parse(region), Reducer.parse(reducer), inputs[0]
    y = None if indices or seed is not None else _torchs(x, where, what)
    if y is None:
        _refuse(f"{what.name} pooling over {where}" + " with indices" * indices)
    return [y] + [x.new_zeros(()) for _ in what.saves]


def resample(x: Tensor, size: Sequence[int], how: str, transposed: bool) -> Tensor:
    """`cnnatomy::resample`.

    Raises:
        ArgumentError: torch has no operator for it.
    """
    if not lowering.is_torchs(x, how, transposed):
        _refuse(f"the resampling {how}")
    return lowering.resample(x, size, how, transposed)


def _torchs(x: Tensor, region: Region, reducer: Reducer) -> Tensor | None:
    """The pooling by torch's own operators, if these compute it."""
    rank, size, operator = x.dim() - 2, tuple(x.shape[2:]), reducer.fast.torch
    if operator is None:
        return None
    if operator.power is not None:
        total = lowering.standard(x.abs() ** operator.power, region, Mean(divisor=1.0))
        return None if total is None else total ** (1 / operator.power)
    plain = operator.whole is not None and not operator.negated
    if isinstance(region, Adaptive) and plain and not operator.counts_padding:
        y: Tensor = _GRIDS[operator.family][rank](x, region.outputs(size))
        return y
    if isinstance(region, Sliding) and region.ceil_mode and plain and operator.family == "avg":
        windows = region.windows(size)
        kernel, stride, before, after = zip(*((w.kernel, w.stride, *w.padding) for w in windows), strict=True)
        if before == after and all(window.dilation == 1 for window in windows):
            return lowering.MEAN[rank](x, kernel, stride, before, True, operator.counts_padding)  # type: ignore[no-any-return]
    return lowering.standard(x, region, reducer)


def _refuse(what: str) -> NoReturn:
    raise ArgumentError(f"torch has no operator for {what}", hint="cnnatomy.export.onnx(model, path, x)")


for _operator, _decomposition in ((library.pool, pool), (resampling.operator, resample)):
    register_decomposition(_operator._opoverload)(_decomposition)
    # FakeTensor too would break operators down where sizes are open, did it not find here what they give.
    if (_known := _operator._abstract_fn) is not None:
        register_decomposition(_operator._opoverload, type="meta")(_known)
