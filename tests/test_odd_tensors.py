"""Tensors that an operator cannot take are refused in our words; by torch's names as torch refuses them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from modules import functions, given, modules, x
from torch import Tensor

import cnnatomy as ca
from cnnatomy.errors import ArgumentError, TensorError

pytestmark = pytest.mark.filterwarnings("ignore:.*(quantize_per_tensor|ao.quantization)")
MODULES, FUNCTIONS = modules(), functions()
TORCHS = [name for name in MODULES if hasattr(torch.nn, name.partition("(")[0]) and "Conv" not in name]
OURS = [name for name in MODULES if name not in TORCHS]


def jagged(x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it is a prototype
        return torch.nested.nested_tensor([x[0], x[0][..., :2]])


SPARSE: dict[str, Callable[[Tensor], Tensor]] = {"sparse": Tensor.to_sparse, "nested": jagged}
ODD = SPARSE | {"complex": lambda x: x.to(torch.complex64), "boolean": lambda x: x > 0}


def module(name: str) -> tuple[Callable[[Any], Any], Tensor]:
    made, (first, *rest) = MODULES[name](), given(name)
    return lambda x: made.eval()(x, *rest), first


def function(name: str) -> tuple[Callable[[Any], Any], Tensor]:
    return FUNCTIONS[name], x()


CASES = [(module, name) for name in OURS] + [
    (function, name)
    for name in FUNCTIONS
    if name not in ("pool of integers", "resample by sizes", "unpool_mean")
]


def test_the_error_is_ours_and_torchs() -> None:
    assert issubclass(TensorError, ArgumentError)
    assert issubclass(TensorError, RuntimeError)


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize(("of", "name"), CASES, ids=[name for _, name in CASES])
def test_sparse_and_nested_tensors_are_refused(of: Any, name: str, kind: str) -> None:
    call, first = of(name)
    with pytest.raises(TensorError) as caught:
        call(SPARSE[kind](first))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("of", "name"), CASES, ids=[name for _, name in CASES])
def test_quantized_numbers_are_refused_with_what_to_try(of: Any, name: str) -> None:
    call, first = of(name)
    quantized = torch.quantize_per_tensor(first.float(), 0.1, 0, torch.qint8)
    with pytest.raises(TensorError, match=r"quantized numbers: .* try x\.dequantize\(\)|got .*qint8"):
        call(quantized)


POOLINGS = {
    "MaxPool2d": lambda n: n.MaxPool2d(2),
    "AvgPool2d": lambda n: n.AvgPool2d(2),
    "AdaptiveAvgPool2d": lambda n: n.AdaptiveAvgPool2d(3),
    "Upsample": lambda n: n.Upsample(scale_factor=2),
    "Upsample, bilinear": lambda n: n.Upsample(scale_factor=2, mode="bilinear"),
}


def quantized(layer: torch.nn.Module, x: Tensor) -> Tensor:
    """What is behind a layer once torch has observed the numbers and replaced what it can."""
    quantization: Any = torch.ao.quantization
    net = torch.nn.Sequential(quantization.QuantStub(), layer, quantization.DeQuantStub()).eval()
    net.qconfig = quantization.get_default_qconfig("x86")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own: this way of quantization is to go
        prepared = quantization.prepare(net)
        prepared(x)
        found: Tensor = quantization.convert(prepared)(x)
    return found


@pytest.mark.parametrize("name", POOLINGS)
def test_quantized_networks_pool_as_with_torchs_layers(name: str) -> None:
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    ours, theirs = (quantized(POOLINGS[name](home), pictures) for home in (ca.nn, torch.nn))
    assert torch.equal(ours, theirs)


def test_a_quantized_network_with_our_convolution_says_what_to_use() -> None:
    with pytest.raises(
        TensorError, match=r"no convolution of quantized numbers: .*torch\.nn's layer of that name"
    ):
        quantized(ca.nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("kind", ["complex", "boolean"])
@pytest.mark.parametrize(("of", "name"), CASES, ids=[name for _, name in CASES])
def test_numbers_of_another_kind_work_or_are_refused(of: Any, name: str, kind: str) -> None:
    call, first = of(name)
    with suppress(TensorError):
        call(ODD[kind](first))


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", TORCHS)
def test_torchs_names_work_or_raise_what_torch_raises(name: str, kind: str) -> None:
    call, first = module(name)
    with suppress(RuntimeError):
        call(ODD[kind](first))
