"""From what is to be explained to the family of operators that lays it out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

import cnnatomy.nn as ours
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.binding import convolution_binding, feature_binding, pooling_binding, reshaping_binding
from cnnatomy.explain.binding.binding_common import Bound, Options, tensor_of
from cnnatomy.filters import FixedFilter
from cnnatomy.nn.convolution_modules import Convolution, TransposedConvolution
from cnnatomy.nn.dropin import DropIn
from cnnatomy.nn.padding_modules import PadModule
from cnnatomy.nn.pooling_modules import PoolingModule
from cnnatomy.nn.separable import Separable
from cnnatomy.nn.subpixel import ResizeConv, SubpixelConv
from cnnatomy.nn.unpooling_modules import MeanUnpool, Unpool
from cnnatomy.nn.upsample import Upsample
from cnnatomy.ops import convolve, convolve_transposed, pad, pool, resample, unpool, unpool_mean

Binds = Callable[[Any, nn.Module, Tensor, Options], Bound]

MODULES: dict[Any, Binds] = {
    PoolingModule: pooling_binding.pool_module,
    ours.Subsample2d: pooling_binding.subsample,
    DropIn: pooling_binding.drop_in,
    (
        TransposedConvolution,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    ): convolution_binding.transposed,
    (Convolution, nn.Conv1d, nn.Conv2d, nn.Conv3d): convolution_binding.convolution,
    Separable: convolution_binding.separable,
    SubpixelConv: convolution_binding.subpixel,
    ResizeConv: convolution_binding.resized,
    FixedFilter: convolution_binding.fixed_filter,
    PadModule: reshaping_binding.pad_module,
    (Upsample, nn.Upsample): reshaping_binding.upsample,
    (ours.Resample1d, ours.Resample2d, ours.Resample3d): reshaping_binding.resample_module,
    (ours.BedOfNails1d, ours.BedOfNails2d, ours.BedOfNails3d): reshaping_binding.resample_module,
    Unpool: reshaping_binding.unpool_module,
    MeanUnpool: reshaping_binding.mean_unpool,
    (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d): reshaping_binding.max_unpool,
    (nn.PixelShuffle, nn.PixelUnshuffle): reshaping_binding.shuffle,
    nn.LocalResponseNorm: feature_binding.response_norm,
    ours.RBF: feature_binding.radial,
    nn.Linear: feature_binding.dense,
}
"""What binds a module of each kind; the first kind that fits does."""
FUNCTIONS: dict[Any, Callable[[Tensor, Options], Bound]] = {
    pool: pooling_binding.pool_function,
    pad: reshaping_binding.pad_function,
    convolve: convolution_binding.convolve_function,
    convolve_transposed: convolution_binding.transposed_function,
    resample: reshaping_binding.resample_function,
    unpool: reshaping_binding.unpool_function,
    unpool_mean: reshaping_binding.unpool_mean_function,
}


def bind(what: Any, x: Any, options: Options) -> Bound:
    """The family of what is to be explained, called on x.

    Args:
        what: a module of torch or of this package, or one of this package's functions on tensors.
        x: its input.
        options: further arguments of the call.

    Raises:
        ArgumentError: there is no explanation of this, or it does not take this.
    """
    if isinstance(what, nn.Module):
        return _module(what, tensor_of(x), options)
    for function, binds in FUNCTIONS.items():
        if what is function:
            return binds(tensor_of(x), options)
    names = ", ".join(sorted(f"cnnatomy.{function.__name__}" for function in FUNCTIONS))
    got = getattr(what, "__qualname__", None) or repr(what)
    near = get_close_matches(str(got), [function.__name__ for function in FUNCTIONS], n=1)
    expected = f"a module, or one of {names}"
    hint = f"cnnatomy.{near[0]}" if near else None
    raise ArgumentError("there is no explanation of this", expected=expected, got=got, hint=hint)


def _module(module: nn.Module, x: Tensor, options: Options) -> Bound:
    twin = as_ours(module)
    for kind, binds in MODULES.items():
        if isinstance(twin, kind):
            return binds(twin, module, x, options)
    name = type(module).__name__
    if name in feature_binding.ACTIVATIONS:
        return feature_binding.activation(twin, module, x, options)
    if name[:-2] in reshaping_binding.TORCH_PADS:
        return reshaping_binding.torch_pad(twin, module, x, options)
    expected = "a pooling, padding, convolution, resizing, unpooling, dense layer or activation"
    hint = "layer=, the path of one of its layers" if list(module.children()) else None
    raise ArgumentError(f"there is no explanation of {name}", expected=expected, hint=hint)


def as_ours(module: nn.Module) -> nn.Module:
    """This package's module of the same name and settings, where a module is one of torch's own.

    Example:
        >>> as_ours(nn.MaxPool2d(2)).__class__.__module__
        'cnnatomy.nn.dropin'
    """
    kinds: tuple[Any, ...] = type(module).__mro__
    bases = [kind for kind in kinds if kind.__module__.startswith("torch.nn.modules")]
    known: Any = getattr(ours, bases[0].__name__, None)
    if not isinstance(known, type) or known is bases[0] or isinstance(module, known):
        return module
    if not issubclass(known, bases[0]) or issubclass(known, Convolution | TransposedConvolution):
        return module
    twin: nn.Module = copy.copy(module)
    twin.__class__ = known  # type: ignore[assignment]  # of the same layout: a subclass of torch's own
    return twin
