"""Memory that kernels work in, kept from call to call: one block for each thread of the caller."""

from __future__ import annotations

import threading

import torch

_CPU = torch.device("cpu")


class _Scratch(threading.local):
    size, tensor = 0, torch.empty(0)
    address = 0

    def of(self, size: int) -> int:
        """The address of at least so many bytes."""
        if size > self.size:
            self.tensor = torch.empty(size, dtype=torch.uint8, device=_CPU)
            self.size, self.address = size, self.tensor.data_ptr()
        return self.address


_scratch = _Scratch()


def scratch(size: int) -> int:
    """The address of at least `size` bytes to work in; 0 if none are needed."""
    return _scratch.of(size) if size else 0
