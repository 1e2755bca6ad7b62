"""Fields of single operators, unit by unit, against which derivatives are not zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from anatomy.random_nets import Op
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.anatomy.field import Field, Fields
from cnnatomy.anatomy.record.tracing import trace

SHAPE = (2, 4, 3, 6)
sdpa = F.scaled_dot_product_attention
flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def fixed(*shape: int) -> Tensor:
    """Numbers that depend on nothing, the same at every call for a shape."""
    draw = torch.Generator().manual_seed(len(shape) + sum(shape))
    return torch.rand(shape, dtype=torch.float64, generator=draw) + 0.5


def windows(x: Tensor) -> Tensor:
    """Columns as two windows of three."""
    return x.view(2, 4, 3, 2, 3)


def means(x: Tensor) -> Tensor:
    """The mean of its window in place of every column."""
    return windows(x).mean(4, keepdim=True).expand(2, 4, 3, 2, 3).flatten(3)


def written(x: Tensor) -> Tensor:
    """A part overwritten, and one added to."""
    y = torch.zeros_like(x)
    y[:, :, 1:, ::2] = x[:, :, :2, :3]
    y[:, 1].add_(x[:, 0].flip(2))
    return y


def own_windows(x: Tensor) -> Tensor:
    """Attention among the columns of a window."""
    tokens = windows(x).permute(0, 2, 3, 4, 1)
    return sdpa(tokens, tokens, tokens)


PAST = torch.ones(6, 6, dtype=torch.bool).tril(1)
"""Every column's past and the next one: of one score alone the softmax is 1, with no derivative."""
NEAR = PAST & ~PAST.tril(-3)
LOW = torch.full((6, 6), -torch.inf, dtype=torch.float64).triu(2)
ONE_HEAD = torch.cat([LOW[None], torch.zeros(3, 6, 6)])


def attended(x: Tensor, masked: Callable[[Tensor], Tensor]) -> Tensor:
    """Attention by hand among the columns, in four heads, of scores that a mask has been put on."""
    tokens = x.transpose(2, 3)
    weights = masked(tokens @ x / 2).softmax(-1)
    return (weights * 0.9) @ tokens


def masked_twice(x: Tensor) -> Tensor:
    """Attention to columns near by, and again to what is near to those."""
    once = attended(x, lambda scores: scores.masked_fill(~NEAR, -torch.inf))
    return attended(once.transpose(2, 3), lambda scores: scores.masked_fill(~NEAR, -torch.inf))


MASKED: dict[str, Callable[[Tensor], Tensor]] = {
    "filled": lambda x: attended(x, lambda scores: scores.masked_fill(~PAST, -torch.inf)),
    "filled in place": lambda x: attended(x, lambda scores: scores.masked_fill_(~NEAR, -torch.inf)),
    "filled with a tensor": lambda x: attended(x, lambda scores: scores.masked_fill(~PAST, LOW[0, 1])),
    "filled twice": lambda x: attended(
        x, lambda scores: scores.masked_fill(~PAST, -torch.inf).masked_fill(PAST.tril(-3), -1e9)
    ),
    "added": lambda x: attended(x, lambda scores: scores + LOW),
    "added, for minus infinity": lambda x: attended(x, lambda scores: (~PAST).double() * -1e9 + scores),
    "added, then scaled": lambda x: attended(x, lambda scores: (scores + LOW) * 0.5),
    "added in the product": lambda x: torch.baddbmm(LOW, x[0].mT, x[0]).softmax(-1) @ x[0].mT,
    "chosen": lambda x: attended(x, lambda scores: torch.where(NEAR, scores, -torch.inf)),
    "chosen the other way": lambda x: attended(x, lambda scores: torch.where(~NEAR, LOW[0, 1], scores)),
    "future alone": lambda x: attended(x, lambda scores: scores.masked_fill(~PAST.T, -torch.inf)),
    "written over": lambda x: attended(x, lambda scores: (scores + LOW).copy_(scores)),
    "too high": lambda x: attended(x, lambda scores: scores.masked_fill(~PAST, -9.0)),
    "a score below zero times a number below zero": lambda x: attended(
        x, lambda scores: (scores + 20 * LOW.clamp(-1)) * -1
    ),
    "of columns": lambda x: (x.mT @ x + LOW.T).softmax(-2) @ x.mT,
    "twice": masked_twice,
    "operator, causal": lambda x: sdpa(x.mT, x.mT, x.mT, is_causal=True)[:, :, 1:],
    "operator, truth values": lambda x: sdpa(x.mT, x.mT, x.mT, NEAR),
    "operator, numbers": lambda x: sdpa(x.mT, x.mT, x.mT, LOW.T),
    "kernel, numbers": lambda x: flash(x.mT, x.mT, x.mT, attn_mask=LOW)[0],
    "operator, windows of rows": lambda x: sdpa(x, x, x, PAST[:3, :3]),
}  # fmt: skip
"""What attention among six columns sees beside its own, where a mask closes some of them."""


OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "mm": lambda x: x[0, 0] @ fixed(6, 5),
    "mm of a second factor": lambda x: fixed(5, 3) @ x[0, 0],
    "mm of both": lambda x: x[0, 0] @ x[1, 1].T,
    "mv": lambda x: x[0, 0] @ fixed(6),
    "dot": lambda x: x[0, :, 0, 0].dot(fixed(4)),
    "bmm": lambda x: torch.bmm(x[0], fixed(4, 6, 2)),
    "bmm of a second factor": lambda x: torch.bmm(fixed(4, 5, 3), x[0]),
    "addbmm of what is added": lambda x: torch.addbmm(x[0, 0], fixed(4, 3, 2), fixed(4, 2, 6)),
    "addbmm of a first factor": lambda x: torch.addbmm(fixed(2, 5), x[:, 0, :2], fixed(2, 6, 5)),
    "addbmm of a batch of rows": lambda x: torch.addbmm(fixed(4, 5), x[0].transpose(0, 1), fixed(3, 6, 5)),
    "addbmm of a second factor": lambda x: torch.addbmm(fixed(5, 4), fixed(6, 5, 3), x[0].permute(2, 1, 0)),
    "baddbmm": lambda x: torch.baddbmm(x[0, :, :, :2], x[1], fixed(4, 6, 2)),
    "addmm": lambda x: torch.addmm(x[0, 0], fixed(3, 2), x[1, 1, :2]),
    "addmv": lambda x: torch.addmv(x[0, 0, :, 0], fixed(3, 6), x[1, 1, 2]),
    "linear": lambda x: F.linear(x, fixed(5, 6), fixed(5)),
    "linear of weights": lambda x: F.linear(fixed(2, 6), x[0, 0], x[0, 1, :, 0]),
    "attention of queries": lambda x: sdpa(x, fixed(2, 4, 5, 6), fixed(2, 4, 5, 2)),
    "attention of keys": lambda x: sdpa(fixed(2, 4, 5, 6), x, fixed(2, 4, 3, 2)),
    "attention of values": lambda x: sdpa(fixed(2, 4, 5, 2), fixed(2, 4, 3, 2), x),
    "attention of a mask": lambda x: sdpa(fixed(2, 4, 3, 2), fixed(2, 4, 6, 2), fixed(2, 4, 6, 2), x),
    "attention of shared keys": lambda x: sdpa(
        fixed(2, 8, 3, 6), x.flip(1), fixed(2, 4, 3, 2), enable_gqa=True
    ),
    "kernel of queries": lambda x: flash(x, fixed(2, 4, 5, 6), fixed(2, 4, 5, 6))[0],
    "kernel of keys": lambda x: flash(fixed(2, 4, 5, 6), x, fixed(2, 4, 3, 6))[0],
    "kernel of values": lambda x: flash(fixed(2, 4, 5, 6), fixed(2, 4, 3, 6), x)[0],
    "kernel of past keys": lambda x: flash(fixed(2, 4, 3, 6), x, fixed(2, 4, 3, 6), 0.0, True)[0][:, :, 1:],
    "kernel of past values": lambda x: flash(fixed(2, 4, 3, 6), fixed(2, 4, 3, 6), x, 0.0, True)[0],
    "attention in windows": own_windows,
    "written": written,
    "softmax": lambda x: x.softmax(3),
    "log_softmax of rows": lambda x: x.log_softmax(2),
    "mean of rows": lambda x: x.mean(2),
    "sum of all": lambda x: x.sum(),
    "variance": lambda x: x.var(3, keepdim=True),
    "norm": lambda x: x.norm(dim=(1, 2)),
    "logsumexp": lambda x: x.logsumexp((0, 3)),
    "product": lambda x: x.prod(2),
    "running sum": lambda x: x.cumsum(3),
    "running product": lambda x: x.cumprod(2),
    "running sum of channels": lambda x: x.logcumsumexp(1),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "layer_norm of weights": lambda x: F.layer_norm(fixed(2, 3, 6), (6,), x[0, 0, 0], x[0, 0, 1]),
    "rms_norm": lambda x: F.rms_norm(x, (3, 6)),
    "group_norm": lambda x: F.group_norm(x[:, :, :, :3], 2),
    "batch_norm": lambda x: F.batch_norm(x, fixed(4), fixed(4)),
    "batch_norm in training": lambda x: F.batch_norm(x, None, None, training=True),
    "distances": lambda x: torch.cdist(x[0], fixed(4, 5, 6)),
    "distances of seconds": lambda x: torch.cdist(fixed(4, 5, 6), x[1]),
    "gate": lambda x: F.glu(x, 3),
    "unfold": lambda x: x.unfold(3, 3, 2),
    "columns": lambda x: F.unfold(x, (2, 3), padding=1, stride=2),
    "columns back": lambda x: F.fold(x.flatten(1, 2)[:, :, :4], (3, 3), 2),
    "stack": lambda x: torch.stack([x, x.flip(3)], 2),
    "beside": lambda x: torch.cat([x[:, :1], F.avg_pool2d(x, 3, 1, 1), x[:, 2:].flip(3)], 1),
    "beside in halves": lambda x: torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1)[:, 3:6],
    "tile": lambda x: x.tile(1, 2, 1, 3),
    "diagonal blocks": lambda x: windows(x) + windows(x).mean(4, keepdim=True),
    "own and all windows": lambda x: (windows(x) + windows(x).mean(3, keepdim=True)).flatten(3),
    "windows beside columns": lambda x: means(x) + x.flip(3),
    "columns beside windows": lambda x: x.flip(3) + means(x),
    "shuffled channels": lambda x: torch.channel_shuffle(torch.cat([x, means(x)], 1)[:, 2:6], 2),
    "linear convolution of weights": lambda x: F.conv2d(fixed(1, 4, 5, 6), x[:, :, :2, :2]),
    "bilinear": lambda x: F.interpolate(x, (5, 9), mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, (2, 8)),
}  # fmt: skip


def slopes_of(function: Callable[[Tensor], Tensor]) -> Tensor:
    """Derivatives of every unit by every cell of the input."""
    x = torch.rand(SHAPE, dtype=torch.float64)
    found: Tensor = torch.autograd.functional.jacobian(function, x)  # type: ignore[no-untyped-call]
    return found


def dependence(slopes: Tensor, axis: int) -> tuple[Any, Any]:
    """First and last cell of an axis of which each unit has a derivative that is not zero."""
    rank = slopes.dim() - len(SHAPE)
    others = [rank + dim for dim in range(len(SHAPE)) if dim != axis]
    hit = (slopes.abs() > 1e-12).sum(others).gt(0).numpy()
    n = SHAPE[axis]
    lo = np.where(hit.any(-1), hit.argmax(-1), 2**30)
    hi = np.where(hit.any(-1), n - 1 - hit[..., ::-1].argmax(-1), -(2**30))
    return lo, hi


def fields_of(function: Callable[[Tensor], Tensor]) -> tuple[Field, ...]:
    return Fields(trace(Op(function), [torch.zeros(SHAPE, dtype=torch.float64)])).returned(0)


@pytest.mark.parametrize("name", [*OPERATORS, *(f"mask, {name}" for name in MASKED)])
def test_intervals_are_those_of_derivatives(name: str) -> None:
    function = OPERATORS.get(name) or MASKED[name.removeprefix("mask, ")]
    slopes = slopes_of(function)
    for field in fields_of(function):
        lo, hi = dependence(slopes, field.axis)
        ours = [np.broadcast_to(edge, field.shape) for edge in (field.lo, field.hi)]
        empty = (lo > hi) & (ours[0] > ours[1])
        if field.unsure:
            assert ((ours[0] <= lo) & (ours[1] >= hi) | empty).all()
            continue
        assert (((ours[0] == lo) & (ours[1] == hi)) | empty).all(), f"axis {field.axis}"


def test_where_a_mask_leaves_nothing_open_every_score_is_read() -> None:
    closed = ~PAST | (torch.arange(6) == 0)[:, None]
    _, columns = fields_of(lambda x: attended(x, lambda scores: scores.masked_fill(closed, -1e9)))
    assert columns.interval((0, 0, 0, 0)) == range(6)
    assert columns.interval((0, 0, 2, 0)) == range(4)


def test_what_one_head_leaves_open_is_read_by_all() -> None:
    _, columns = fields_of(lambda x: attended(x, lambda scores: scores + ONE_HEAD))
    assert [columns.interval((0, head, 0, 0)) for head in (0, 1)] == [range(6)] * 2


@pytest.mark.parametrize("kept", ["buffer", "attribute"])
def test_a_mask_may_be_held_by_the_network(kept: str) -> None:
    class Masked(nn.Module):
        mask: Tensor

        def __init__(self) -> None:
            super().__init__()
            mask = torch.ones(1, 1, 9, 9, dtype=torch.float64).tril()[..., 1:, 1:]
            self.register_buffer("mask", mask) if kept == "buffer" else setattr(self, "mask", mask)

        def forward(self, x: Tensor) -> Tensor:
            return attended(x, lambda scores: scores.masked_fill(self.mask[..., :6, :6] == 0, -torch.inf))

    _, columns = Fields(trace(Masked(), [torch.zeros(SHAPE, dtype=torch.float64)])).returned(0)
    assert [columns.interval((1, 3, i, 2)) for i in range(6)] == [range(i + 1) for i in range(6)]


UNSURE = {"linear convolution of weights"}


def test_all_but_a_few_are_known() -> None:
    unsure = {name for name, function in OPERATORS.items() if any(f.unsure for f in fields_of(function))}
    assert unsure <= UNSURE


def test_units_of_a_window_and_of_all_its_window_share_one_law() -> None:
    """Windows of three columns: each unit and its window's mean; the law's period is the window."""
    columns = fields_of(lambda x: (windows(x) + windows(x).mean(4, keepdim=True)).flatten(3))[1]
    law = columns.law
    assert (law.kind, law.period, law.shift, law.lo, law.hi) == ("periodic", 3, 3, (0, 0, 0), (2, 2, 2))
