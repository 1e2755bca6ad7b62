"""Resampling beside F.interpolate, eager and compiled, and a copy of the same bytes.

    python -m benchmarks.resampling                    # one thread, in the process's time; saves the rows
    python -m benchmarks.resampling --methods linear --no-compile

Compiled is `torch.compile` of F.interpolate, in a graph of its own for each case. torch has lanczos with
antialias alone; there both have it. A candidate whose result differs is refused a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness import Candidate, Row, compare, keep_memory, save, show
from cnnatomy import resample

OURS = "cnnatomy"
RESULTS = Path(__file__).parent / "results" / "resampling.csv"
SECONDS = 2.5  # for all rounds of one case
METHODS = {"nearest": "nearest-exact", "linear": "bilinear", "cubic": "bicubic", "lanczos": "lanczos"}
SHAPES = [(32, 64, 28, 28), (8, 3, 512, 512)]


def resized(x: Tensor, method: str, scale: float) -> Tensor:
    """Theirs."""
    options: dict[str, Any] = {"antialias": True} if method == "lanczos" else {}
    if method != "nearest":
        options["align_corners"] = False
    size = [int(n * scale) for n in x.shape[2:]]
    return F.interpolate(x, size, mode=METHODS[method], **options)


def mine(x: Tensor, method: str, scale: float) -> Tensor:
    """Ours."""
    size = [int(n * scale) for n in x.shape[2:]]
    return resample(x, size, method=method, antialias=method == "lanczos")


def candidates(
    shape: tuple[int, ...], method: str, scale: float, direction: str, compiled: bool
) -> Iterator[Candidate]:
    """The eager one first: it is the truth."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    y = resized(x, method, scale)
    ways: dict[str, Callable[[Tensor, str, float], Tensor]] = {"torch": resized, OURS: mine}
    if compiled:
        torch._dynamo.reset()
        ways["compile"] = torch.compile(resized, fullgraph=True)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    for name, way in ways.items():
        if direction == "forward":
            yield Candidate(name, partial(way, x, method, scale))
        else:
            leaf = x.clone().requires_grad_()
            out = way(leaf, method, scale)
            yield Candidate(name, partial(torch.autograd.grad, out, leaf, grad, retain_graph=True))
    read, write = (x, torch.empty_like(x)), (y, torch.empty_like(y))
    half = [(a.flatten()[: a.numel() // 2], b.flatten()[: b.numel() // 2]) for a, b in (read, write)]

    def copy() -> None:  # as many bytes read and written as the map reads and writes
        for a, b in half:
            b.copy_(a)

    yield Candidate("copy", copy, check=False)


def _shape(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def main() -> int:
    """Print and save the table; 1 if a candidate was refused a time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resampling", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--scales", nargs="+", type=float, default=[2.0, 0.5])
    parser.add_argument("--directions", nargs="+", default=["forward", "backward"])
    parser.add_argument("--shape", nargs="+", type=_shape, default=SHAPES, metavar="NxCxHxW")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    rows: list[Row] = []
    for shape, scale, method, direction in product(
        settings.shape, settings.scales, settings.methods, settings.directions
    ):
        case = f"{method} x{scale:g} {direction} {'x'.join(map(str, shape))}"
        found = compare(
            case,
            list(candidates(shape, method, scale, direction, settings.compile)),
            settings.rounds,
            "cpu",
            SECONDS,
        )
        show(found, OURS, case)
        rows += found
        save(rows, settings.out)
    print(f"\n{len(rows)} rows saved to {settings.out}")
    return 1 if any(row.refused for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
