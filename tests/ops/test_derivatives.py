"""Derivatives of `pool`: every order, mode and transform, every reducer over every kind of region."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import REGIONS, distinct, inputs_for, pairs, pooling
from torch import Tensor

from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region

pytestmark = pytest.mark.costly(3)
everywhere = pytest.mark.parametrize(("what", "region"), pairs(REGIONS))


def smooth(what: Reducer, *shape: int) -> tuple[Tensor, ...]:
    """Inputs in float64 for which finite differences see no kink."""
    x, *beside = inputs_for(what, shape, torch.float64)
    values = distinct(*shape)
    return (values - values.amin() + 0.1 if bool((x >= 0).all()) else values), *beside


def finite(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same with 0 where a window has no tap."""

    def kept(*inputs: Tensor) -> Tensor:
        y = run(*inputs)
        return torch.where(y.isfinite(), y, 0)

    return kept


@everywhere
def test_derivatives_are_those_of_finite_differences(what: Reducer, region: Region) -> None:
    inputs = tuple(tensor.requires_grad_() for tensor in smooth(what, 2, 3, 4, 4))
    run = finite(pooling(what, region))
    assert torch.autograd.gradcheck(run, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@everywhere
def test_many_gradients_at_once_are_each_of_them(what: Reducer, region: Region) -> None:
    """As autograd batches them for Jacobians; torch's own test of it is in `gradcheck`."""
    leaves = tuple(tensor.requires_grad_() for tensor in smooth(what, 2, 3, 4, 4))
    y = finite(pooling(what, region))(*leaves)
    pulls = torch.randn(3, *y.shape, dtype=torch.float64)
    found = torch.autograd.grad(y, leaves, pulls, retain_graph=True, is_grads_batched=True)
    each = [torch.autograd.grad(y, leaves, pull, retain_graph=True) for pull in pulls]
    for one, others in zip(found, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(one, torch.stack(others))


@everywhere
def test_function_transforms(what: Reducer, region: Region) -> None:
    inputs = smooth(what, 2, 3, 4, 4)
    every = tuple(range(len(inputs)))
    run = finite(pooling(what, region))

    def cost(*inputs: Tensor) -> Tensor:
        return (run(*inputs) ** 3).sum()

    leaves = tuple(tensor.clone().requires_grad_() for tensor in inputs)
    wanted = torch.autograd.grad(cost(*leaves), leaves)
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd):
        for one, other in zip(transform(cost, every)(*inputs), wanted, strict=True):
            torch.testing.assert_close(one, other)
    torch.testing.assert_close(torch.func.jacfwd(run)(*inputs), torch.func.jacrev(run)(*inputs))


@everywhere
def test_a_batched_call_is_one_call_for_each(what: Reducer, region: Region) -> None:
    x, *beside = smooth(what, 2, 3, 4, 4)
    many = torch.stack([x, x.flip(2), x.roll(1, 3)], 1)  # along the second axis
    run = finite(pooling(what, region))

    def cost(x: Tensor) -> Tensor:
        return (run(x, *beside) ** 3).sum()

    for function in (lambda x: run(x, *beside), torch.func.grad(cost)):
        wanted = torch.stack([function(one) for one in many.unbind(1)])
        torch.testing.assert_close(torch.vmap(function, in_dims=1)(many), wanted)


@everywhere
def test_hessians_are_jacobians_of_gradients(what: Reducer, region: Region) -> None:
    x, *beside = smooth(what, 2, 3, 4, 4)
    run = finite(pooling(what, region))

    def cost(x: Tensor) -> Tensor:
        return (run(x, *beside) ** 3).sum()

    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(leaf), leaf, create_graph=True)
    direction = distinct(2, 3, 4, 4).flip(3)
    (wanted,) = torch.autograd.grad(slope, leaf, direction) if slope.requires_grad else (torch.zeros_like(x),)
    hessian = torch.func.hessian(cost)(x)
    torch.testing.assert_close(torch.einsum("abcdefgh,efgh->abcd", hessian, direction), wanted)
