"""Pooling over padding that holds values: what `pad` writes and a pooling without padding reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import close, last, random

import cnnatomy
from cnnatomy import Boxes, Sliding, Whole, nn
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY

MODES = ["zeros", "constant", "reflect", "replicate", "edge", "circular", "wrap", "symmetric", "mean"]


@given(
    mode=st.sampled_from(MODES),
    name=st.sampled_from(["max", "soft"]),
    window=st.sampled_from([(3, 2, 1), (2, 1, 2), (4, 3, 1)]),
    padding=st.sampled_from([1, ((0, 2), (1, 0)), "same", "keep", "full", "causal"]),
    size=st.tuples(st.integers(7, 12), st.integers(7, 12)),
    ceil=st.booleans(),
    flat=st.booleans(),
)
def test_it_is_padding_written_and_then_pooled(
    mode: str, name: str, window: Any, padding: Any, size: Any, ceil: bool, flat: bool
) -> None:
    kernel, stride, dilation = window
    region = Sliding(kernel, stride, padding, dilation, ceil)
    x = random((2, 3, *size), torch.float64)
    x = (x if flat else last(x)).requires_grad_()
    y = cnnatomy.pool(x, name, region, padding_mode=mode)
    assert tuple(y.shape[2:]) == region.outputs(size)
    numpy = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    widths = [window.padding for window in region.windows(size)]
    wide = cnnatomy.pad(x, widths, numpy)
    expected = cnnatomy.pool(wide, name, Sliding(kernel, stride, 0, dilation, ceil))
    expected = expected[..., : y.shape[2], : y.shape[3]]
    close(y, expected)
    pull = random(tuple(y.shape), torch.float64, 1)
    close(torch.autograd.grad(y, x, pull)[0], torch.autograd.grad(expected, x, pull)[0])


@pytest.mark.parametrize("reducer", [r() for r in REGISTRY.values() if not r().takes], ids=lambda r: r.name)
def test_zeros_count_as_values_in_every_reducer(reducer: Any) -> None:
    module = nn.Pool2d(reducer, 3, 2, 1, padding_mode="zeros").eval()
    x = random((2, 3, 9, 8)) + 3
    written = nn.Pool2d(reducer, 3, 2).eval()(torch.nn.functional.pad(x, (1, 1, 1, 1)))
    assert torch.equal(module(x), written)
    assert "padding_mode='zeros'" in repr(module)


def test_companions_are_padded_alike() -> None:
    x, logits = random((1, 2, 6, 6)), random((1, 2, 6, 6), seed=1)
    y = cnnatomy.pool(x, "importance", Sliding(3, 1, 1), padding_mode="edge", logits=logits)
    wide = [cnnatomy.pad(tensor, ((1, 1), (1, 1)), "edge") for tensor in (x, logits)]
    assert torch.equal(y, cnnatomy.pool(wide[0], "importance", Sliding(3, 1), logits=wide[1]))


def test_compiled_and_exported() -> None:
    module = nn.Pool2d("soft", 3, 1, "same", padding_mode="reflect").eval()
    x = random((2, 3, 9, 8))
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), module(x))
    exported = torch.export.export(module, (x,)).module()
    assert torch.equal(exported(x), module(x))


@pytest.mark.parametrize(
    ("region", "options", "said"),
    [
        (Sliding(3, 1, 1), {"padding_mode": "relfect"}, "reflect"),
        (Whole(), {"padding_mode": "reflect"}, "only sliding"),
        (Boxes(((0, 0.0, 0.0, 3.0, 3.0),), 2), {"padding_mode": "edge"}, "only sliding"),
        (Sliding(3, 1, 1), {"padding_mode": "edge", "return_indices": True}, "no index"),
        (Sliding(3, 1, 1), {"padding_mode": 3}, "unknown"),
    ],
    ids=str,
)
def test_bad_modes_are_told(region: Any, options: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        cnnatomy.pool(random((1, 2, 6, 6)), "max", region, **options)
    if options["padding_mode"] == "relfect":
        with pytest.raises(ArgumentError, match=said):
            nn.Pool2d("max", 3, padding_mode="relfect")
