"""`pool` against torch.nn, scipy.ndimage and the reference implementation of ONNX, where rules agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from support import close, random
from torch import Tensor
from torch.nn import functional as F

import cnnatomy
from cnnatomy.reducers import L2, Kth, Lp, Max, Mean, Median, Min, Quantile, Reducer
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

pytestmark = pytest.mark.costly(2)  # each compiles kernels

SHAPES = {1: (2, 3, 23), 2: (2, 3, 13, 18), 3: (2, 3, 7, 8, 9)}
Call = Callable[..., Any]


def torch_cases(rank: int) -> list[tuple[str, dict[str, Any], Reducer, Region]]:
    """torch's operators by name and arguments, and the same as regions and reducers."""
    windows: list[tuple[int, int, int, bool]] = [(2, 2, 0, False), (3, 2, 1, False), (3, 2, 1, True)]
    found: list[tuple[str, dict[str, Any], Reducer, Region]] = []
    for k, s, p, ceil in windows:
        window = {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": ceil}
        region = Sliding(k, s, p, 1, ceil)
        found.append((f"max_pool{rank}d", window, Max(), region))
        for include in (True, False):
            padded = {"count_include_pad": include}
            found.append((f"avg_pool{rank}d", window | padded, Mean(count_include_pad=include), region))
    window = {"kernel_size": 3, "stride": 1, "dilation": 2}
    found.append((f"max_pool{rank}d", window, Max(), Sliding(3, 1, 0, 2)))
    window = {"kernel_size": 3, "stride": 2}
    powers = [L2(), Lp(2.0), Lp(4.0), Lp(6.0)]  # even: torch's rule has no others of negative numbers
    for what in powers:
        norm = {"norm_type": getattr(what, "p", 2.0)}
        found.append((f"lp_pool{rank}d", window | norm, what, Sliding(3, 2)))
    for size in (1, 3, 5):
        found.append((f"adaptive_max_pool{rank}d", {"output_size": size}, Max(), Adaptive(size)))
        found.append((f"adaptive_avg_pool{rank}d", {"output_size": size}, Mean(), Adaptive(size)))
    return found


CASES = [(rank, *case) for rank in (1, 2, 3) for case in torch_cases(rank)]


@pytest.mark.parametrize(("rank", "name", "options", "what", "region"), CASES, ids=str)
def test_torch(rank: int, name: str, options: dict[str, Any], what: Reducer, region: Region) -> None:
    x = random(SHAPES[rank], torch.float64).requires_grad_()
    y, truth = cnnatomy.pool(x, what, region, rank=rank), getattr(F, name)(x, **options)
    close(y, truth)
    grad = random(tuple(y.shape), torch.float64, seed=1)
    for mine, wanted in zip(*(torch.autograd.grad(out, x, grad) for out in (y, truth)), strict=True):
        close(mine, wanted, sums=10)


def filtered(x: Tensor, run: Call, rank: int) -> Tensor:
    """A filter of SciPy on every plane, without the border, where SciPy makes values up."""
    planes = [torch.from_numpy(run(plane.numpy())) for plane in x.flatten(0, 1)]
    inner = (slice(1, -1),) * rank
    found = torch.stack([plane[inner] for plane in planes])
    return found.view(*x.shape[:2], *found.shape[1:])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_scipy(rank: int, ties: bool) -> None:
    x, taps = random(SHAPES[rank], torch.float64, ties=ties), 3**rank
    peers: list[tuple[Reducer, Call]] = [
        (Median(), lambda plane: scipy.ndimage.median_filter(plane, 3)),
        (Max(), lambda plane: scipy.ndimage.maximum_filter(plane, 3)),
        (Min(), lambda plane: scipy.ndimage.minimum_filter(plane, 3)),
        (Quantile(0.5), lambda plane: scipy.ndimage.median_filter(plane, 3)),
        *(
            (Kth(k, largest=False), lambda plane, k=k: scipy.ndimage.rank_filter(plane, k - 1, 3))
            for k in (1, 2, taps // 3 + 1, taps - 1, taps)
        ),
    ]
    for what, run in peers:
        assert torch.equal(cnnatomy.pool(x, what, Sliding(3, 1)), filtered(x, run, rank)), what
    mean = filtered(x, lambda plane: scipy.ndimage.uniform_filter(plane, 3), rank)
    close(cnnatomy.pool(x, Mean(), Sliding(3, 1)), mean, sums=4)


def onnx_cases(rank: int) -> list[tuple[str, dict[str, Any], Reducer, Region]]:
    """ONNX's operators by name and attributes, and the same as regions and reducers."""
    two, three, one = [2] * rank, [3] * rank, [1] * (2 * rank)
    short = {"kernel_shape": three, "strides": two}
    window = short | {"pads": one}
    found: list[tuple[str, dict[str, Any], Reducer, Region]] = [
        ("MaxPool", window, Max(), Sliding(3, 2, 1)),
        ("MaxPool", {"kernel_shape": two, "strides": two}, Max(), Sliding(2)),
        ("MaxPool", short | {"ceil_mode": 1}, Max(), Sliding(3, 2, 0, 1, True)),
        ("MaxPool", {"kernel_shape": three, "dilations": two}, Max(), Sliding(3, 1, 0, 2)),
        ("AveragePool", window, Mean(), Sliding(3, 2, 1)),
        ("AveragePool", window | {"count_include_pad": 1}, Mean(count_include_pad=True), Sliding(3, 2, 1)),
        ("LpPool", {"kernel_shape": two, "strides": two, "p": 1}, Lp(1.0), Sliding(2)),
        ("LpPool", {"kernel_shape": two, "strides": two, "p": 2}, L2(), Sliding(2)),
        ("LpPool", short | {"p": 3}, Lp(3.0), Sliding(3, 2)),
        ("GlobalMaxPool", {}, Max(), Whole()),
        ("GlobalAveragePool", {}, Mean(), Whole()),
    ]
    return found


@pytest.mark.parametrize(
    ("rank", "number"),
    [
        (rank, number)
        for rank in (1, 2, 3)
        for number, (name, *_) in enumerate(onnx_cases(rank))
        if name != "GlobalMaxPool" or rank == 2  # elsewhere the reference implementation reads other axes
    ],
)
def test_onnx(rank: int, number: int) -> None:
    onnx = pytest.importorskip("onnx", reason="the bench extra has it")
    from onnx.reference import ReferenceEvaluator

    name, attributes, what, region = onnx_cases(rank)[number]
    x = random(SHAPES[rank], torch.float64)
    kind = onnx.TensorProto.DOUBLE
    ends = [onnx.helper.make_tensor_value_info(end, kind, None) for end in "xy"]
    node = onnx.helper.make_node(name, ["x"], ["y"], **attributes)
    graph = onnx.helper.make_graph([node], "pooling", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)])
    (truth,) = ReferenceEvaluator(model).run(None, {"x": x.numpy()})
    close(cnnatomy.pool(x, what, region), torch.from_numpy(np.asarray(truth)), sums=4)
