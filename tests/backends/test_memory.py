"""Kernels touch nothing outside their tensors: each lies flush with a page that no one may touch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnnatomy.reducers import REGISTRY, reducer

SCRIPT = """
import ctypes, itertools, math, mmap, sys
import numpy as np, torch
from cnnatomy import Adaptive, Sliding, Whole
from cnnatomy.backends.cpu.pooling import pooling_launch
from cnnatomy.backends.cpu.runtime import scratch, sizes
from cnnatomy.backends.pooled import Kept, Pooled
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

at_end, part = sys.argv[1] == "end", sys.argv[2]
def empty(call, dtype):
    lanes = 1 if call.form is torch.contiguous_format else call.shape[1]
    return fenced(call.shape, dtype, lanes, at_end)
pooling_launch.empty = empty

class Fenced(scratch._Scratch):
    def of(self, size):
        return fenced((size,), torch.uint8, 1, at_end).data_ptr()
scratch._scratch = Fenced()

def filled(shape, dtype, lanes):
    tensor = fenced(shape, dtype, lanes, at_end)
    return tensor.copy_(torch.randn(shape))

regions = [Sliding(2), Sliding(3, 2, 1), Sliding(3, 1, 1), Sliding(2, 3, 0, 1, True), Sliding(3, 3),
           Sliding(3, 2, 1, 2), Sliding(2, 2, 3), Sliding(2, padding=((2, 2), (0, 0))), Adaptive(3), Whole()]
everything = part == "everything"
dtypes = list(sizes.DTYPES) if everything else [torch.float32]
widths = (5, 8, 16, 17, 33, 64) if everything else (int(part),)
seed = torch.tensor(7)
for i, name in enumerate(sorted(REGISTRY)):
    what, count = reducer(name), 0
    for j, (region, dtype, width, lanes) in enumerate(itertools.product(
        regions if not what.blended else (), dtypes, widths, (1, 7, 20) if everything else (1, 20)
    )):
        if not everything and (i + j) % 20:  # one of the regions in one layout, in turn
            continue
        shape = (1, lanes if lanes > 1 else 2, 7, width)
        inputs = [filled(shape, dtype, lanes) for _ in range(1 + len(what.companions))]
        drawn = seed if what.draws else None
        pooling_launch.forward(inputs, region, what, False, drawn)
        y, saved = pooling_launch.forward(inputs, region, what, True, drawn)
        grad = filled(tuple(y.shape), dtype, lanes)
        read, result = inputs if "x" in what.reads else (), y if "y" in what.reads else None
        pooling_launch.backward(grad, Kept(read, result, saved), Pooled(region, what, shape[2:], lanes > 1))
        count += 1
        held.clear()
    print(name, count)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="fences are set with mprotect")
@pytest.mark.costly(1)
@pytest.mark.parametrize("part", ["5", "16", "33", pytest.param("everything", marks=pytest.mark.slow)])
@pytest.mark.parametrize("where", ["start", "end"])
def test_nothing_outside_is_touched(where: str, part: str) -> None:
    """Of maps of one width, one region and layout for each reducer, or everything."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, where, part]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    counts = dict(line.split() for line in done.stdout.splitlines())
    kinds = 10 * 4 * 6 * 3 if part == "everything" else 1
    assert all(int(counts[name]) >= kinds for name in REGISTRY if not reducer(name).blended)
