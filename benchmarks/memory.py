"""What poolings keep for backward, in bytes for each output."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.cases import WINDOWS, Compute, computed, inputs
from benchmarks.peers import PEERS

SHAPE = "2x16x28x28"
HEADER = ("reducer", "window", "ours", "torch", "ours with x and y", "torch with x and y")


def saved(compute: Compute, tensors: Sequence[Tensor]) -> tuple[float, float]:
    """Bytes saved for each output: beside the inputs and the result, and with those of them that are kept."""
    leaves = [tensor.requires_grad_() for tensor in tensors]
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.detach())  # alive, so that no two have one address
        return kept[-1]

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = compute(*leaves)
    stores = {store.data_ptr(): store.nbytes() for store in (tensor.untyped_storage() for tensor in kept)}
    known = {tensor.untyped_storage().data_ptr() for tensor in (*leaves, y)}
    beside = sum(size for place, size in stores.items() if place not in known)
    return beside / y.numel(), sum(stores.values()) / y.numel()


def table(names: Sequence[str], path: Path) -> None:
    """Print the bytes of every reducer and window, in float32, and save them as CSV."""
    print(f"\nBytes saved for backward, for each output ({SHAPE} float32)")
    print(("{:13}{:11}" + "{:>20}" * 4).format(*HEADER))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for name in names:
            for window, region in WINDOWS.items():
                peer = PEERS[name]
                tensors = inputs(peer, SHAPE, torch.float32, torch.contiguous_format)
                (ours, ours_all), (plain, plain_all) = (
                    saved(way, tensors) for way in computed(peer, region, tensors[0])
                )
                numbers = [round(number, 2) for number in (ours, plain, ours_all, plain_all)]
                print(f"{name:13}{window:11}" + "".join(f"{number:20,.2f}" for number in numbers))
                writer.writerow([name, window, *numbers])
    print(f"saved to {path}")
