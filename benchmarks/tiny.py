"""Whole calls on small tensors, where the way to the kernel is what takes time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import cnnatomy
from benchmarks.cases import EAGER, OURS, Compute
from benchmarks.harness import Candidate, Row, compare, save
from cnnatomy.regions import Sliding

SHAPES = ("16x6x14x14", "1x2x4x4")
CALLS = 50  # of which each time is the mean
OPERATORS: dict[str, Compute] = {
    "max": lambda x: F.max_pool2d(x, 2),
    "mean": lambda x: F.avg_pool2d(x, 2),
    "l2": lambda x: F.lp_pool2d(x, 2.0, 2),
}


def _forward(way: Compute, x: Tensor) -> Callable[[], object]:
    def run() -> Tensor:
        with torch.no_grad():
            return way(x)

    return run


def _both(way: Compute, x: Tensor) -> Callable[[], object]:
    leaf = x.clone().requires_grad_()
    grad = torch.ones_like(way(x))
    return lambda: torch.autograd.grad(way(leaf), leaf, grad)[0]


def table(rounds: int, clock: str, path: Path) -> list[Row]:
    """Print microseconds for each call, over windows of 2x2, and save the rows."""
    rows: list[Row] = []
    print(f"\nMicroseconds for each whole call, 2x2s2 float32\n{'':35}{EAGER:>16}{OURS:>12}{'ratio':>8}")
    for shape in SHAPES:
        x = torch.randn(*map(int, shape.split("x")), generator=torch.Generator().manual_seed(0))
        for name, theirs in OPERATORS.items():
            ways = {EAGER: theirs, OURS: _pooling(name)}
            for direction, made in (("forward", _forward), ("forward+backward", _both)):
                candidates = [Candidate(key, made(way, x), calls=CALLS) for key, way in ways.items()]
                case = f"{name} {direction} 2x2s2 {shape} float32 NCHW"
                found = compare(case, candidates, rounds, clock, seconds=2.0)
                plain, ours = (1000 * row.median_ms for row in found)
                label = f"{shape:12}{name:6}{direction:17}"
                print(f"{label}{plain:16.1f}{ours:12.1f}{plain / ours:8.2f}", flush=True)
                rows += found
    save(rows, path)
    print(f"saved to {path}")
    return rows


def _pooling(name: str) -> Compute:
    region = Sliding(2)

    def pooled(x: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(x, name, region)
        return y

    return pooled
