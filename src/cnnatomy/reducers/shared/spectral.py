"""Functions of symmetric matrices (.., C, C) by their eigenvalues, differentiable where those repeat.

The derivative of an eigenvector has the gap of two eigenvalues below the line; that of a function f of the
whole matrix has not. Let M = U diag(l) U^T. Where M moves by U E U^T, f(M) moves in the basis U by

    f[l_i, l_j] E_ij + sum_k f[l_i, l_k, l_j] E_ik E_kj + O(E^3),

with the divided differences f[a, b] = (f(a) - f(b)) / (a - b), which is f'(a) where a = b, and so on. Each
function here is this expansion taken at E = 0. Its value is f(M), and torch differentiates it twice, in every
mode, without ever differentiating an eigendecomposition. Only `newton_schulz` has more than two derivatives.

Source: Daleckii and Krein 1965; Higham, "Functions of Matrices", 2008, theorem 3.11; the second order in Horn
and Johnson, "Topics in Matrix Analysis", 1991, section 6.6.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.autograd import forward_ad


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context in which autocast leaves matrix products alone."""
    kind = x.device.type
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()


def power(m: Tensor, alpha: float) -> Tensor:
    """M^alpha of a positive semidefinite M, for alpha > 0.

    Eigenvalues up to C eps times the largest are rounding errors and count as 0. For alpha < 1 the slope at 0
    is infinite: between two eigenvalues of 0 it counts as 0 instead. While M = X X^T keeps its rank, whatever
    stands there does not reach X. Where the rank changes, M^alpha may have a kink, as a norm has at 0.

    Example:
        >>> power(torch.diag(torch.tensor([4.0, 9.0])), 0.5)
        tensor([[2., 0.],
                [0., 3.]])
    """
    values, vectors = _eigen(m)
    scale = torch.where(values[..., -1:] > 0, values[..., -1:], 1)  # no power of M / scale overflows
    values = values / scale
    values = torch.where(values > m.shape[-1] * torch.finfo(m.dtype).eps, values, 0)
    scale = scale.unsqueeze(-1)
    return scale**alpha * _function(m / scale, values, vectors, alpha)


def log(m: Tensor, epsilon: float) -> Tensor:
    """log(M + epsilon I) of a positive semidefinite M.

    Example:
        >>> log(torch.zeros(1, 1), 0.001)
        tensor([[-6.9078]])
    """
    values, vectors = _eigen(m)
    return _function(m, values.clamp(min=0) + epsilon, vectors, 0)


def top(m: Tensor, k: int) -> Tensor:
    """The k largest eigenvalues (.., k), from the largest down.

    Where some repeat, the sorted spectrum has a kink: the gradient is then that in one basis of their space.

    Example:
        >>> top(torch.diag(torch.tensor([4.0, 9.0, 1.0])), 2)
        tensor([9., 4.])
    """
    values, vectors = _eigen(m)
    gap = values.unsqueeze(-1) - values.unsqueeze(-2)
    bend = torch.where(gap == 0, 0, _bounded(1 / torch.where(gap == 0, 1, gap)))
    moved = _move(m, vectors)
    spectrum = values + moved.diagonal(dim1=-2, dim2=-1) + (bend * moved.square()).sum(-1)
    return spectrum.flip(-1)[..., :k]


def newton_schulz(m: Tensor, iterations: int) -> Tensor:
    """The square root of a positive semidefinite M by coupled iterations, which need matrix products only.

    From Y = M / tr M and Z = I, each step is Y, Z <- Y T, T Z with T = (3 I - Z Y) / 2; the root is near
    sqrt(tr M) Y.

    Source: Li et al., "Towards faster training of global covariance pooling networks by iterative matrix
    square root normalization", CVPR 2018.

    Example:
        >>> m = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
        >>> root = newton_schulz(m, 10)
        >>> torch.allclose(root @ root, m)
        True
    """
    scale = _trace(m.detach())
    m = m / scale  # no power of a trace near 1 overflows
    trace = _trace(m)
    unit = torch.eye(m.shape[-1], dtype=m.dtype, device=m.device)
    y = m / trace
    step = (3 * unit - y) / 2
    y, z = y @ step, step
    for _ in range(iterations - 1):
        step = (3 * unit - z @ y) / 2
        y, z = y @ step, step @ z
    return scale.sqrt() * trace.sqrt() * y


def upper(m: Tensor, scaled: bool) -> Tensor:
    """The upper triangle (.., C (C + 1) / 2) row by row; `scaled` by sqrt 2 beside the diagonal.

    Example:
        >>> upper(torch.tensor([[1.0, 2.0], [2.0, 3.0]]), scaled=False)
        tensor([1., 2., 3.])
    """
    row, column = torch.triu_indices(m.shape[-1], m.shape[-1], device=m.device)
    entries = m[..., row, column]
    return torch.where(row == column, entries, entries * 2**0.5) if scaled else entries


def _trace(m: Tensor) -> Tensor:
    """The trace (.., 1, 1); 1 where it is 0, since the root of 0 is 0."""
    trace = m.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return torch.where(trace > 0, trace, 1)


def _eigen(m: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues, ascending, and their vectors, as constants."""
    values, vectors = torch.linalg.eigh((m.detach() + m.detach().mT) / 2)
    return values, vectors


def _move(m: Tensor, vectors: Tensor) -> Tensor:
    """E: zero, and the derivatives of M in the basis of its eigenvectors."""
    turned = vectors.mT @ (m + m.mT) @ vectors / 2
    return turned - turned.detach()


def _function(m: Tensor, values: Tensor, vectors: Tensor, alpha: float) -> Tensor:
    """f(M), where f is the power alpha, or the logarithm for alpha = 0."""
    results = values**alpha if alpha else values.log()
    if not torch.is_grad_enabled() and forward_ad._current_level < 0:
        return (vectors * results.unsqueeze(-2)) @ vectors.mT
    slopes, moved = _slopes(values, alpha), _move(m, vectors)
    core = torch.diag_embed(results) + slopes * moved + _bend(values, slopes, alpha, moved)
    return vectors @ core @ vectors.mT


def _slopes(values: Tensor, alpha: float) -> Tensor:
    """f[l_i, l_j] without cancellation: a^(alpha - 1) (1 - (b / a)^alpha) / (1 - b / a) for a >= b."""
    larger = torch.maximum(values.unsqueeze(-1), values.unsqueeze(-2))
    logs = values.log()
    apart = (logs.unsqueeze(-1) - logs.unsqueeze(-2)).abs()  # log(a / b)
    ratio = (torch.expm1(-alpha * apart) if alpha else -apart) / torch.expm1(-apart)
    ratio = torch.where(apart == 0, alpha or 1.0, ratio)
    return torch.where(larger > 0, larger ** (alpha - 1) * ratio, 0)


def _bend(values: Tensor, slopes: Tensor, alpha: float, moved: Tensor) -> Tensor:
    """sum_k f[l_i, l_k, l_j] E_ik E_kj, by matrix products.

    It is the difference (f[l_i, l_k] - f[l_k, l_j]) / (l_i - l_j) where l_i and l_j are apart. Where they are
    near, it is the mean of f[l_i, l_i, l_k] and f[l_j, l_j, l_k]. Both forms are good to about eps^(2/3).
    """
    row, column = values.unsqueeze(-1), values.unsqueeze(-2)
    near = (row - column).abs() <= torch.finfo(values.dtype).eps ** (1 / 3) * torch.maximum(row, column)
    gap = torch.where(near, 1, row - column)
    between = (2 * row + column) / 3
    curve = torch.where(between > 0, (alpha or 1.0) * (alpha - 1) / 2 * between ** (alpha - 2), 0)
    own = slopes.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    twice = _bounded(torch.where(near, curve, (own - slopes) / gap))  # f[l_i, l_i, l_k]
    mean, difference = (twice * moved) @ moved, (slopes * moved) @ moved
    return torch.where(near, (mean + mean.mT) / 2, (difference - difference.mT) / gap)


def _bounded(factor: Tensor) -> Tensor:
    """Finite, since it multiplies zeros."""
    most = torch.finfo(factor.dtype).max
    return factor.clamp(-most, most)
