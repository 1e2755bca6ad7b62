"""Resampling as an operator: `resample`, a linear map along each spatial axis, and its transpose.

The derivative of one is the other, so every order of derivative is there. Plain tensors go to the backend
directly, through an `autograd.Function` only if a derivative is wanted; under a compiler, an exporter, a
tensor subclass or a dispatch mode `torch.ops.cnnatomy.resample` stands in the graph instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import handle_torch_function, has_torch_function_unary

from cnnatomy.backends import FLOATING, INTEGERS
from cnnatomy.backends import linear_maps as backend
from cnnatomy.backends.layout import empty, is_last
from cnnatomy.backends.result_memory import demand
from cnnatomy.errors import ArgumentError, TensorError
from cnnatomy.geometry.axis_resampling import Resampling, output_size, positive
from cnnatomy.geometry.bands import Bands
from cnnatomy.geometry.padding_rules import per_axis
from cnnatomy.ops.routing import demand_dense, plain, refuse_tangents, remembered, spatial_axes, transformed

LARGEST = 2**40
"""The most values of a result."""


def resample(
    x: Tensor,
    output_size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    method: str = "linear",
    *,
    antialias: bool = False,
    coordinates: str | None = None,
    coefficient: float | None = None,
    rank: int | None = None,
) -> Tensor:
    """Resize every map: y[n, c, o] = sum_i w_1[o_1, i_1] .. w_d[o_d, i_d] x[n, c, i], axis by axis.

    The outputs' places, the methods' kernels and what happens at borders are those of
    `cnnatomy.geometry.axis_resampling`. Given a `scale_factor` s, they are floor(n s) outputs, exactly 1 / s
    cells apart; given an `output_size`, they lie n / size apart. torch keeps the same two rules, with one
    exception that is kept as well: linear leaves an axis as it is where floor(n s) is n.

    Pictures in uint8 come out in uint8, rounded to whole levels, halves up, and clamped to 0 .. 255 after
    each axis, as in Pillow 13: the width first, but the height if it loses more than twice as many cells.

    Args:
        x: (N, C, *spatial) with one to three spatial axes; three axes, or (C, *spatial), if `rank` says so.
        output_size: the output's spatial size, an int for all axes or one per axis (.., y, x).
        scale_factor: outputs for each input instead, a number > 0 for all axes or one per axis.
        method: `"nearest"`, `"nails"` (x[o / s] at every s-th output, 0 at the others: whole s), `"linear"`,
            `"cubic"`, `"lanczos2"`, `"lanczos3"`, `"area"` (the mean of even shares, as adaptive pooling) or
            `"gaussian"`; `"bilinear"`, `"trilinear"`, `"bicubic"` and `"lanczos"` are understood.
        antialias: widen the kernel where the map shrinks, so that every input counts.
        coordinates: `"half_pixel"` (the default), `"corners"` (`align_corners` of torch) or `"asymmetric"`
            (for nearest torch's older rule, that of its mode `"nearest"`).
        coefficient: the a of `"cubic"`: -0.75, and -0.5 with `antialias`, unless given; or the sigma of
            `"gaussian"` in cells, 0.5 unless given.
        rank: the number of spatial axes; as many as one of these has entries, or all but the first two
            of four or five axes, if left out.

    Returns:
        y (N, C, *size), in the dtype and memory format of x.

    Raises:
        ArgumentError: x has no such axes or dtype, not just one of output_size and scale_factor is given, it
            is out of range, or the method is unknown or does not go with the other settings.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[0.0, 4.0, 8.0]]])
        >>> resample(x, scale_factor=2, rank=1)
        tensor([[[0., 1., 3., 5., 7., 8.]]])
        >>> resample(x, 5, rank=1, coordinates="corners")
        tensor([[[0., 2., 4., 6., 8.]]])
        >>> resample(x, scale_factor=2, rank=1, method="nails")
        tensor([[[0., 0., 4., 0., 8., 0.]]])
    """
    if has_torch_function_unary(x):
        options: dict[str, Any] = {"antialias": antialias, "coordinates": coordinates}
        options |= {"coefficient": coefficient, "rank": rank}
        result: Tensor = handle_torch_function(
            resample, (x,), x, output_size, scale_factor, method, **options
        )
        return result
    demand_dense("resampling", x)
    each = scale_factor if output_size is None else output_size
    spatial = spatial_axes("resampling", x, rank, len(each) if isinstance(each, tuple | list) else None)
    single = x.dim() == spatial + 1
    batch = x.unsqueeze(0) if single else x
    settings = method, coordinates, antialias, coefficient
    given = tuple(batch.shape), batch.dtype, _hashed(output_size), _hashed(scale_factor), settings
    wanted, how = remembered(_settled, *given)
    y = mapped(batch, wanted, how, False)
    return y.squeeze(0) if single else y


_USUAL = (int, float, tuple)


def _hashed(given: Any) -> Any:
    """Numbers for every axis as a tuple; what is most often given is seen to first: asking takes time."""
    if given is None or isinstance(given, _USUAL):
        return given
    return tuple(given) if isinstance(given, Sequence) else given


@lru_cache(maxsize=1024, typed=True)
def _settled(
    shape: tuple[int, ...], dtype: torch.dtype, size: Any, scale: Any, settings: tuple[Any, Any, Any, Any]
) -> tuple[tuple[int, ...], Resampling]:
    """The output's sizes, and how they come about."""
    inputs = shape[2:]
    scales = _scales(size, scale, len(inputs))
    how = Resampling(*settings, scales)
    if scales is not None:
        wanted = tuple(output_size(n, s) for n, s in zip(inputs, scales, strict=True))
    else:
        wanted = per_axis(size, len(inputs), "output_size")
    _check(inputs, dtype, wanted, how)
    return wanted, how


def _scales(size: object, scale: float | Sequence[float] | None, spatial: int) -> tuple[float, ...] | None:
    if (size is None) == (scale is None):
        got = "neither" if size is None else "both"
        raise ArgumentError("how large is the output to be", expected="output_size or scale_factor", got=got)
    if scale is None:
        return None
    scales = tuple(scale) if isinstance(scale, Sequence) else (scale,) * spatial
    if len(scales) != spatial:
        raise ArgumentError(
            "scale_factor has the wrong length", expected=f"a number or {spatial}", got=repr(scale)
        )
    return tuple(positive("scale_factor", entry) for entry in scales)


def _check(inputs: Sequence[int], dtype: torch.dtype, wanted: Sequence[int], how: Resampling) -> None:
    """See that a result of this size and dtype can be; sizes that a compiler traces are left to it."""
    known = INTEGERS if how.picks else (torch.uint8,)
    if dtype not in (*FLOATING, *known):
        names = ", ".join(str(kind).removeprefix("torch.") for kind in (*FLOATING, *known))
        hint = None if how.picks or dtype not in INTEGERS else "method='nearest', or x.float()"
        what = f"no {how.method} resampling of this dtype"
        raise TensorError(what, expected=names, got=str(dtype), hint=hint)
    total = 1
    for n, out in zip(inputs, wanted, strict=True):
        if type(n) is not int or type(out) is not int:
            continue
        how.check(n, out)
        total *= out
    if total > LARGEST:
        raise ArgumentError("the output is too large", expected=f"at most {LARGEST} values", got=str(total))


@lru_cache(maxsize=1024)
def _bands(how: Resampling, sizes: tuple[int, ...], outs: tuple[int, ...], transposed: bool) -> Any:
    found = [how.bands(n, out, i) for i, (n, out) in enumerate(zip(sizes, outs, strict=True))]
    return tuple(one.transposed() for one in found) if transposed else tuple(found)


def _run(x: Tensor, size: tuple[int, ...], how: Resampling, transposed: bool) -> Tensor:
    here = tuple(x.shape[2:])
    demand(x, (*x.shape[:2], *size))
    bands: tuple[Bands, ...] = _bands(how, *((size, here) if transposed else (here, size)), transposed)
    return backend.apply(x, bands)


@torch.library.custom_op("cnnatomy::resample", mutates_args=())
def operator(x: Tensor, size: Sequence[int], how: str, transposed: bool) -> Tensor:
    """y (N, C, *size), by a linear map or its transpose, where x has the map's outputs."""
    return _run(x, tuple(size), Resampling.parse(how), transposed)


@operator.register_fake
def _(x: Tensor, size: Sequence[int], how: str, transposed: bool) -> Tensor:
    refuse_tangents()
    return empty(x, tuple(size), x.dtype, is_last(x))


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    x, _, ctx.how, ctx.transposed = inputs
    ctx.size = list(x.shape[2:])


def _pull(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return operator(grad, ctx.size, ctx.how, not ctx.transposed), None, None, None


operator.register_autograd(_pull, setup_context=_keep)


def mapped(x: Tensor, size: tuple[int, ...], how: Resampling, transposed: bool) -> Tensor:
    """The map or its transpose, in the way that costs least here."""
    inside = transformed()
    if torch.compiler.is_compiling() or not (inside or plain(x)):
        y: Tensor = operator(x, list(size), how.text, transposed)
        return y
    if inside or (x.requires_grad and torch.is_grad_enabled()):
        found: Tensor = Map.apply(x, size, how, transposed)  # type: ignore[no-untyped-call]
        return found
    return _run(x, size, how, transposed)


class Map(Function):
    """The map, or its transpose, with derivatives for eager mode and `torch.func`."""

    @staticmethod
    def forward(x: Tensor, size: tuple[int, ...], how: Resampling, transposed: bool) -> Tensor:
        """Run the backend."""
        return _run(x, size, how, transposed) if plain(x) else operator(x, list(size), how.text, transposed)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the sizes: the map is linear."""
        x, ctx.out, ctx.how, ctx.transposed = inputs
        ctx.size = tuple(x.shape[2:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The transpose."""
        return mapped(grad, ctx.size, ctx.how, not ctx.transposed), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        """The same map."""
        return mapped(tangent, ctx.out, ctx.how, ctx.transposed)

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor, size: Any, how: Resampling, transposed: bool) -> Any:
        """A batch of inputs is one larger input."""
        merged = x.movedim(dims[0], 0).flatten(0, 1)
        found = mapped(merged, size, how, transposed)
        return found.view(info.batch_size, -1, *found.shape[1:]), 0
