"""Local response normalisation against torch and a loop over channels."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from support import close, last, random
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.nn.response_norm import LocalResponseNorm


def truth(x: Tensor, n: int, alpha: float, beta: float, k: float) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3, a channel after the other in float64; alpha as it is used."""
    x, parts = x.double(), []
    for c in range(x.shape[1]):
        around = x[:, max(0, c - n // 2) : c - n // 2 + n]
        parts.append(x[:, c] / (k + alpha * around.square().sum(1)) ** beta)
    return torch.stack(parts, 1)


@pytest.mark.parametrize("shape", [(2, 7, 4), (2, 7, 4, 3), (2, 7, 3, 2, 2), (1, 1, 2), (0, 3, 2, 2)])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_both_formulas(shape: tuple[int, ...], n: int, dtype: torch.dtype) -> None:
    x = random(shape, dtype)
    close(LocalResponseNorm(n, 0.3, 0.75, 2.0)(x), truth(x, n, 0.3 / n, 0.75, 2.0), sums=4)
    close(LocalResponseNorm(n, 0.3, 0.75, 2.0, divide=False)(x), truth(x, n, 0.3, 0.75, 2.0), sums=4)


def test_torchs_signature_gives_torchs_result_and_gradient() -> None:
    for arguments in ((2,), (5, 1e-2), (5, 1e-2, 0.5, 2.0)):
        options: dict[str, Any] = dict(zip(("size", "alpha", "beta", "k"), arguments, strict=False))
        x, z = (random((2, 6, 5, 4)).requires_grad_() for _ in range(2))
        found, wanted = LocalResponseNorm(**options)(x), torch.nn.LocalResponseNorm(**options)(z)
        assert torch.equal(found, wanted)
        pull = random((2, 6, 5, 4), seed=1)
        assert torch.equal(torch.autograd.grad(found, x, pull)[0], torch.autograd.grad(wanted, z, pull)[0])


def test_alexnets_is_the_papers() -> None:
    x = random((2, 9, 4, 4), torch.float64) * 100
    module = LocalResponseNorm.alexnet()
    close(module(x), truth(x, 5, 1e-4, 0.75, 2.0))
    assert repr(pickle.loads(pickle.dumps(module))) == repr(module)


def test_derivatives_graphs_and_formats() -> None:
    module = LocalResponseNorm(3, 0.5, 0.75, divide=False)
    x = random((2, 5, 3, 4), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradgradcheck(module, x)
    close(torch.compile(module, fullgraph=True, backend="aot_eager")(x), module(x))
    close(module(last(x)), module(x))
    close(torch.func.vmap(module)(x[:, None])[:, 0], module(x))


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"size": -1}, {"size": 2.5}, {"size": 2, "divide": 1}], ids=str
)
def test_wrong_arguments_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        LocalResponseNorm(**wrong)
