"""A running average of a network's weights, judged in place of the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cnnatomy import checks
from cnnatomy.errors import CheckpointError

_PREFIX = "average/"
_COUNT = "average.updates"


class Average:
    """The exponential moving average of a network's weights: a <- d a + (1 - d) w after each step.

    After t steps the decay d is min(decay, (1 + t) / (10 + t)), so that the first weights are soon forgotten.
    The running statistics of norms are averaged too: they belong to the weights that they were measured with,
    and those of the latest weights would run ahead of the average. All other buffers are copied.

    Source: Polyak and Juditsky (1992), doi:10.1137/0330046; the first steps as in Tan and Le (2019),
    arXiv:1905.11946, whose training averages so.

    Args:
        model: whose weights; they are read at each `update`.
        decay: what is kept at each step, such as 0.999: half of the average is then from the last 693.

    Raises:
        ArgumentError: the decay is none.

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> _ = layer.weight.data.fill_(1.0)
        >>> average = Average(layer, decay=0.9)
        >>> _ = layer.weight.data.fill_(0.0)
        >>> average.update()  # d = 2 / 11
        >>> with average.applied():
        ...     print(round(layer.weight.item(), 4))
        0.1818
        >>> layer.weight.item()
        0.0
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.model = checks.module(model)
        self.decay = checks.real("ema", decay, "a number from 0 to below 1", lambda n: 0 <= n < 1)
        self.updates = 0
        self._live = dict(model.named_parameters()) | dict(model.named_buffers())
        self._own = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        statistics = {
            id(tensor)
            for norm in model.modules()
            if isinstance(norm, _NormBase)
            for tensor in (norm.running_mean, norm.running_var)
        }
        self._averaged = [
            name
            for name, tensor in self._live.items()
            if isinstance(tensor, nn.Parameter) or id(tensor) in statistics
        ]
        self._copied = [name for name in self._live if name not in set(self._averaged)]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now, after a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own, live = ([of[name] for name in self._averaged] for of in (self._own, self._live))
        if own:
            blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            blend(own, live, None)
        for name in self._copied:
            self._own[name].copy_(self._live[name])

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """Give the network the averaged weights, and afterwards its own back, to the bit."""
        before = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._write(self._own)
        try:
            yield self.model
        finally:
            self._write(before)

    def state(self) -> dict[str, Tensor]:
        """Give all that `restore` needs, as tensors named `average/NAME` and `average.updates`."""
        return {_COUNT: torch.tensor(self.updates)} | {_PREFIX + name: t for name, t in self._own.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave, to the bit; tensors of other names are left alone.

        Raises:
            CheckpointError: a tensor is missing, or of another shape.
        """
        for name, own in self._own.items():
            saved = tensors.get(_PREFIX + name)
            if saved is None or saved.shape != own.shape:
                got = "nothing" if saved is None else str(tuple(saved.shape))
                raise CheckpointError(f"the average of {name}", expected=f"{tuple(own.shape)}", got=got)
            own.copy_(saved)
        self.updates = int(tensors[_COUNT])

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        for name, live in self._live.items():
            live.copy_(tensors[name])
