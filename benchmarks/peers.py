"""Every pooling as people write it in plain torch, and the settings that it is measured with.

Where torch has an operator, that is the peer; elsewhere it is the shortest formulation that is commonly
written. Exponentials are not shifted, so these overflow where cnnatomy does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plain import Count, Over, Windows
from cnnatomy import reducers as r
from cnnatomy.reducers.kmax import KMax


@dataclass(frozen=True)
class Peer:
    """A reducer with its settings, and the same in plain torch.

    Args:
        reducer: ours.
        run: theirs: a region, x, and what else the reducer takes, to the result.
        comparable: False if both draw, each from numbers of its own.
        few: measure only over regions of few outputs, since each is a large vector.
    """

    reducer: r.Reducer
    run: Callable[..., Tensor]
    comparable: bool = True
    few: bool = False

    @property
    def positive(self) -> bool:
        """True if it is measured on values above 0, which it is meant for."""
        return self.reducer.positive


def least(over: Over, x: Tensor) -> Tensor:
    """-max(-x)"""
    return -over.most(-x)


def lp(over: Over, x: Tensor, p: float) -> Tensor:
    """torch's lp_pool2d of |x| (it sums signed powers) where windows slide; else by averages of powers."""
    if isinstance(over, Windows):
        x = F.pad(x, (over.p,) * 4) if over.p else x
        return F.lp_pool2d(x if p % 2 == 0 else x.abs(), p, over.k, over.s)
    if p == 2:
        return over.total(x * x).sqrt()
    return over.total(x.abs() ** p) ** (1 / p)


def soft(over: Over, x: Tensor) -> Tensor:
    """avg_pool(e^x x) / avg_pool(e^x)"""
    weights = x.exp()
    return over.mean(weights * x) / over.mean(weights)


def importance(over: Over, x: Tensor, logits: Tensor) -> Tensor:
    """avg_pool(w x) / avg_pool(w)"""
    weights = logits.exp()
    return over.mean(weights * x) / over.mean(weights)


def expected(over: Over, x: Tensor) -> Tensor:
    """avg_pool(w^2) / avg_pool(w), w = relu(x)"""
    weights = x.relu()
    return over.mean(weights * weights) / over.mean(weights)


def logsumexp(over: Over, x: Tensor) -> Tensor:
    """log(avg_pool(e^x))"""
    return over.mean(x.exp()).log()


def gem(over: Over, x: Tensor, p: float, clamp: float) -> Tensor:
    """avg_pool(max(x, c)^p)^(1/p)"""
    return over.mean(x.clamp(min=clamp) ** p) ** (1 / p)


def mixed(over: Over, x: Tensor, share: float) -> Tensor:
    """a max_pool(x) + (1 - a) avg_pool(x)"""
    return share * over.most(x) + (1 - share) * over.mean(x)


def median(over: Over, x: Tensor) -> Tensor:
    """median of unfolded windows; nanmedian, with NaN for padding"""

    def reduce(taps: Tensor, count: Count) -> Tensor:
        return (taps.median(-1) if isinstance(count, int) else taps.nanmedian(-1)).values

    return over.each(x, reduce, math.nan)


def quantile(over: Over, x: Tensor, q: float) -> Tensor:
    """kthvalue of unfolded windows; sort and gather, with infinity for padding"""

    def reduce(taps: Tensor, count: Count) -> Tensor:
        if isinstance(count, int):
            return taps.kthvalue(math.floor(q * (count - 1) + 0.5) + 1).values
        rank = (q * (count - 1) + 0.5).long().expand(taps.shape[:-1]).unsqueeze(-1)
        return taps.sort(-1).values.gather(-1, rank).squeeze(-1)

    return over.each(x, reduce, math.inf)


def kth(over: Over, x: Tensor, k: int) -> Tensor:
    """the last of topk"""
    return over.each(x, lambda taps, count: taps.topk(k).values[..., -1], -math.inf)


def kmax(over: Over, x: Tensor, k: int) -> Tensor:
    """the mean of topk"""
    return over.each(x, lambda taps, count: taps.topk(k).values.mean(-1), -math.inf)


def trimmed(over: Over, x: Tensor, share: float) -> Tensor:
    """sort, and the mean of the middle; infinity for padding"""

    def reduce(taps: Tensor, count: Count) -> Tensor:
        values = taps.sort(-1).values
        if isinstance(count, int):
            g = math.floor(share * count)
            return values[..., g : count - g].mean(-1)
        cut, place = (share * count).long(), torch.arange(taps.shape[-1])
        kept = (place >= cut.unsqueeze(-1)) & (place < (count - cut).unsqueeze(-1))
        return torch.where(kept, values, 0).sum(-1) / (count - 2 * cut)

    return over.each(x, reduce, math.inf)


def stochastic(over: Over, x: Tensor) -> Tensor:
    """where running sums of relu(x) pass a uniform draw"""

    def reduce(taps: Tensor, count: Count) -> Tensor:
        sums = taps.detach().relu().cumsum(-1)
        goal = sums[..., -1:] * torch.rand(*taps.shape[:-1], 1, dtype=taps.dtype)
        drawn = (sums <= goal).sum(-1, keepdim=True).clamp(max=taps.shape[-1] - 1)
        return taps.gather(-1, drawn).squeeze(-1)

    return over.each(x, reduce, 0)


def covariance(over: Over, x: Tensor, iterations: int) -> Tensor:
    """The square root of E[x x^T] - E[x] E[x]^T by Newton-Schulz steps, its upper triangle."""
    row, column = torch.triu_indices(x.shape[1], x.shape[1])
    unit = torch.eye(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))

    def reduce(taps: Tensor, count: Count) -> Tensor:
        vectors = taps.to(unit.dtype).movedim(1, -2)  # (N, *out, C, T)
        n = count if isinstance(count, int) else count[..., None, None]
        mean = vectors.sum(-1, keepdim=True) / n
        moments = vectors @ vectors.mT / n - mean @ mean.mT
        trace = moments.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        y, z = moments / trace, unit
        for _ in range(iterations):
            step = (3 * unit - z @ y) / 2
            y, z = y @ step, step @ z
        return (trace.sqrt() * y)[..., row, column].movedim(-1, 1).to(x.dtype)

    return over.each(x, reduce, 0)


PEERS = {
    "max": Peer(r.Max(), lambda over, x: over.most(x)),
    "min": Peer(r.Min(), least),
    "mean": Peer(r.Mean(), lambda over, x: over.mean(x)),
    "l2": Peer(r.L2(), partial(lp, p=2.0)),
    "lp": Peer(r.Lp(3.0), partial(lp, p=3.0)),
    "gem": Peer(r.GeM(3.0), partial(gem, p=3.0, clamp=1e-6)),
    "logsumexp": Peer(r.LogSumExp(), logsumexp),
    "soft": Peer(r.Soft(), soft),
    "importance": Peer(r.Importance(), importance),
    "expected": Peer(r.Expected(), expected),
    "mixed": Peer(r.Mixed(0.5), partial(mixed, share=0.5)),
    "median": Peer(r.Median(), median),
    "quantile": Peer(r.Quantile(0.75), partial(quantile, q=0.75)),
    "kth": Peer(r.Kth(2), partial(kth, k=2)),
    "kmax": Peer(KMax(2), partial(kmax, k=2)),
    "trimmed": Peer(r.Trimmed(0.25), partial(trimmed, share=0.25)),
    "stochastic": Peer(r.Stochastic(), stochastic, comparable=False),
    "covariance": Peer(
        r.Covariance("newton-schulz", iterations=5), partial(covariance, iterations=5), few=True
    ),
}
"""One entry for each pooling of the registry, under its name."""
