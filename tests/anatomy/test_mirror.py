"""Tables of columns turned from those of rows, against the same found by themselves."""

from __future__ import annotations

import random
from collections.abc import Callable
from unittest import mock

import pytest
import torch
from anatomy import zoo
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.anatomy.field import Fields, flow, mirror
from cnnatomy.anatomy.graph import Graph
from cnnatomy.anatomy.readings import READINGS
from cnnatomy.anatomy.tracing import trace

Step = Callable[[Tensor], Tensor]


class Steps(nn.Module):
    """Functions and modules one after the other, on four maps."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self.steps = steps
        self.held = nn.ModuleList(step for step in steps if isinstance(step, nn.Module))

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class Held(nn.Module):
    """A function of maps and of a parameter, which is of any shape."""

    def __init__(self, step: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.step, self.held = step, nn.Parameter(torch.zeros(shape), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x, self.held)


def of_rows(x: Tensor) -> Tensor:
    return x + x.flatten(2).mean(2)[:, :, None, None] * x.mean(3)[:, :, None]


ALIKE: dict[str, Step] = {
    "conv": nn.Conv2d(4, 4, 3, 2, 1),
    "dilated": nn.Conv2d(4, 4, 2, padding=2, dilation=2, groups=4),
    "transposed": nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
    "norm": nn.BatchNorm2d(4),
    "groups": nn.GroupNorm(2, 4),
    "max": nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "mean": nn.AvgPool2d(2, 1),
    "bins": nn.AdaptiveAvgPool2d(5),
    "larger": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, size=(9, 9)),
    "cubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=True),
    "gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "squeeze": lambda x: x * x.mean((2, 3)).relu()[:, :, None, None],
    "residual": lambda x: x + F.avg_pool2d(x, 3, 1, 1),
    "in place": lambda x: F.relu_(x * 2).add_(1),
    "beside": lambda x: torch.cat([x, F.max_pool2d(x, 5, 1, 2)], 1)[:, ::2],
    "halves": lambda x: torch.cat([x.chunk(2, 1)[-1].relu(), x[:, :2]], 1),
    "gated": lambda x: F.glu(torch.cat([x, x], 1), 1),
    "one map": lambda x: x.amax(1, keepdim=True) * x,
    "softmax": lambda x: x.softmax(1),
    "border": nn.ReplicationPad2d((1, 2, 1, 2)),
    "zeros": nn.ZeroPad2d((2, 0, 2, 0)),
    "shuffle": lambda x: x.view(1, 2, 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2),
    "own mean": Held(lambda x, mean: x - mean[None, :, None, None], 4),
    "own scale": Held(lambda x, scale: x * scale.view(1, -1, 1, 1), 4),
    "own places": Held(lambda x, places: x + places.unsqueeze(0)[..., :1, :], 4, 9, 1),
    "own kernel": Held(lambda x, w: F.conv2d(x, w / w.mean((1, 2, 3), keepdim=True)), 4, 4, 3, 3),
    "turned kernel": Held(lambda x, w: F.conv2d(x, w.transpose(0, 1).softmax(1).transpose(2, 3)), 4, 4, 3, 3),
    "half a kernel": Held(
        lambda x, w: F.conv2d(x, torch.cat([F.glu(w, 1), w.chunk(2, 1)[0]], 1)), 4, 4, 3, 3
    ),
    "own box": Held(lambda x, box: x * box[:, :, 1:9].sum(), 1, 4, 10, 10),
}
"""The same to rows and columns of a square map."""

UNLIKE: dict[str, Step] = {
    "kernel": nn.Conv2d(4, 4, (2, 3), 2),
    "window": nn.MaxPool2d((2, 3), 2),
    "stride": nn.Conv2d(4, 4, 3, (6, 7)),
    "padding": nn.Conv2d(4, 4, 3, 5, (0, 1)),
    "dilation": nn.Conv2d(4, 4, 2, 5, dilation=(1, 2)),
    "output padding": nn.ConvTranspose2d(4, 4, (2, 3), 2, output_padding=(1, 0)),
    "bins": nn.AdaptiveAvgPool2d((5, 13)),
    "border": nn.ZeroPad2d((2, 0, 1, 1)),
    "two scales": lambda x: F.interpolate(x, scale_factor=(1.5, 1.53), mode="bilinear"),
    "a wide map": lambda x: F.interpolate(x, size=(13, 17), mode="bilinear"),
    "turned": lambda x: x.transpose(2, 3),
    "upside down": lambda x: x.flip(2),
    "rolled": lambda x: x.roll(1, 3),
    "rows": lambda x: x * x.mean(2, keepdim=True),
    "a picture": lambda x: x[0].amax(2),
    "no maps": lambda x: x.sum(1).amax(2),
    "a line": lambda x: x.flatten(2),
    "below each other": lambda x: torch.cat([x[:, :, 1:], x[:, :, :1]], 2),
    "row by row": lambda x: x @ x,
    "a first column": lambda x: x + x[:, :, :, :1],
    "along rows": lambda x: x.softmax(2),
    "along columns": lambda x: x.softmax(3),
    "a row": lambda x: F.layer_norm(x, x.shape[3:]),
    "of rows": of_rows,
    "factors": lambda x: torch.linalg.qr(x)[0],
    "six axes": lambda x: x[..., :4, :4].reshape(1, 4, 2, 2, 2, 2).flip(2).mean((4, 5)),
    "written": Held(
        lambda x, state: state[..., 2 : 2 + x.shape[2], : x.shape[3]].copy_(x) + state[..., : x.shape[2], :1],
        *(1, 4, 64, 64),
    ),
}
"""Not the same, though the map most often stays square."""


def chain(seed: int) -> tuple[Steps, bool]:
    """Some steps, and whether all are the same to rows and columns."""
    draw = random.Random(seed)
    steps = draw.choices(list(ALIKE.values()), k=draw.randint(1, 4))
    if seed % 2:
        steps.append(draw.choice(list(UNLIKE.values())))
    return Steps(*steps), not seed % 2


def assert_same(graph: Graph) -> None:
    """Every field of a pass, in both readings, by the turned tables and by itself."""
    quick = Fields(graph)
    with mock.patch.object(flow, "symmetric", return_value=False):
        slow = Fields(graph)
        slow._plan.symmetric  # noqa: B018 (asked for while it is replaced)
    for index, call in enumerate(graph.calls):
        for output, value in enumerate(call.outputs):
            for reading in READINGS if value.numel else ():
                ours, theirs = (fields.of(index, output, reading) for fields in (quick, slow))
                for one, other in zip(ours, theirs, strict=True):
                    assert (one.lo == other.lo).all(), call.name
                    assert (one.hi == other.hi).all(), call.name
                    assert (one.axis, one.law, one.unsure) == (other.axis, other.law, other.unsure), call.name
    for name, axis in quick.axes:
        assert quick.unread(name, axis) == slow.unread(name, axis)


@pytest.mark.parametrize("seed", range(60))
def test_turned_tables_are_those_found_by_themselves(seed: int) -> None:
    net, alike = chain(seed)
    graph = trace(net, [torch.zeros(1, 4, 13, 13)])
    assert graph.reason is None
    assert mirror.symmetric(graph) is alike
    assert_same(graph)


@pytest.mark.parametrize("name", sorted(ALIKE))
def test_what_is_the_same_to_both_is_known(name: str) -> None:
    graph = trace(Steps(ALIKE[name]), [torch.zeros(1, 4, 13, 13)])
    assert mirror.symmetric(graph)
    assert_same(graph)


@pytest.mark.parametrize("name", sorted(UNLIKE))
def test_what_is_not_the_same_is_found_by_itself(name: str) -> None:
    graph = trace(Steps(ALIKE["residual"], UNLIKE[name]), [torch.zeros(1, 4, 13, 13)])
    assert not mirror.symmetric(graph)


def test_what_is_written_into_a_parameter_depends_on_the_input() -> None:
    net = Held(lambda x, state: state.copy_(x).mean(3), 1, 4, 13, 13)
    graph = trace(net, [torch.zeros(1, 4, 13, 13)])
    assert not mirror.symmetric(graph)
    assert [field.interval((0, 0, 5)) for field in Fields(graph).of(1)] == [range(5, 6), range(13)]


@pytest.mark.parametrize("shape", [(1, 4, 13, 12), (2, 13, 13), (1, 2, 13, 13, 13)])
def test_inputs_that_are_no_square_pictures_are_found_by_themselves(shape: tuple[int, ...]) -> None:
    assert not mirror.symmetric(trace(nn.ReLU(), [torch.zeros(shape)]))


@pytest.mark.parametrize(
    "name", ["densenet121", "efficientnet_b0", "mobilenet_v2", "resnet50", "unet_bilinear"]
)
def test_the_networks_in_use_save_half_of_the_work(name: str) -> None:
    with torch.device("meta"):
        net = getattr(zoo, name)()
    assert mirror.symmetric(trace(net, [torch.zeros(1, 3, 64, 64)]))


def test_a_network_in_use_is_told_the_same_either_way() -> None:
    with torch.device("meta"):
        net = zoo.efficientnet_b0()
    assert_same(trace(net, [torch.zeros(1, 3, 64, 64)]))
