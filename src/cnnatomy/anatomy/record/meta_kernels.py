"""Results of the commonest operators without torch's Python meta kernels, slow to import and to run.

Each answer is what the operator returns on a CPU for the arguments at hand, down to the strides (torch's meta
kernel of a convolution forgets channels_last), or None where it is not that certain: then torch is asked, who
also says what is wrong with arguments that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from cnnatomy.anatomy.record.memory_formats import as_part, last_of, new, order_of, plain, suggested
from cnnatomy.anatomy.shapes import Shape
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window

Answer = Callable[..., Any]
_aten = torch.ops.aten


def answer(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What the operator returns, as meta tensors; None if torch's own kernel must say it.

    Example:
        >>> x = torch.empty(1, 3, 8, 8, device="meta").to(memory_format=torch.channels_last)
        >>> answer(torch.ops.aten.relu.default, (x,), {}).stride()
        (192, 1, 24, 3)
    """
    rule = _RULES.get(operator)
    return None if rule is None else rule(*args, **kwargs)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Tensor | None:
    inside, into = (
        x.shape[1] if x.dim() > 1 else 0,
        weight.shape[0] if transposed else weight.shape[1] * groups,
    )
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    last = suggested(x) or suggested(weight)
    fits = inside == into and x.dim() == weight.dim() and channels % groups == 0
    if not fits or x.numel() == 0 or not plain(x, weight, bias):
        return None
    if bias is not None and tuple(bias.shape) != (channels,):
        return None
    extras = output_padding if transposed else repeat(None)
    numbers = _along(x.shape[2:], weight.shape[2:], stride, padding, dilation, repeat(False), extras)
    if numbers is None:
        return None
    if groups > 1 and x.dtype != torch.float32:  # without oneDNN: group by group, and joined
        parts = (x.shape[0], inside // groups, *x.shape[2:]), (weight.shape[0] // groups, *weight.shape[1:])
        last = as_part(parts[0], suggested(x)) or as_part(parts[1], suggested(weight))
        last = as_part((x.shape[0], channels // groups, *numbers), last)
    return new((x.shape[0], channels, *numbers), x, last)


def _along(cells: Sequence[int], kernel: Sequence[int], *rest: Any) -> Shape | None:
    """Outputs on each axis; None where no window fits."""
    given = [_spread(part, len(cells)) for part in rest]
    try:
        return tuple(map(_outputs, cells, kernel, *given))
    except ArgumentError:
        return None


def _spread(part: Any, rank: int) -> Any:
    return part * rank if isinstance(part, list) and len(part) == 1 else part


@lru_cache(maxsize=1024)
def _outputs(
    n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool, transposed: int | None
) -> int:
    """Outputs on one axis; of the transposed window if there is an output padding."""
    window = Window(kernel, stride, (padding, padding), dilation, ceil_mode)
    return window.output_size(n) if transposed is None else window.transposed_size(n, transposed)


def _normalized(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    last = not x.is_contiguous() and suggested(x)
    given = [tensor for tensor in (weight, bias, mean, var) if tensor is not None]
    fits = all(tuple(tensor.shape) == tuple(x.shape[1:2]) for tensor in given) and mean is not None
    if not fits or not plain(x, *given):
        return None
    kept = (x.shape[1],) if training else (0,)
    return new(tuple(x.shape), x, last), new(kept, x), new(kept, x)


def _normalized_inference(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    return _normalized(x, weight, bias, mean, var, False, momentum, eps)


def _pooled(
    x: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: Any = (0,),
    dilation: Any = (1,),
    ceil_mode: bool = False,
) -> Tensor | None:
    rank, last = x.dim() - 2, suggested(x)
    if rank != 2 or x.numel() == 0 or not x.dtype.is_floating_point:
        return None
    pads, taps = _spread(list(padding), rank), _spread(kernel, rank)
    if any(2 * pad > size for pad, size in zip(pads, taps, strict=True)):
        return None
    given = (stride or kernel, pads, list(dilation), repeat(ceil_mode), repeat(None))
    sizes = _along(x.shape[2:], taps, *given)
    return None if sizes is None else new((*x.shape[:2], *sizes), x, last)


def _max_pooled(x: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor] | None:
    y = _pooled(x, *args, **kwargs)
    return None if y is None else (y, new(tuple(y.shape), y, suggested(x), torch.int64))


def _averaged(
    x: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: Any = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor | None:
    return _pooled(x, kernel, stride, padding, (1,), ceil_mode)


def _resized(x: Tensor, size: Sequence[int], *_: Any) -> Tensor | None:
    if x.dim() != 4 or x.numel() == 0 or len(size) != 2 or min(size) < 1 or not x.dtype.is_floating_point:
        return None
    return new((*x.shape[:2], *size), x, suggested(x))


def _mean(
    x: Tensor, dims: list[int] | None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Tensor | None:
    if not dims or dtype is not None or last_of(x) is not False or not x.dtype.is_floating_point:
        return None
    over = {dim % x.dim() for dim in dims if -x.dim() <= dim < x.dim()}
    if len(over) != len(dims):
        return None
    sizes = (1 if axis in over else n for axis, n in enumerate(x.shape) if keepdim or axis not in over)
    return new(tuple(sizes), x)


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first, layouts = tensors[0], {last_of(tensor) for tensor in tensors}
    shapes = [list(tensor.shape) for tensor in tensors]
    if None in layouts or len(layouts) != 1 or not -first.dim() <= dim < first.dim() or not plain(*tensors):
        return None
    if any(len(shape) != first.dim() for shape in shapes):
        return None
    total = sum(shape[dim] for shape in shapes)
    for shape in shapes:
        shape[dim] = total
    return new(tuple(shapes[0]), first, layouts == {True}) if all(s == shapes[0] for s in shapes) else None


def _multiplied(a: Tensor, b: Tensor) -> Tensor | None:
    fits = a.dim() == b.dim() == 2 and a.shape[1] == b.shape[0]
    return new((a.shape[0], b.shape[1]), a) if fits and plain(a, b) else None


def _multiplied_added(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor | None:
    y = _multiplied(a, b)
    return y if y is not None and tuple(c.shape) == (y.shape[1],) and plain(a, c) else None


def _multiplied_batches(a: Tensor, b: Tensor) -> Tensor | None:
    fits = a.dim() == b.dim() == 3 and a.shape[0] == b.shape[0] and a.shape[2] == b.shape[1]
    return new((a.shape[0], a.shape[1], b.shape[2]), a) if fits and plain(a, b) else None


def _layer_normalized(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    inner = tuple(shape)
    given = [tensor for tensor in (weight, bias) if tensor is not None]
    fits = tuple(x.shape[x.dim() - len(inner) :]) == inner and all(tuple(t.shape) == inner for t in given)
    if not fits or not plain(x, *given):
        return None
    rest = (*x.shape[: x.dim() - len(inner)], *repeat(1, len(inner)))
    return new(tuple(x.shape), x), new(rest, x), new(rest, x)


def _softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor | None:
    fits = -x.dim() <= dim < x.dim() and not half_to_float and x.dtype.is_floating_point
    return new(tuple(x.shape), x) if fits else None


def _like(
    x: Tensor, *, dtype: torch.dtype | None = None, memory_format: torch.memory_format | None = None, **_: Any
) -> Tensor | None:
    last = last_of(x)
    if last is None or memory_format not in (None, torch.preserve_format):
        return None
    return new(tuple(x.shape), x, last, dtype)


def _unary(x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    """Of a floating-point operator on one tensor, and numbers."""
    last = order_of(x) if x.dtype.is_floating_point and _numbers(args) else None
    return None if last is None else new(tuple(x.shape), x, last)


def _unary_kept(x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    """Of one that allocates its result itself."""
    return _like(x) if x.dtype.is_floating_point and _numbers(args) else None


def _binary(a: Tensor, b: Any, **kwargs: Any) -> Tensor | None:
    """Of a floating-point operator on two tensors, or a tensor and a number, by TensorIterator's rules.

    Alike in shape they are taken for contiguous if they may be; else the larger one's strides are kept.
    """
    if not isinstance(b, Tensor):
        return _unary_kept(a, b)
    if not plain(a, b) or not _numbers(kwargs.values()):
        return None
    big, small = (a, b) if (a.dim(), a.numel()) >= (b.dim(), b.numel()) else (b, a)
    last = order_of(big)
    if tuple(a.shape) == tuple(b.shape):
        return new(tuple(a.shape), a, last) if last is not None and order_of(small) is last else None
    clear = last is not None and last is last_of(big) and order_of(small) is False and _fits_in(small, big)
    orders = bool(last) and sum(n > 1 for n in small.shape) > 1
    return new(tuple(big.shape), big, bool(last)) if clear and not orders else None


def _numbers(values: Any) -> bool:
    return all(value is None or isinstance(value, int | float | str) for value in values)


def _fits_in(small: Tensor, big: Tensor) -> bool:
    pairs = zip(reversed(small.shape), reversed(big.shape), strict=False)
    return small.dim() <= big.dim() and all(n in (1, m) for n, m in pairs)


def _in_place(x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    """Of an operator that writes into x, from tensors and numbers."""
    others = [arg for arg in args if isinstance(arg, Tensor)]
    if last_of(x) is None or not plain(x, *others) or not all(_fits_in(other, x) for other in others):
        return None
    return x if _numbers([arg for arg in args if not isinstance(arg, Tensor)]) else None


def _added_in_place(x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    return x if x.dtype is torch.int64 and args == (1,) else _in_place(x, *args, **kwargs)


def _convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, sizes: Sequence[int] | None, *args: Any
) -> tuple[Tensor | None, ...] | None:
    mask = args[-1]
    if not plain(grad, x, weight):
        return None
    last = suggested(x) or suggested(weight)
    bias = tuple(sizes) if sizes else (grad.shape[1],)
    shapes = (tuple(x.shape), last), (tuple(weight.shape), last), (bias, False)
    return tuple(new(s, x, own) if wanted else None for (s, own), wanted in zip(shapes, mask, strict=True))


def _passed_back(grad: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    same = tuple(grad.shape) == tuple(x.shape) and last_of(grad) is last_of(x)
    return _unary(grad, *(arg for arg in args if not isinstance(arg, Tensor))) if same else None


def _normalized_backward(grad: Tensor, x: Tensor, weight: Tensor | None, *args: Any) -> Any:
    mask, last = args[-1], suggested(x)
    if not plain(grad, x, weight):
        return None
    shapes = tuple(x.shape), (x.shape[1],), (x.shape[1],)
    pairs = zip(shapes, (last, False, False), mask, strict=True)
    return tuple(new(shape, x, own) if wanted else None for shape, own, wanted in pairs)


def _max_pooled_backward(grad: Tensor, x: Tensor, *args: Any) -> Tensor | None:
    return new(tuple(x.shape), x, suggested(x)) if x.dim() == 4 and plain(grad, x) else None


_UNARY = (
    *("relu", "sigmoid", "tanh", "silu", "gelu", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "elu"),
    *("mish", "softplus", "exp", "log", "sqrt", "rsqrt", "abs", "neg", "clamp", "clamp_min", "clamp_max"),
    *("erf", "sin", "cos", "reciprocal"),
)
_BINARY = ("add", "sub", "mul", "div")
_PASSED_BACK = (
    *("threshold", "sigmoid", "tanh", "silu", "gelu", "hardswish", "hardtanh", "hardsigmoid", "leaky_relu"),
)

_RULES: dict[Any, Answer] = {
    _aten.convolution.default: _convolution,
    _aten.convolution_backward.default: _convolution_backward,
    _aten.native_batch_norm.default: _normalized,
    _aten._native_batch_norm_legit_no_training.default: _normalized_inference,
    _aten.native_batch_norm_backward.default: _normalized_backward,
    _aten.native_layer_norm.default: _layer_normalized,
    _aten.max_pool2d_with_indices.default: _max_pooled,
    _aten.max_pool2d_with_indices_backward.default: _max_pooled_backward,
    _aten.avg_pool2d.default: _averaged,
    _aten._adaptive_avg_pool2d.default: _resized,
    _aten.upsample_nearest2d.default: _resized,
    _aten.upsample_bilinear2d.default: _resized,
    _aten.mean.dim: _mean,
    _aten.cat.default: _joined,
    _aten.mm.default: _multiplied,
    _aten.addmm.default: _multiplied_added,
    _aten.bmm.default: _multiplied_batches,
    _aten._softmax.default: _softmax,
    _aten.empty_like.default: _like,
    _aten.ones_like.default: _like,
    _aten.pow.Tensor_Scalar: _unary,
    **{getattr(_aten, name).default: _unary for name in _UNARY},
    _aten.hardtanh.default: _unary_kept,
    **{getattr(_aten, f"{name}_").default: _in_place for name in _UNARY if hasattr(_aten, f"{name}_")},
    **{getattr(_aten, name).Tensor: _binary for name in _BINARY},
    **{getattr(_aten, f"{name}_").Tensor: _in_place for name in _BINARY},
    _aten.add_.Tensor: _added_in_place,
    **{getattr(_aten, f"{name}_backward").default: _passed_back for name in _PASSED_BACK},
}
