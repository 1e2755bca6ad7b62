"""Eigenvalues of symmetric matrices by elementary operators alone, for runtimes without a solver."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

_SWEEPS = 12
"""Sweeps over all pairs: convergence is quadratic, and 64 channels take eight to float64's last digit."""


def eigh(m: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues (.., n), ascending, and eigenvectors (.., n, n), in columns, of symmetric matrices.

    Jacobi's method with the pairs of a round turned at once: neighbours (0, 1), (2, 3), .. are, and then all
    but the first place move round, so that in n - 1 rounds every pair has met. It runs in float64, as a loop.

    Source: Brent & Luk, "The solution of singular-value and symmetric eigenvalue problems on multiprocessor
    arrays", SIAM J. Sci. Stat. Comput. 6, 1985.

    Example:
        >>> values, vectors = eigh(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> values
        tensor([1., 3.])
        >>> torch.allclose(vectors @ torch.diag(values) @ vectors.mT, torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        True
    """
    n = m.shape[-1]
    if n == 1:
        return m.squeeze(-1), torch.ones_like(m)
    even = n + n % 2
    a = torch.nn.functional.pad(m.double(), (0, even - n, 0, even - n))  # one more place, which meets zeros
    v = torch.eye(even, dtype=a.dtype, device=a.device).expand(a.shape).clone()
    rounds = _SWEEPS * (even - 1)
    order = torch.tensor(_round_robin(even), device=a.device)

    def going(count: Tensor, order: Tensor, a: Tensor, v: Tensor) -> Tensor:
        return count < rounds

    def turn(count: Tensor, order: Tensor, a: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # The order goes round with the rest: torch now and then loses a constant within the loop's graph.
        a, v = _turned(a, v)
        moved = a.index_select(-1, order).index_select(-2, order)
        return count + 1, order.clone(), moved, v.index_select(-1, order)

    start = torch.zeros((), dtype=torch.int64, device=a.device)
    _, _, a, v = while_loop(going, turn, (start, order, a, v))  # type: ignore[no-untyped-call]
    values, order = a.diagonal(dim1=-2, dim2=-1)[..., :n].sort(-1)  # whole sweeps: the last place is back
    vectors = v[..., :n, :n].gather(-1, order.unsqueeze(-2).expand(m.shape))
    return values.to(m.dtype), vectors.to(m.dtype)


def _round_robin(n: int) -> list[int]:
    """Who stands where in the next round of a tournament; in n - 1 rounds all are back in their places."""
    table = [0, *range(2, n, 2), *range(n - 1, 0, -2)]  # down the even places, up the odd ones
    after = [table[0], table[-1], *table[1:-1]]
    place = dict(zip(table, after, strict=True))
    return [place[i] for i in range(n)]


def _turned(a: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """J^T A J and V J, where J turns each pair of neighbours so that their entry becomes 0."""
    diagonal = a.diagonal(dim1=-2, dim2=-1)
    beside = a.diagonal(offset=1, dim1=-2, dim2=-1)[..., ::2]
    gap = diagonal[..., 1::2] - diagonal[..., ::2]
    near = beside == 0
    slope = gap / torch.where(near, 1, 2 * beside)
    sign = torch.where(slope < 0, -1.0, 1.0)
    tangent = torch.where(near, 0.0, sign / (slope.abs() + (slope * slope + 1).sqrt()))
    cosine = (tangent * tangent + 1).rsqrt()
    sine = tangent * cosine
    a = _columns(_columns(a, cosine, sine).mT, cosine, sine)
    return a, _columns(v, cosine, sine)


def _columns(a: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = a[..., ::2], a[..., 1::2]
    c, s = cosine.unsqueeze(-2), sine.unsqueeze(-2)
    return torch.stack([c * first - s * second, s * first + c * second], -1).flatten(-2)
