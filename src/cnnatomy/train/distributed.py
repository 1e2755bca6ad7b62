"""One process or many: what `torchrun` says in the environment, and the few exchanges that training needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from cnnatomy import checks
from cnnatomy.errors import ArgumentError


@dataclass(frozen=True)
class World:
    """The processes that train together, and this one's place among them."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that reports and writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Make backward average gradients over the processes."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def total(self, values: Tensor) -> Tensor:
        """Add a tensor up over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Say whether any process raised its flag; all give the same answer at the same step."""
        return bool(self.total(torch.tensor(int(flag), device=self.device)).item())

    def seed(self, seed: int) -> None:
        """Set the random numbers of this process's device.

        `torch.manual_seed` would keep the call with its whole stack for a GPU that may never be used.
        """
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    def agree(self, value: float) -> float:
        """Give every process the first one's number."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return tensor.item()

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join(device: str | None) -> Iterator[World]:
    """Join the processes that `torchrun` started (gloo on CPUs, nccl on GPUs), or be the only one.

    Raises:
        ArgumentError: there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    place = pick_device(device)
    if size == 1:
        yield World(0, 1, place)
        return
    options: dict[str, Any] = {"device_id": place} if place.type == "cuda" else {}
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", **options)
    try:
        yield World(distributed.get_rank(), size, place)
    finally:
        distributed.destroy_process_group()


def pick_device(name: str | None) -> torch.device:
    """Find the device: the one asked for, else this process's CUDA device, else the CPU.

    Raises:
        ArgumentError: there is no such device.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
        >>> pick_device("gpu")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: no device 'gpu' here: expected a device of torch; try cpu
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    found = checks.device(f"cuda:{local}" if name == "cuda" else name)
    if found.type == "meta":
        raise ArgumentError("device meta computes nothing", expected="a device that does", hint="cpu")
    return found
