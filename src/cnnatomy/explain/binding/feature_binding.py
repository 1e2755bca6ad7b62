"""Normalisation over channels, distances, dense layers, and functions of single numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.binding.binding_common import (
    Bound,
    Options,
    batched,
    called,
    code,
    functional,
    settings,
    taken,
)
from cnnatomy.explain.families.pointwise_family import Applying, Dense, Measuring, Normalizing

ACTIVATIONS: dict[str, str] = {
    **{"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "GELU": "gelu", "SiLU": "silu", "ELU": "elu"},
    **{"LeakyReLU": "leaky_relu", "ReLU6": "relu6", "Hardtanh": "hardtanh", "Hardswish": "hardswish"},
    **{"Softplus": "softplus", "Mish": "mish", "ScaledTanh": "scaled_tanh", "Identity": "x"},
}
"""Modules that work on each number by itself, and what their functions are called."""


def response_norm(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """torch's local response normalisation, and this package's."""
    taken(options, {}, type(module).__name__)
    layer: Any = module
    if x.dim() < 3:
        raise ArgumentError(
            "channels are normalised", expected="(N, C, *spatial)", got=f"shape {tuple(x.shape)}"
        )
    divide = getattr(layer, "divide", True)
    params = settings(layer, ("size", "alpha", "beta", "k"))
    call = called(code(layer), "local_response_norm", params, {"x": x}, functional(layer, ()))
    alpha = layer.alpha / layer.size if divide else layer.alpha
    return Bound(Normalizing(call, layer.size, alpha, layer.beta, layer.k), x.dim() - 2)


def radial(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """Distances to codes."""
    taken(options, {}, "RBF")
    layer: Any = module
    vector = _vectors(x, layer.codes.shape[1])
    call = called(code(layer), "rbf", {"codes": len(layer.codes)}, {"x": vector}, functional(layer, ()))
    return Bound(Measuring(call, layer.codes), 0)


def dense(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A dense layer."""
    taken(options, {}, "Linear")
    layer: Any = module
    names = ("weight", "bias") if layer.bias is not None else ("weight",)
    inputs = {"x": _vectors(x, layer.in_features), **{name: getattr(layer, name) for name in names}}
    params = settings(layer, ("in_features", "out_features"))
    return Bound(Dense(called(code(layer), "dense", params, inputs, functional(layer, names))), 0)


def _vectors(x: Tensor, features: int) -> Tensor:
    if x.dim() not in (1, 2) or x.shape[-1] != features or not x.numel():
        raise ArgumentError("x does not fit", expected=f"(N, {features})", got=f"shape {tuple(x.shape)}")
    return x if x.dim() == 2 else x[None]


def activation(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A function of each number by itself."""
    taken(options, {}, type(module).__name__)
    rank = x.dim() - 2 if x.dim() > 2 else x.dim()
    name = ACTIVATIONS[type(module).__name__]
    run = functional(module, ())
    call = called(code(module), name, {}, {"x": batched(x, rank)}, run)
    return Bound(Applying(call, lambda values: run({"x": values})), rank)
