"""Muon: momentum made orthogonal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.adamw import adamw

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial of degree 5 that each iteration applies to the singular values: steepest at 0."""


def orthogonal(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Bring the singular values of matrices (..., M, N) near 1, between 0.7 and 1.2 or so: about U V^T.

    Each iteration is X <- a X + b (X X^T) X + c (X X^T)^2 X, Newton-Schulz with `COEFFICIENTS`, after the
    matrix was divided by its Frobenius norm. Singular values far below that norm stay smaller.

    What X is multiplied with are polynomials of X X^T, whose sides are the shorter side of X: they are
    multiplied with each other first, and X only once.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks".

    Example:
        >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 2.0, 1.0]))))
        >>> bool(((0.68 < values) & (values < 1.2)).all())
        True
    """
    a, b, c = COEFFICIENTS
    upright = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if upright else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    gram = x @ x.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = identity
    for left in reversed(range(iterations)):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product if product is not identity else factor
        gram = factor @ gram @ factor if left else gram
    turned: Tensor = product @ x
    return turned.mT if upright else turned


class Muon(torch.optim.Optimizer):
    """Orthogonal momentum for weights, AdamW for the groups with `matrices=False`.

    A weight of two or more dimensions is seen as the matrix (out, rest). It keeps the length (Frobenius norm)
    that it began with, and a step turns it: by lr times the orthogonal of its momentum, made as long as the
    weight is. Where a norm follows, as after most convolutions, the length of a weight has no meaning; where
    none follows, it stays what the first weights were drawn with.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; lengths are kept
    as in the code of Jordan (2024), "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float = 0.1,
        momentum: float = 0.6,
        nesterov: bool = True,
        iterations: int = 3,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "iterations": iterations}
        rest = {"weight_decay": weight_decay, "betas": betas, "eps": eps}
        super().__init__(params, {**settings, **rest})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Make one step; `closure` gives the loss anew, if there is one."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group.get("matrices", True):
                for parameter in learning:
                    self._turn(parameter, group)
            elif learning:
                self._adamw(learning, group)
        return loss

    def _turn(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Step along the orthogonal of the momentum."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
            state["length"] = parameter.norm()
        sum_, momentum = state["momentum_buffer"], group["momentum"]
        sum_.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(sum_, momentum) if group["nesterov"] else sum_
        # Channels last or not, the columns are in the order of the axes.
        turned = orthogonal(ahead.flatten(1), group["iterations"]).reshape(parameter.shape)
        length = state["length"]
        parameter.sub_(turned * (group["lr"] * length / turned.norm().clamp(min=1e-7)))
        parameter.mul_(length / parameter.norm().clamp(min=1e-7))

    def _adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        means, squares, steps = ([s[key] for s in states] for key in ("exp_avg", "exp_avg_sq", "step"))
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        beta1, beta2 = group["betas"]
        options = {"lr": group["lr"], "weight_decay": group["weight_decay"], "eps": group["eps"]}
        adamw(
            *(parameters, gradients, means, squares, [], steps),
            **{"fused": True, "amsgrad": False, "maximize": False, "beta1": beta1, "beta2": beta2, **options},
        )
