"""Euclidean radial basis function units with fixed codes, and the criterion that trains what feeds them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnatomy.backends import FLOATING
from cnnatomy.errors import ArgumentError, TensorError
from cnnatomy.ops.routing import demand_dense, overridable


class RBF(nn.Module):
    """The squared Euclidean distance from the input to each of K fixed codes.

    y[n, k] = sum over j of (x[n, j] - codes[k, j])^2

    Source: LeCun, Bottou, Bengio and Haffner (1998), equation 7. The codes are a buffer: they travel with
    the weights and are never trained. The distance is summed from differences, not expanded into products,
    so it is exact near a code and never negative; it passes through N * K * D numbers.

    Shapes: (N, D) -> (N, K).

    Raises:
        ArgumentError: codes is not (K, D) with at least two different rows.

    Example:
        >>> RBF(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))(torch.tensor([[1.0, 0.0]]))
        tensor([[1., 1.]])
    """

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        if codes.dim() != 2 or len(codes) < 2 or len(set(map(tuple, codes.tolist()))) < len(codes):
            expected = "a (classes, features) tensor with at least two rows, all different"
            raise ArgumentError("codes of an RBF", expected=expected, got=f"shape {tuple(codes.shape)}")
        self.register_buffer("codes", codes.detach().to(torch.get_default_dtype(), copy=True))

    def forward(self, x: Tensor) -> Tensor:
        """Measure (N, D) against every code."""
        return _distances(x, self.codes)

    def extra_repr(self) -> str:
        """Name the arguments that printing the module shows."""
        return f"{self.codes.shape[1]} features, {self.codes.shape[0]} codes"


@overridable
def _distances(x: Tensor, codes: Tensor) -> Tensor:
    demand_dense("RBF", x, FLOATING)
    if x.dim() != 2:
        raise TensorError("an RBF measures vectors", expected="(N, D)", got=f"{x.dim()} axes")
    return (x[:, None, :] - codes).square().sum(-1)


def map_loss(scores: Tensor, labels: Tensor, j: float) -> Tensor:
    """Average the maximum a posteriori criterion over a batch.

    E = mean over n of y[n, d] + log(exp(-j) + sum over k of exp(-y[n, k])), where y = -scores, d = labels[n]

    It pulls the distance of the right class down and pushes those of wrong classes up; the constant j stands
    for a class of rubbish, which keeps distances that are already large from being pushed further.

    Source: LeCun, Bottou, Bengio and Haffner (1998), equation 9.
    Shapes: scores (N, K), the negated distances; labels (N,) -> scalar.

    Example:
        >>> scores = torch.tensor([[-0.0, -200.0]])
        >>> round(map_loss(scores, torch.tensor([0]), j=0.1).item(), 4)  # log(exp(-0.1) + 1)
        0.6444
    """
    right = scores.gather(1, labels[:, None]).squeeze(1)
    rubbish = scores.new_full((len(scores), 1), -j)
    return (torch.logsumexp(torch.cat([scores, rubbish], dim=1), dim=1) - right).mean()
