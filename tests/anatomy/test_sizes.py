"""`sizes` against gradients of positive surrogates, and other sizes by arithmetic against passes on them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from anatomy.zoo import inception_v3
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cnnatomy.anatomy.ask.resizing import Resizing
from cnnatomy.anatomy.ask.sizing import InputSizes, sizes
from cnnatomy.anatomy.ask.sizing.input_sizes import InputSize, runs
from cnnatomy.anatomy.ask.sizing.size_finding import losses_of
from cnnatomy.anatomy.field import Fields
from cnnatomy.anatomy.record.call_windows import lost
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window


class Branches(nn.Module):
    """Two paths of one stride, joined: one of them may read what the other loses."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], 1)


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    kind = draw(st.sampled_from(("conv", "mean", "up", "norm", "branches")))
    kernel, stride, padding = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 1))
    if kind == "conv":
        return nn.Conv2d(2, 2, kernel, stride, padding, draw(st.integers(1, 2)))
    if kind == "mean":
        return nn.AvgPool2d(kernel, stride, min(padding, kernel // 2), ceil_mode=draw(st.booleans()))
    if kind == "up":
        return nn.ConvTranspose2d(2, 2, kernel, stride, min(padding, (kernel - 1) // 2))
    if kind == "norm":
        return nn.Sequential(nn.BatchNorm2d(2), nn.ReLU())
    wide = nn.Conv2d(2, 1, 3, stride, 1)
    return Branches(wide, nn.Conv2d(2, 1, 1, stride))


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    net = nn.Sequential(*(draw(layers()) for _ in range(draw(st.integers(1, 4)))), nn.AdaptiveAvgPool2d(1))
    return net.double().eval().requires_grad_(False)


def positive(net: nn.Module) -> nn.Module:
    """The same taps with every weight 1, so that a gradient is 0 only where nothing is read."""
    net = copy.deepcopy(net)
    for parameter in net.parameters():
        parameter.fill_(1.0)
    return net


@given(net=networks(), size=st.integers(6, 24))
def test_unread_cells_are_those_without_a_gradient(net: nn.Module, size: int) -> None:
    (found,) = sizes(net, (2, size, size), [size])
    x = torch.ones(1, 2, size, size, dtype=torch.float64, requires_grad=True)
    try:
        out = positive(net)(x)
    except RuntimeError:
        assert found.reason is not None
        return
    assert found.reason is None
    (gradient,) = torch.autograd.grad(out.sum(), x)
    rows = int((gradient[0, 0].sum(1) == 0).sum())
    assert dict(found.unread) == ({2: rows, 3: rows} if rows else {})
    assert found.outputs == (tuple(out.shape),)


@given(net=networks(), size=st.integers(8, 20), other=st.integers(6, 24))
def test_arithmetic_of_another_size_is_that_of_a_pass_on_it(net: nn.Module, size: int, other: int) -> None:
    try:
        graphs = [
            trace(net, [torch.empty(1, 2, n, n, dtype=torch.float64, device="meta")]) for n in (size, other)
        ]
    except ArgumentError:
        return
    told = Resizing(graphs[0]).at(other)
    assert told is not None
    assert told.lost == sum(loss.cells for loss in losses_of(graphs[1]) if loss.axis == 3)
    assert told.unread == sum(len(cells) for cells in Fields(graphs[1]).unread("0", 3) or ())


@given(n=st.integers(1, 30), kernel=st.integers(1, 5), stride=st.integers(1, 5), padding=st.integers(0, 3))
def test_lost_cells_are_those_beyond_the_last_window_and_its_gap(
    n: int, kernel: int, stride: int, padding: int
) -> None:
    window = Window(kernel, stride, (padding, padding))
    if window.slack(n) < 0:
        return
    reached = 0
    for start in range(-padding, n + padding - kernel + 1, stride):
        reached = start + max(kernel, stride)
    assert list(lost(window, n)) == list(range(min(max(reached, 0), n), n))


def test_gaps_that_a_stride_leaves_everywhere_are_not_a_loss_of_a_size() -> None:
    found = sizes(nn.Conv2d(1, 1, 1, stride=2), (1, 8, 8), [7, 8])
    assert [one.losses for one in found] == [(), ()]
    assert found[8].unread == ((2, 4), (3, 4))  # and yet nothing else reads what lies between
    assert not found[8].clean


def test_taught_image_sizes_are_divisible_by_two_again_and_again() -> None:
    net = nn.Sequential(
        *(layer for _ in range(5) for layer in (nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2)))
    )
    assert sizes(net, (1, 224, 224), range(1, 260)).clean == tuple(range(32, 260, 32))


def test_inception_reads_227_cells_and_not_225() -> None:
    with torch.device("meta"):
        net = inception_v3(aux=False)
    found = sizes(net, (3, 299, 299), [225, 227, 299])
    assert [dict(one.unread) for one in found] == [{2: 4, 3: 4}, {}, {}]
    assert found.clean == (299,)
    graph = trace(net, [torch.empty(1, 3, 225, 225, device="meta")])
    assert Resizing(graph).nearest(lambda one: not one.unread) == (221, 227)
    assert Fields(graph).unread("0", 2) == (range(221, 225),)


def test_sizes_that_do_not_run_say_why_and_the_model_is_left_as_it_is() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 4)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = sizes(net, (1, 8, 8), range(1, 11))
    assert found.running == found.clean == (8,)
    assert found[9].reason is not None
    assert "'2' (Linear, in_features=72) cannot take 1×98" in found[9].reason
    assert "'0'" in str(found[1].reason)
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_reshapes_of_a_map_are_not_followed_by_arithmetic_but_tried() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            n, c, h, w = x.shape
            return x[..., : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))

    found = sizes(Halves(), (1, 8, 8), range(6, 10))
    assert [dict(one.unread) for one in found] == [{}, {2: 1, 3: 1}, {}, {2: 1, 3: 1}]
    assert Resizing(trace(Halves(), [torch.empty(1, 1, 8, 8)])).at(9) is None


@pytest.mark.parametrize("rank", [1, 3])
def test_signals_and_volumes_have_sizes_too(rank: int) -> None:
    pool: Any = {1: nn.MaxPool1d, 3: nn.MaxPool3d}[rank]
    found = sizes(nn.Sequential(pool(2), pool(3)), (2, *(12,) * rank), range(6, 20))
    assert found.clean == (6, 12, 18)
    assert "1 loses 2" in found[17].told


def test_what_no_output_depends_on_reads_nothing() -> None:
    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x.flatten(1).relu()
            return nn.functional.max_pool2d(x, 3)

    graph = trace(Looks(), [torch.empty(1, 1, 8, 8)])
    told = Resizing(graph).at(8)
    assert told is not None
    assert told.unread == sum(len(cells) for cells in Fields(graph).unread("0", 2) or ()) == 2


def test_default_sizes_lie_around_the_given_one() -> None:
    assert [one.size for one in sizes(nn.ReLU(), (1, 4, 4))] == list(range(1, 37))


def test_forms_tell_the_same() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten())
    found = sizes(net, (1, 8, 8), range(4, 9))
    facts = json.loads(found.to_json())
    assert facts["clean"] == [4, 6, 8] == list(found.clean)
    assert [one["unread"] for one in facts["sizes"]] == [[], [[2, 1], [3, 1]], [], [[2, 1], [3, 1]], []]
    assert "| 5, 7 | 0 loses 1; 1 input cell reaches no output |" in str(found)
    assert found.nearest(7) == (6, 8)
    assert found.nearest(9) == (8,)


@given(numbers=st.lists(st.integers(1, 60), unique=True).map(sorted))
def test_runs_name_exactly_the_numbers(numbers: list[int]) -> None:
    named: list[int] = []
    parts = runs(numbers).split(", ") if numbers else []
    while parts:
        part = parts.pop(0)
        if parts and " .. " in parts[0]:
            second, last = map(int, parts.pop(0).split(" .. "))
            named += range(int(part), last + 1, second - int(part))
        elif ".." in part:
            first, last = map(int, part.split(".."))
            named += range(first, last + 1)
        else:
            named.append(int(part))
    assert named == numbers


@pytest.mark.parametrize(
    ("shape", "candidates", "said"),
    [
        ((3,), [4], "no spatial axis"),
        ((1, 4, 4), [0], "size is out of range"),
        ((1, 4, 4), range(1, 9999), "too many sizes"),
    ],
)
def test_questions_that_mean_nothing(shape: tuple[int, ...], candidates: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        sizes(nn.ReLU(), shape, candidates)


def test_nothing_clean_is_said() -> None:
    assert "clean: none of them" in str(InputSizes("Net", (InputSize(3, reason="no"),)))
