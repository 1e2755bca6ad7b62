"""Kernels touch nothing outside their tensors: each lies flush with a page that no one may touch."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, itertools, math, mmap, sys
import numpy as np, torch
from cnnatomy import Adaptive, Sliding, Whole
from cnnatomy.backends import tap_dtype
from cnnatomy.backends.cpu import launch
from cnnatomy.reducers import REGISTRY, reducer

libc, page, held = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE, []

def fenced(shape, dtype, lanes, at_end):
    size = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    inner = max(page, -(-size // page) * page)
    block = mmap.mmap(-1, inner + 2 * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for fence in (base, base + page + inner):
        assert libc.mprotect(ctypes.c_void_p(fence), page, 0) == 0
    held.append(block)
    offset = page + (inner - size if at_end else 0)
    flat = torch.frombuffer(block, dtype=dtype, count=math.prod(shape), offset=offset)
    if lanes > 1:  # channels_last: (N, *spatial, C) in memory
        order = (shape[0], *shape[2:], shape[1])
        return flat.view(order).movedim(-1, 1)
    return flat.view(shape)

at_end = sys.argv[1] == "end"
def empty(model, size, dtype, last):
    return fenced((*model.shape[:2], *size), dtype, model.shape[1] if last else 1, at_end)
launch.empty = empty

regions = [Sliding(2), Sliding(3, 2, 1), Sliding(3, 1, 1), Sliding(2, 3, 0, 1, True), Sliding(3, 3),
           Sliding(3, 2, 1, 2), Sliding(2, 2, 3), Sliding(2, padding=((2, 2), (0, 0))), Adaptive(3), Whole()]
dtypes = [torch.float32, torch.bfloat16] if len(sys.argv) < 3 else list(launch.DTYPES)
count = 0
for region, name, dtype, width, lanes in itertools.product(
    regions, sorted(REGISTRY), dtypes, (5, 8, 16, 17, 33, 64), (1, 7, 20)
):
    shape, what = (1, lanes if lanes > 1 else 2, 7, width), reducer(name)
    x = fenced(shape, dtype, lanes, at_end)
    x.copy_(torch.randn(shape))
    y, saved = launch.forward(x, region, what, tap_dtype(region, 2) if what.selects else None)
    launch.forward(x, region, what, None)
    grad = fenced(tuple(y.shape), dtype, lanes, at_end)
    grad.copy_(torch.randn(y.shape))
    launch.backward(grad, saved, region, what, shape[2:], lanes > 1)
    count += 1
print(count)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="fences are set with mprotect")
@pytest.mark.parametrize("where", ["start", "end"])
def test_nothing_outside_is_touched(where: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) == 10 * 3 * 2 * 6 * 3
