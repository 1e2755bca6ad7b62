"""A learning rate found by trying: it rises from step to step until the loss does too."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError

WIDTH = 3.0
"""Standard deviation, in steps, of the weights by which losses are smoothed."""
RISE = 1.25
"""The search ends once the loss is so many times what it was at first, each over a few steps."""
RECENT = 5
NEAR = 0.05
"""The part of its fall that a loss may lack and be as good as the lowest, and the least fall that counts."""
LEAST = 10
"""Fewer steps than this tell nothing."""


@dataclass(frozen=True)
class RateCurve:
    """The loss at each learning rate that was tried, and what follows from it."""

    rates: tuple[float, ...]
    """Rising by the same factor at every step."""
    losses: tuple[float, ...]
    """Of the batch that the step with this rate was made with, before the step."""
    smoothed: tuple[float, ...]
    """Their means over the steps around, which do not lag behind; losses beyond bounds count as at them."""

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest: just before training goes wrong."""
        return self.rates[self.smoothed.index(min(self.smoothed))]

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest as the logarithm of the rate rises."""
        falls = [after - before for before, after in pairwise(self.smoothed)]
        place = falls.index(min(falls))
        return math.sqrt(self.rates[place] * self.rates[place + 1])

    @property
    def tenth(self) -> float:
        """A tenth of `lowest`, the usual distance from where training goes wrong."""
        return self.lowest / 10

    @property
    def enough(self) -> float:
        """The least rate at which the smoothed loss has come down by 95% of what it does at `lowest`."""
        low, first = min(self.smoothed), self.smoothed[0]
        return next(
            r for r, v in zip(self.rates, self.smoothed, strict=True) if v <= low + NEAR * (first - low)
        )

    @property
    def suggestion(self) -> float:
        """What to train with at the peak: midway, in logarithms, between `enough` and `lowest`.

        A schedule is at its peak for a short time only, so that a tenth of `lowest`, which suits a constant
        rate, is too little. Where the loss is as low over a wide range of rates, chance alone decides where
        it is lowest, and the lower ones are the safer.
        """
        return math.sqrt(self.enough * self.lowest)


def smooth(values: Sequence[float], width: float = WIDTH) -> tuple[float, ...]:
    """Average each value with those around it, with the weights of a normal distribution of so many steps.

    Example:
        >>> [round(value, 3) for value in smooth([0, 0, 1, 0, 0], width=0.5)]
        [0.0, 0.106, 0.787, 0.106, 0.0]
    """
    means = []
    for place in range(len(values)):
        weights = [math.exp(-(((other - place) / width) ** 2) / 2) for other in range(len(values))]
        means.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return tuple(means)


def find_rate(
    model: nn.Module,
    batches: Callable[[int], tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    clip: float = math.inf,
) -> RateCurve:
    """Try learning rates from `low` to `high` on a copy of the network, one a step, until the loss rises.

    The network, its buffers and the caller's random state stay as they are.

    Source: Smith (2017), "Cyclical learning rates for training neural networks", section 3.3,
    arXiv:1506.01186; exponentially rising rates as in fastai.

    Args:
        model: on the device where it shall learn.
        batches: what the network reads and what it shall answer, for each step from 0.
        loss: of the network's outputs and what it shall answer; a scalar.
        make_optimizer: gives an optimizer for the copy. Groups with different rates keep their proportions,
            and the greatest has the rate that is tried.
        clip: the longest gradient (L2 norm over all parameters) that a step uses, as the training will.

    Raises:
        ArgumentError: the rates or steps can mean nothing, the loss is soon no number, or it never falls.

    Example:
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> curve = find_rate(nn.Linear(1, 1), lambda _: (x, 3 * x + 0.1 * torch.randn_like(x)),
        ...                   nn.functional.mse_loss, lambda model: torch.optim.SGD(model.parameters()))
        >>> 0.1 < curve.suggestion <= curve.lowest < 10
        True
    """
    checks.real("low", low, "a rate > 0", lambda n: 0 < n < math.inf)
    checks.real("high", high, f"a rate above low, {low:g}", lambda n: low < n < math.inf)
    checks.whole_number("steps", steps, least=LEAST)
    checks.real("clip", clip, "a number > 0", lambda n: n > 0)
    rates = [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]
    device = next((p.device for p in checks.module(model).parameters()), torch.device("cpu"))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        copied = copy.deepcopy(model).train()
        losses = _tried(copied, batches, loss, make_optimizer(copied), rates, clip)
    if len(losses) < LEAST:
        what = f"the loss left all bounds within {len(losses)} steps"
        raise ArgumentError(what, expected=f"at least {LEAST}", hint=f"low={low / 1000:g}")
    bound = 2 * RISE * sum(losses[:RECENT]) / RECENT  # one that explodes would outweigh all around it
    smoothed = smooth([min(one, bound) for one in losses])
    if min(smoothed) > (1 - NEAR) * smoothed[0]:
        what, got = "no rate made the loss fall", f"from {smoothed[0]:.4g} to {min(smoothed):.4g}"
        raise ArgumentError(
            what, expected="a fall of 5%", got=got, hint="more steps, or the optimizer's own rate"
        )
    return RateCurve(tuple(rates[: len(losses)]), tuple(losses), smoothed)


def _tried(
    model: nn.Module,
    batches: Callable[[int], tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    rates: Sequence[float],
    clip: float,
) -> list[float]:
    """The loss at each rate, up to where it has risen too far or is no number."""
    greatest = max(group["lr"] for group in optimizer.param_groups)
    shares = [group["lr"] / greatest for group in optimizer.param_groups]
    losses: list[float] = []
    for step, rate in enumerate(rates):
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = rate * share
        inputs, target = batches(step)
        optimizer.zero_grad()
        value = loss(model(inputs), target)
        torch.autograd.backward(value)
        if not math.isfinite(value.item()):
            break
        losses.append(value.item())
        if len(losses) > RECENT and sum(losses[-RECENT:]) > RISE * sum(losses[:RECENT]):
            break
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return losses
