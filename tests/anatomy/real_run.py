"""The truth that recorded passes are held against: the model itself, run on real tensors on a CPU."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Truth:
    """What a real pass did."""

    calls: list[tuple[str, list[tuple[Any, ...]]]] = field(default_factory=list)
    """Every operator with shape, strides and dtype of its results."""
    peak: int = 0
    """The most bytes alive at once of what operators made."""
    saved: int = 0
    """Bytes kept for backward, storages once, weights aside."""


class Listening(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes results, and sums the bytes of the storages alive."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.truth, self.known, self.alive = Truth(), known, 0
        self.watches: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for tensor in made:
            self.watch(tensor.untyped_storage())
        described = [(tuple(t.shape), t.stride(), t.dtype) for t in made]
        self.truth.calls.append((str(func), described))
        self.truth.peak = max(self.truth.peak, self.alive)
        return out

    def watch(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is gone."""
        key, size = storage._cdata, storage.nbytes()
        if key in self.known or key in self.watches:
            return

        def gone(_: Any) -> None:
            self.alive -= size
            del self.watches[key]

        self.alive += size
        self.watches[key] = weakref.ref(storage, gone)


def really(
    model: nn.Module, inputs: Sequence[Tensor], *, backward: bool = False, train: bool = False
) -> Truth:
    """Run a copy of the model on real tensors."""
    model = copy.deepcopy(model).train(train)
    held = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    inside = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in inputs}
    kept: dict[int, torch.UntypedStorage] = {}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in held:
            kept[storage._cdata] = storage
        return tensor

    listening = Listening(held | set(inside))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.set_grad_enabled(backward), listening:
            if not backward:
                out = model(*inputs)
            else:
                with saved_tensors_hooks(save, lambda t: t):
                    out = model(*inputs)
                listening.truth.saved = sum(storage.nbytes() for storage in kept.values())
                kept.clear()
                ends = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.requires_grad]
                torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])
        del out
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    listening.truth.peak += sum(inside.values())
    return listening.truth
