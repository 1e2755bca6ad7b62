"""Receptive fields against what really happens: NaN carried by the unmodified network, and gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from anatomy.random_nets import Interval, random_net, truth
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.anatomy.field import Fields
from cnnatomy.anatomy.field.algebra.field_table import Table
from cnnatomy.anatomy.field.algebra.taps import Rows, Taps
from cnnatomy.anatomy.field.rules import moving_rules, resampling_rules, window_rules
from cnnatomy.anatomy.record.graph import Graph
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window
from cnnatomy.geometry.axis_resampling import Resampling

Truths = dict[int, dict[str, tuple[Interval, Interval]]]


def known(net: nn.Module, shape: Sequence[int]) -> tuple[Graph, Truths]:
    """A network's recorded pass, and what NaN tells of every axis."""
    graph = trace(net, [torch.zeros(tuple(shape))])
    assert not graph.reason, graph.reason
    return graph, {axis: truth(net, shape, axis) for axis in range(2, len(shape))}


@cache
def case(seed: int) -> tuple[Graph, Truths]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on uneven "same" padding, and on copies it makes
        return known(*random_net(seed))


def compare(graph: Graph, truths: Truths) -> tuple[int, list[str]]:
    """How many intervals there are of known operators, and where some of them are wrong."""
    fields, count, wrong = Fields(graph), 0, []
    paths = {visit.path: i for i, visit in enumerate(graph.visits)}
    for axis, leaves in truths.items():
        for path, (lo, hi) in leaves.items():
            field = fields.returned(paths[path])[axis - 2]
            ours = [np.broadcast_to(a, field.shape).reshape(lo.shape) for a in (field.lo, field.hi)]
            if field.unsure:
                assert ((ours[0] <= lo) & (ours[1] >= hi)).all(), f"{path}: more than everything"
                continue
            both_empty = (lo > hi) & (ours[0] > ours[1])
            differs = ((ours[0] != lo) | (ours[1] != hi)) & ~both_empty
            count += lo.size
            for at in map(tuple, np.argwhere(differs)):
                got = f"{ours[0][at]}..{ours[1][at]}, not {lo[at]}..{hi[at]}"
                wrong.append(f"{path} ({graph.visits[paths[path]].type}), axis {axis}, unit {at}: {got}")
    return count, wrong


def fuzz(seeds: Iterable[int]) -> None:
    nets, count, bad = 0, 0, []
    for seed in seeds:
        some, wrong = compare(*case(seed))
        nets, count = nets + 1, count + some
        bad += [f"net {seed}: {line}" for line in wrong]
    print(f"{nets} random networks, {count} intervals, {len(bad)} wrong")
    assert not bad, "\n".join(bad[:10])


def test_random_networks_against_nan() -> None:
    fuzz(range(12))


@pytest.mark.slow
def test_many_random_networks_against_nan() -> None:
    fuzz(range(12, 520))


def mutant_rows(taps: Taps, cells: Callable[[int], Iterable[int]], n: int) -> Taps:
    """Taps that read other cells."""
    ragged = ([i for i in cells(o) if 0 <= i < n] for o in range(taps.outputs))
    return replace(taps, rows=Rows.of(ragged))


def _window(change: Callable[[Window], Window]) -> Callable[[Any], Any]:
    def mutate(right: Any) -> Any:
        def wrong(window: Window, n: int) -> Taps:
            taps, other = right(window, n), change(window)

            def cells(o: int) -> Iterable[int]:
                start = o * other.stride - other.padding[0]
                return range(start, start + other.extent, other.dilation)

            return mutant_rows(taps, cells, n)

        return wrong

    return mutate


def _last_dropped(right: Any) -> Any:
    def wrong(window: Window, n: int) -> Taps:
        taps, floor = right(window, n), replace(window, ceil_mode=False).output_size(n)
        return mutant_rows(taps, lambda o: window.taps(min(o, floor - 1), n), n)

    return wrong


def _as_nearest(right: Any) -> Any:
    return lambda window, n, out: mutant_rows(right(window, n, out), lambda o: [o // window.stride], n)


def _no_output_padding(right: Any) -> Any:
    def wrong(window: Window, n: int, out: int) -> Taps:
        taps, least = right(window, n, out), window.transposed_size(n)
        return mutant_rows(taps, lambda o: taps.rows.cells[o] if o < least else [], n)

    return wrong


def _no_corners(right: Any) -> Any:
    def wrong(how: Resampling, n: int, out: int, axis: int = 0, back: bool = False) -> Taps:
        how = replace(how, coordinates="half_pixel") if how.coordinates == "corners" else how
        return right(how, n, out, axis, back)  # type: ignore[no-any-return]

    return wrong


def _no_groups(right: Any) -> Any:
    def wrong(table: Table, groups: int, channels: int, dim: int = 1) -> Table:
        return right(table, 1, groups * channels, dim)  # type: ignore[no-any-return]

    return wrong


def _bilinear_as_nearest(right: Any) -> Any:
    def wrong(how: Resampling, *rest: Any) -> Taps:
        linear = how.method == "linear" and not how.antialias and how.coordinates == "half_pixel"
        return right(Resampling("nearest") if linear else how, *rest)  # type: ignore[no-any-return]

    return wrong


MUTATIONS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "dilation dropped": (window_rules, "sliding", _window(lambda w: replace(w, dilation=1))),
    "padding dropped": (window_rules, "sliding", _window(lambda w: replace(w, padding=(0, 0)))),
    "stride off by one": (window_rules, "sliding", _window(lambda w: replace(w, stride=w.stride + 1))),
    "kernel one short": (window_rules, "sliding", _window(lambda w: replace(w, kernel=max(1, w.kernel - 1)))),
    "ceil_mode dropped": (window_rules, "sliding", _last_dropped),
    "groups dropped": (window_rules, "grouped", _no_groups),
    "transposed as nearest": (window_rules, "transposed", _as_nearest),
    "output_padding dropped": (window_rules, "transposed", _no_output_padding),
    "align_corners dropped": (resampling_rules, "resampled", _no_corners),
    "bilinear as nearest": (resampling_rules, "resampled", _bilinear_as_nearest),
    "roll dropped": (moving_rules, "rolled", lambda right: lambda n, shift: right(n, 0)),
    "borders all replicate": (
        *(moving_rules, "bordered"),
        lambda right: lambda n, a, b, mode: right(n, a, b, mode and "edge"),
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_rule_is_caught_by_the_random_networks(
    mutation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, mutate = MUTATIONS[mutation]
    monkeypatch.setattr(where, name, mutate(getattr(where, name)))
    assert any(compare(*case(seed))[1] for seed in range(24))


class Done(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


UNTAGGED: dict[str, nn.Module] = {
    "prelu": nn.PReLU(4),
    "in place": nn.Sequential(
        nn.Hardswish(inplace=True), nn.Mish(inplace=True), nn.Threshold(-9, 0, inplace=True)
    ),
    "log_sigmoid": nn.LogSigmoid(),
    "rrelu": nn.RReLU(),
    "floor_divide": Done(lambda x: x // 2),
    "complex": Done(lambda x: torch.complex(x, 2 * x).abs()),
    "polar": Done(lambda x: torch.polar(x, x).abs()),
    "glu on channels": nn.GLU(1),
    "glu on rows": nn.GLU(2),
    **{f"rot90 {k} times": Done(lambda x, k=k: torch.rot90(x, k, (2, 3))) for k in range(-1, 4)},  # type: ignore[misc]
    "rot90 the other way": Done(lambda x: torch.rot90(x, 1, (3, 2))),
}
"""Operators that read few cells and that torch does not tag as pointwise."""


@pytest.mark.filterwarnings("ignore:TF32")
@pytest.mark.parametrize("name", UNTAGGED)
def test_operators_that_torch_does_not_tag_have_fields_of_their_own(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), UNTAGGED[name], nn.AvgPool2d((2, 1)))
    graph, truths = known(net, (1, 1, 10, 8))
    count, wrong = compare(graph, truths)
    assert not any(field.unsure for field in Fields(graph).returned(0))
    assert count > 0
    assert not wrong, wrong[:3]


class Surrogate(nn.Module):
    """A network that is linear with positive weights: every gradient is a sum of positive products."""

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps).double()
        for parameter in self.parameters():
            parameter.data.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.steps(x)
        return y


class Skip(nn.Module):
    """Two branches, cropped to one size and added."""

    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.one(x), self.other(x)
        n, m = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
        y: Tensor = a[:, :, :n, :m] + b[:, :, -n:, -m:]
        return y


SURROGATES: dict[str, Callable[[], nn.Module]] = {
    "windows": lambda: Surrogate(
        nn.Conv2d(1, 4, 7, 2, 3), nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.Conv2d(4, 4, 3, 1, 4, 4, groups=2)
    ),
    "decoder": lambda: Surrogate(
        nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 3, 2, 1, 1),
        nn.Upsample(scale_factor=3, mode="bilinear", align_corners=True), nn.Conv2d(2, 1, 3),
    ),
    "branches": lambda: Surrogate(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"),
        Skip(nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2)), nn.Conv2d(4, 4, (5, 1), padding=3)),
        nn.PixelUnshuffle(2), nn.AdaptiveAvgPool2d((11, 5)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SURROGATES)
def test_intervals_are_those_of_gradients(name: str) -> None:
    torch.manual_seed(0)
    net = SURROGATES[name]()
    x = torch.rand(1, 1, 97, 45, dtype=torch.float64, requires_grad=True)
    y = net(x)
    graph = trace(net, [x])
    fields = Fields(graph).returned(0)
    units = [
        (0, c, i, j) for c in range(y.shape[1]) for i in range(y.shape[2]) for j in (0, y.shape[3] // 2, -1)
    ]
    for unit in units[:: max(1, len(units) // 150)]:
        (grad,) = torch.autograd.grad(y[unit], x, retain_graph=True)
        unit = (*unit[:3], unit[3] % y.shape[3])
        for field, axis in zip(fields, (2, 3), strict=True):
            hit = grad.abs().sum([d for d in range(4) if d != axis]).nonzero().ravel().tolist()
            seen = field.interval(unit)
            assert (seen.start, seen.stop) == ((hit[0], hit[-1] + 1) if hit else (seen.start, seen.start))


def last(net: nn.Module, *shape: int, reading: Any = "exact") -> Any:
    """The field on the first axis of what a network returns."""
    dtype = next(net.parameters(), torch.zeros(())).dtype
    return Fields(trace(net, [torch.zeros(shape, dtype=dtype)])).returned(0, reading=reading)[0]


def test_law_is_that_of_units_far_from_borders() -> None:
    for make in SURROGATES.values():
        field = last(make(), 1, 1, 193, 45)
        if field.law.kind != "periodic":
            continue
        lo, hi = (np.broadcast_to(a, field.shape)[0, :, :, 2] for a in (field.lo, field.hi))
        for o in range(field.shape[2] // 3, 2 * field.shape[2] // 3):
            turn, phase = divmod(o, field.law.period)
            wanted = tuple(edge[phase] + turn * field.law.shift for edge in (field.law.lo, field.law.hi))
            assert (lo[:, o].min(), hi[:, o].max()) == wanted


def test_upsampled_branches_of_other_jumps_drift() -> None:
    up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    net = Skip(nn.Sequential(nn.MaxPool2d(2), up), nn.Conv2d(3, 3, 3, padding=1))
    assert last(net, 1, 3, 32, 32).law.kind == "drift"


def test_law_says_why_it_is_not_known() -> None:
    class Rolled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.roll(3, 2)

    assert (last(Rolled(), 1, 1, 9, 9).law.kind, last(Rolled(), 1, 1, 9, 9).law.why) == ("unknown", "roll")


def test_circular_padding_leaves_the_law_of_the_interior() -> None:
    law = last(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), 1, 1, 9, 9).law
    assert (law.kind, law.size, law.start) == ("periodic", 3, -1)


def test_channels_keep_fields_of_their_own() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(2, 2, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.cat([x, self.wide(x)], 1)[:, :2]
            return y

    assert last(Branches(), 1, 2, 20, 20).law.size == 1


@pytest.mark.parametrize("reading", ["exact", "local"])
def test_local_reading_sets_global_reductions_aside(reading: Any) -> None:
    class Excited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 3, padding=1), nn.GroupNorm(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.norm(self.conv(x))
            y = y * y.mean((2, 3), keepdim=True).sigmoid()
            tokens = y.flatten(2).transpose(1, 2)
            z: Tensor = F.scaled_dot_product_attention(tokens, tokens, tokens)
            return y + z.transpose(1, 2).view(y.shape)

    field = last(Excited(), 1, 2, 21, 13, reading=reading)
    assert field.interval((0, 0, 10, 3)) == (range(21) if reading == "exact" else range(9, 12))
    assert field.law.kind == ("global" if reading == "exact" else "periodic")


def test_windows_of_attention_are_not_set_aside() -> None:
    class Windows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x.view(*x.shape[:2], -1, 4, x.shape[3]).movedim(2, 1).flatten(3).transpose(2, 3)
            return (y @ y.transpose(2, 3)).softmax(-1) @ y

    field = last(Windows(), 1, 3, 12, 5, reading="local")
    assert field.interval((0, 1, 0, 0)) == range(4, 8)


def test_channels_contracted_where_units_see_all_are_not_set_aside() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 31, padding=15), nn.Conv2d(4, 4, 1))
    assert last(net, 1, 1, 9, 9, reading="local").interval((0, 0, 4, 4)) == range(9)


def test_an_operator_that_is_not_known_reads_everything_and_says_so() -> None:
    class Sampled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.grid_sample(x, x.new_zeros(1, 4, 4, 2), align_corners=False)

    field = last(Sampled(), 1, 1, 9, 7)
    assert field.unsure.startswith("grid_sampler")
    assert field.interval((0, 0, 2, 2)) == range(9)


def test_every_tensor_that_a_module_returns_has_its_field_and_no_other() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, F.max_pool2d(x, 3, 1, 1)

    net = nn.Sequential(nn.Conv2d(1, 1, 1), Two())
    fields = Fields(trace(net, [torch.zeros(1, 1, 9, 9)]))
    assert [fields.returned(2, output)[0].law.size for output in (0, 1)] == [1, 3]
    for visit, output in ((-1, 0), (3, 0), (2, -1), (2, 2)):
        with pytest.raises(ArgumentError, match="no module call" if output == 0 else "no output"):
            fields.returned(visit, output)
    for call, output in ((-1, 0), (2, 0), (1, -1), (1, 2)):
        with pytest.raises(ArgumentError, match="no call" if output == 0 else "no output"):
            fields.of(call, output)


def test_cells_that_no_output_reads_are_told_even_between_others() -> None:
    fields = Fields(trace(nn.Conv2d(1, 1, 1, stride=3), [torch.zeros(1, 1, 8, 7)]))
    assert fields.unread("0", 2) == (range(1, 3), range(4, 6), range(7, 8))
    assert fields.unread("0", 3) == (range(1, 3), range(4, 6))


def test_padding_counts_taps_outside() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU()), [torch.zeros(1, 1, 4, 4)])
    fields = Fields(graph)
    assert fields.padding(0) == pytest.approx(1 - (10 / 12) ** 2)
    assert fields.padding(1) is None


def test_several_inputs_keep_their_fields_apart() -> None:
    class Pair(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return F.max_pool2d(a, 2) + b

    fields = Fields(trace(Pair(), [torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)])).returned(0)
    assert [(f.input, f.axis, f.interval((0, 0, 1, 1))) for f in fields] == [
        ("0", 2, range(2, 4)), ("0", 3, range(2, 4)), ("1", 2, range(1, 2)), ("1", 3, range(1, 2)),
    ]  # fmt: skip


def test_what_is_empty_depends_on_nothing_and_disturbs_nothing() -> None:
    class Empty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            both = torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1)
            nothing = F.relu(both[:, 4:4, :3, :3])
            return torch.cat([nothing, F.max_pool2d(x, 3), nothing], 1)

    graph = trace(Empty(), [torch.zeros(1, 2, 9, 9)])
    rows, _ = Fields(graph).of(len(graph.calls) - 1)
    assert [rows.interval((0, 0, y, 0)) for y in range(3)] == [range(0, 3), range(3, 6), range(6, 9)]
