"""One case of the comparison: a reducer, a direction, a window, a shape, a dtype and a layout."""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import torch
import torch._functorch.config as autograd_config
from torch import Tensor

import cnnatomy
from benchmarks.engines import engines
from benchmarks.harness import Candidate, in_turn
from benchmarks.peers import PEERS, Peer
from benchmarks.plain import over
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

OURS, EAGER, COMPILED, COPY = "cnnatomy", "torch eager", "torch.compile", "copy of the same bytes"
FRESH = ", from memory"
DIRECTIONS = ("forward", "forward-grad", "backward")
"""Without gradients, where torch's max_pool2d finds its winners all the same; of a tensor that requires one,
where all keep what backward needs; and the backward pass."""
WINDOWS: dict[str, Region] = {
    "2x2s2": Sliding(2),
    "3x3s2p1": Sliding(3, 2, 1),
    "3x3s1p1": Sliding(3, 1, 1),
    "adaptive7": Adaptive(7),
    "global": Whole(),
}
FEW = ("adaptive7", "global")
"""The windows of few outputs."""
LAYOUTS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}

Compute = Callable[..., Tensor]
_OCTAVES = 32


@dataclass(frozen=True)
class Case:
    """What is measured; prints as one line, which `read` takes."""

    reducer: str
    direction: str
    window: str
    shape: str
    dtype: str
    layout: str

    def __str__(self) -> str:
        return " ".join(astuple(self))

    @staticmethod
    def read(text: str) -> Case:
        """The case of a printed line."""
        return Case(*text.split())

    @property
    def title(self) -> str:
        """The line with the reducer's settings."""
        return f"{self}   {PEERS[self.reducer].reducer}"

    @property
    def region(self) -> Region:
        """Where it reads."""
        return WINDOWS[self.window]

    def inputs(self) -> list[Tensor]:
        """x, and what else the reducer takes."""
        peer, format = PEERS[self.reducer], LAYOUTS[self.layout]
        return inputs(peer, self.shape, DTYPES[self.dtype], format, zlib.crc32(self.reducer.encode()))

    @contextmanager
    def candidates(self, compiled: bool) -> Iterator[list[Candidate]]:
        """Plain torch, eager and compiled, ours, other engines, and the copy."""
        tensors, peer = self.inputs(), PEERS[self.reducer]
        ours, theirs = computed(peer, self.region, tensors[0])
        ways = {EAGER: theirs, OURS: ours}
        if compiled:
            torch.compiler.reset()
            ways[COMPILED] = torch.compile(theirs, dynamic=False)
        measure = self._backward if self.direction == "backward" else self._forward
        if self.direction == "forward-grad":
            tensors = [tensor.requires_grad_() for tensor in tensors]
        # autograd may then run a compiled backward pass again
        with autograd_config.patch(donated_buffer=False):
            yield measure(peer, ways, tensors)

    def _forward(self, peer: Peer, ways: dict[str, Compute], tensors: Sequence[Tensor]) -> list[Candidate]:
        found = [candidate(name, partial(way, *tensors), peer) for name, way in ways.items()]
        out = ways[EAGER](*tensors)
        if not out.requires_grad:
            found += engines(self.reducer, self.region, tensors[0], out.shape)
        return [*found, *yardsticks(lambda: partial(ways[OURS], *again(tensors)), [*tensors, out])]

    def _backward(self, peer: Peer, ways: dict[str, Compute], tensors: Sequence[Tensor]) -> list[Candidate]:
        leaves = [tensor.requires_grad_() for tensor in tensors]
        grad = torch.randn_like(ways[EAGER](*leaves).detach())

        def pull(
            way: Compute, leaves: Sequence[Tensor], grad: Tensor = grad
        ) -> Callable[[], tuple[Tensor, ...]]:
            made: list[Tensor] = []  # on first use: a failure is then the candidate's own

            def run() -> tuple[Tensor, ...]:
                if not made:
                    made.append(way(*leaves))
                return torch.autograd.grad(made[0], leaves, grad, retain_graph=True)

            return run

        found = [candidate(name, pull(way, leaves), peer) for name, way in ways.items()]

        def elsewhere() -> Callable[[], tuple[Tensor, ...]]:
            *others, other = again([*leaves, grad])
            return pull(ways[OURS], others, other)

        return [*found, *yardsticks(elsewhere, [*leaves, grad])]


def candidate(name: str, run: Callable[[], object], peer: Peer) -> Candidate:
    """Checked, unless it draws."""
    note = "" if peer.comparable else "not compared: it draws"
    return Candidate(name, run, check=peer.comparable, note=note)


def again(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same in other memory."""
    return [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors]


def yardsticks(ours: Callable[[], Callable[[], object]], tensors: Sequence[Tensor]) -> list[Candidate]:
    """Copy as many bytes as are read and written, from the caches and from memory; and ours from memory."""
    count, dtype = sum(tensor.numel() for tensor in tensors) // 2, tensors[0].dtype

    def copy() -> Callable[[], Tensor]:
        return partial(torch.empty(count, dtype=dtype).copy_, torch.ones(count, dtype=dtype))

    nbytes = sum(tensor.nbytes for tensor in tensors)
    fresh = {OURS: in_turn(ours, nbytes), COPY: in_turn(copy, nbytes)}
    beyond = [Candidate(name + FRESH, run, check=False) for name, run in fresh.items()]
    return [Candidate(COPY, copy(), check=False), *beyond]


def computed(peer: Peer, region: Region, x: Tensor) -> tuple[Compute, Compute]:
    """Ours and theirs, as functions of x and what else the reducer takes."""
    plain = over(region, (x.shape[2], x.shape[3]))

    pooled = partial(cnnatomy.pool, region=region, reducer=peer.reducer, training=peer.reducer.draws)

    def beside(x: Tensor, *rest: Tensor) -> Tensor:
        named: dict[str, Any] = dict(zip(peer.reducer.companions, rest, strict=True))
        return pooled(x, **named)  # type: ignore[no-any-return]

    def theirs(*inputs: Tensor) -> Tensor:
        return peer.run(plain, *inputs)

    return beside if peer.reducer.companions else pooled, theirs


def inputs(
    peer: Peer, shape: str, dtype: torch.dtype, format: torch.memory_format, seed: int = 0
) -> list[Tensor]:
    """x, and what else the reducer takes."""
    generator = torch.Generator().manual_seed(seed)
    sizes = tuple(map(int, shape.split("x")))
    found = [distinct(sizes, generator) for _ in range(1 + len(peer.reducer.companions))]
    if peer.positive:
        found = [values.abs() for values in found]
    return [values.to(dtype).contiguous(memory_format=format) for values in found]


def distinct(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random values between -4 and 4, exact in every dtype, and none twice in a map of up to 84 x 84.

    Equal values would let two correct gradients differ: a rank may be that of any of them. The values of a
    map are chosen from 1024 more than it needs, so that no two maps have the same.
    """
    cells = shape[2] * shape[3]
    octaves = min(cells // 256 + 4, _OCTAVES)
    i = torch.arange(128 * octaves)
    sizes = (1 + i % 128 / 128) * 2.0 ** (1 - i // 128)
    values = torch.cat([sizes, -sizes]).repeat(cells // (256 * octaves) + 1)
    order = torch.rand(*shape[:2], len(values), generator=generator).argsort(-1)
    return values[order[..., :cells]].view(shape)


def shape_of(text: str) -> str:
    """A shape NxCxHxW, as an option's type."""
    sizes = text.split("x")
    if len(sizes) != 4 or not all(size.isdecimal() and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no NxCxHxW")
    return text
