"""What training takes, before it runs: weights, gradients, the optimizer's state, a pass over a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.anatomy import anatomy
from cnnatomy.anatomy.present.number_text import stored
from cnnatomy.anatomy.record.model_source import Source, load
from cnnatomy.errors import ArgumentError
from cnnatomy.files.machine import free_memory
from cnnatomy.train.optimizers import make_optimizer

MOST_BATCH = 2**20


@dataclass(frozen=True)
class Footprint:
    """Bytes that training holds at once, when the optimizer has its state.

    Operators' workspace is not seen: what convolutions and matrix products take and give back inside.
    """

    optimizer: str
    batch: int
    weights: int
    """Parameters and buffers."""
    gradients: int
    """Of every parameter that learns."""
    state: int
    """What the optimizer remembers: nothing, momenta, squares."""
    activations: int
    """The most that a forward and a backward pass hold beside all that, the batch among it."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.state + self.activations

    def line(self, free: int | None = None) -> str:
        """Say it in a line, and whether it fits in so many bytes.

        Example:
            >>> Footprint("adam", 8, 2**20, 2**20, 2**21, 2**22).line(free=2**30)
            'training with adam, batches of 8: 8.000 MiB (weights 1.000 MiB, gradients 1.000 MiB, \
optimizer 2.000 MiB, activations 4.000 MiB); fits in 1.000 GiB'
        """
        parts = {
            "weights": self.weights,
            "gradients": self.gradients,
            "optimizer": self.state,
            "activations": self.activations,
        }
        each = ", ".join(f"{name} {stored(size)}" for name, size in parts.items())
        said = f"training with {self.optimizer}, batches of {self.batch:,}: {stored(self.total)} ({each})"
        if free is None:
            return said
        return f"{said}; {'fits' if self.total <= free else 'does not fit'} in {stored(free)}"


def footprint(
    model: Source,
    input_size: Any,
    *,
    batch: int = 1,
    optimizer: str = "momentum",
    dtype: torch.dtype | None = None,
) -> Footprint:
    """What training a network with an optimizer of `cnnatomy.train` takes: will it fit?

    Nothing is computed: a pass is recorded, and a step taken, on tensors without values.

    Args:
        model: a module, what builds one, or its name, as `cnnatomy.anatomy` takes it.
        input_size: the shape of one input without the batch, or a list or dict of such shapes.
        batch: how many inputs at a time.
        optimizer: its name, such as "sgd", "momentum", "adam", "adamw" or "muon".
        dtype: of the inputs; the model's own if left out.

    Raises:
        ArgumentError: no such network, optimizer or input; or a training pass cannot be recorded.

    Example:
        >>> found = footprint(nn.Linear(1000, 1000, bias=False), (1000,), optimizer="momentum")
        >>> found.weights, found.gradients, found.state
        (4000000, 4000000, 4000000)
    """
    module = load(model)
    checks.whole_number("batch", batch, least=1, most=MOST_BATCH)
    learning = [p for p in module.parameters() if p.requires_grad]
    state = optimizer_state(optimizer, learning)
    known = anatomy(module, _batched(input_size, batch, dtype or _dtype(module)), dtype=dtype, training=True)
    if known.memory is None or known.memory.training is None:
        why = known.reason or "; ".join(known.notes)
        raise ArgumentError(f"a training pass of {known.model} was not recorded", got=why)
    gradients = sum(p.numel() * p.itemsize for p in learning)
    held = max(known.memory.training - gradients, 0)
    return Footprint(optimizer, batch, known.memory.weights, gradients, state, held)


def optimizer_state(name: str, parameters: list[nn.Parameter]) -> int:
    """Bytes that an optimizer remembers of these parameters after a step; they are left as they are."""
    bare = [nn.Parameter(torch.empty_like(p, device="meta")) for p in parameters]
    made = make_optimizer(name, [{"params": bare}])
    for parameter in bare:
        parameter.grad = torch.empty_like(parameter)
    if not made.state:  # some have it from the start
        for group in made.param_groups:
            group["fused"] = False  # no kernel does it all at once on tensors without values
        made.step()
    kept = (value for state in made.state.values() for value in state.values())
    return sum(value.numel() * value.itemsize for value in kept if isinstance(value, Tensor))


def free() -> int | None:
    """Bytes that are free: on the accelerator, else in the machine; None where the system does not say."""
    return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else free_memory()


def _batched(input_size: Any, batch: int, dtype: torch.dtype) -> Any:
    """Tensors of a batch in place of shapes of one."""
    if isinstance(input_size, Mapping):
        return {name: _batched(one, batch, dtype) for name, one in input_size.items()}
    if (
        isinstance(input_size, list | tuple)
        and input_size
        and all(type(n) is int and n > 0 for n in input_size)
    ):
        return torch.empty(batch, *input_size, dtype=dtype, device="meta")
    if isinstance(input_size, list | tuple):
        return [_batched(one, batch, dtype) for one in input_size]
    return input_size


def _dtype(model: nn.Module) -> torch.dtype:
    found = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(found, torch.get_default_dtype())
