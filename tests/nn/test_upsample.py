"""`Upsample` against torch's module over torch's own samples, and the modules beside it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from support import close, last, random
from torch import Tensor

import cnnatomy.nn.upsample as mine
from cnnatomy.errors import ArgumentError
from cnnatomy.ops.resampling import resample

TORCHS = ["nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area"]
SAMPLED = ("nn.functional.interpolate", "nn.functional.upsample_nearest", "nn.functional.upsample_bilinear")


def outcome(module: Any, x: Tensor) -> Any:
    """Its result and gradient, or the exception's type."""
    x = x.detach().clone().requires_grad_()
    try:
        y = module(x)
        return y.detach(), torch.autograd.grad(y, x, random(tuple(y.shape), y.dtype, 5))[0]
    except (RuntimeError, ValueError, TypeError) as error:
        return type(error)


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, type) or isinstance(found, type):
        assert found is expected
    else:
        for one, other in zip(found, expected, strict=True):
            close(one, other, 100)


def test_torchs_own_samples() -> None:
    pytest.importorskip("expecttest")  # torch's table of operators needs it
    from torch.testing._internal.common_methods_invocations import op_db

    count = 0
    for op in (op for op in op_db if op.name in SAMPLED):
        for sample in op.sample_inputs("cpu", torch.float64):  # type: ignore[no-untyped-call]
            names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
            options = {**dict(zip(names, sample.args, strict=False)), **sample.kwargs}
            if op.name.endswith("bilinear"):
                options |= {"mode": "bilinear", "align_corners": True}
            if options.pop("antialias", False):
                continue
            same(*(outcome(kind(**options), sample.input) for kind in (mine.Upsample, torch.nn.Upsample)))
            count += 1
    assert count > 50


@pytest.mark.parametrize("mode", TORCHS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_torchs_arguments_give_torchs_results_and_exceptions(mode: str, rank: int) -> None:
    x = random((2, 3, 6, 5, 7)[: rank + 2], torch.float64)
    for entry in (x, last(x), x[:0], x[0], x.to(torch.uint8)) if rank > 1 else (x, x[:0], x[0]):
        for align in (None, False, True):
            for options in (
                *({"size": 4}, {"size": (9, 3, 5)[:rank]}, {"scale_factor": 1.7}, {"scale_factor": 0.6}),
                *({"scale_factor": 2.3, "recompute_scale_factor": True}, {"size": (3,) * (rank + 1)}),
                *({}, {"size": 4, "scale_factor": 2.0}, {"scale_factor": 0.01}, {"size": 0}),
            ):
                arguments: dict[str, Any] = {"mode": mode, "align_corners": align, **options}
                if entry.dtype is torch.uint8:
                    try:
                        expected = torch.nn.Upsample(**arguments)(entry)
                    except (RuntimeError, ValueError, TypeError) as error:
                        with pytest.raises(type(error)):
                            mine.Upsample(**arguments)(entry)
                    else:
                        assert torch.equal(mine.Upsample(**arguments)(entry), expected)
                else:
                    same(
                        outcome(mine.Upsample(**arguments), entry),
                        outcome(torch.nn.Upsample(**arguments), entry),
                    )


def test_modes_that_torch_lacks() -> None:
    x = random((2, 3, 8, 8))
    for mode in ("lanczos3", "cubic", "gaussian", "nails"):
        assert torch.equal(
            mine.Upsample(scale_factor=2, mode=mode)(x), resample(x, scale_factor=2, method=mode)
        )
    half = mine.Upsample(scale_factor=0.5, mode="bilinear", antialias=True)
    assert torch.equal(half(x), resample(x, scale_factor=0.5, antialias=True))
    with pytest.raises(ArgumentError, match="try 'bicubic'"):
        mine.Upsample(scale_factor=2, mode="bicubik")


def test_autocast_computes_in_torchs_dtype() -> None:
    x = random((2, 3, 8, 8), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = (
            kind(scale_factor=2, mode="bilinear")(x) for kind in (mine.Upsample, torch.nn.Upsample)
        )
    assert found.dtype is expected.dtype
    close(found, expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_modules_of_each_rank(rank: int) -> None:
    x = random((2, 3, 4, 5, 6)[: rank + 2])
    resized = getattr(mine, f"Resample{rank}d")(scale_factor=2, method="cubic")
    nails = getattr(mine, f"BedOfNails{rank}d")(3)
    for module, scale, method in ((resized, 2, "cubic"), (nails, 3, "nails")):
        assert torch.equal(
            copy.deepcopy(module)(x), resample(x, scale_factor=scale, method=method, rank=rank)
        )
        assert torch.equal(module(x[0]), module(x)[0])
    assert "scale_factor=2" in repr(resized)
    with pytest.raises(ArgumentError, match="neither"):
        getattr(mine, f"Resample{rank}d")()
