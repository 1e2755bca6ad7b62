"""Padding beside F.pad: `python -m benchmarks.padding`, on one thread, in the process's time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness import Candidate, compare, keep_memory
from cnnatomy.ops.padding import pad

MODES = {
    "constant": "constant",
    "edge": "replicate",
    "reflect": "reflect",
    "wrap": "circular",
    "symmetric": "reflect",  # torch has no such mode: the one nearest in work
}
SHAPE = (32, 64, 56, 56)


def _backward(y: Tensor, x: Tensor, grad: Tensor) -> Callable[[], Tensor]:
    return lambda: torch.autograd.grad(y, x, grad, retain_graph=True)[0]


def table(rounds: int = 15, shape: tuple[int, ...] = SHAPE) -> list[tuple[str, float]]:
    """Print medians in milliseconds, and how many times ours is faster than F.pad."""
    ratios: list[tuple[str, float]] = []
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    print(f"{'x'.join(map(str, shape))} float32{'':12}{'F.pad':>10}{'cnnatomy':>10}{'ratio':>8}")
    for mode, name in MODES.items():
        for width in (1, 3):
            ours, theirs = (x.clone().requires_grad_() for _ in range(2))
            y = pad(ours, ((width, width),) * 2, mode)
            z = F.pad(theirs, (width,) * 4, name)
            grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
            same = mode != "symmetric"
            ways = {
                "forward": [
                    Candidate("F.pad", lambda w=width, n=name: F.pad(x, (w,) * 4, n), check=same),  # type: ignore[misc]
                    Candidate("cnnatomy", lambda w=width, m=mode: pad(x, ((w, w),) * 2, m), check=same),  # type: ignore[misc]
                ],
                "backward": [
                    Candidate("F.pad", _backward(z, theirs, grad), check=same),
                    Candidate("cnnatomy", _backward(y, ours, grad), check=same),
                ],
            }
            for direction, candidates in ways.items():
                case = f"{mode} {width} {direction}"
                plain, mine = (row.median_ms for row in compare(case, candidates, rounds, "cpu"))
                ratios.append((case, plain / mine))
                print(f"{case:28}{plain:10.2f}{mine:10.2f}{plain / mine:8.2f}", flush=True)
    return ratios


if __name__ == "__main__":
    keep_memory()
    torch.set_num_threads(1)
    table()
