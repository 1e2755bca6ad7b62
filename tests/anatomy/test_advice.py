"""Every remark on a network with the fault, none on one without it, and what is said of known networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from anatomy import zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import cnnatomy.nn as own
from cnnatomy.anatomy.ask.advice import RULES, Advice, advise
from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts
from cnnatomy.anatomy.ask.advice.channels import needed_channels
from cnnatomy.anatomy.measure import anatomy
from cnnatomy.errors import ArgumentError
from cnnatomy.nn.convolution_modules import Conv2d


class Run(nn.Module):
    """A function of layers as a module."""

    def __init__(self, run: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.run(x, **dict(self.named_children()))


def said(net: nn.Module, shape: tuple[int, ...], rule: str, **options: Any) -> list[Advice]:
    """What one rule remarks."""
    facts = Facts(anatomy(net, shape, training=False), **options)
    (asked,) = [one for one in RULES if one.__name__ == rule]
    return list(asked(facts))


def conv(inside: int, out: int, kernel: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inside, out, kernel, **options)


def flat(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


BAD: list[tuple[str, nn.Module, tuple[int, ...], dict[str, Any]]] = [
    ("untiled", nn.MaxPool2d(3), (1, 7, 7), {"n": 7, "lost": 1, "sizes": (6, 9), "strides": (2,)}),
    ("untiled", own.MaxPool2d(3), (1, 8, 8), {"n": 8, "lost": 2}),
    ("blind", conv(1, 1, 1, padding=1), (1, 4, 4), {"outputs": 6, "empty": 2}),
    ("unread", conv(1, 1, 3, stride=3), (1, 8, 8), {"unread": {2: 2, 3: 2}, "sizes": (6, 9)}),
    ("unread", Run(lambda x: torch.zeros(1, 4)), (1, 4, 4), {"unread": {2: 4, 3: 4}}),
    ("idle_taps", conv(2, 3, 3, padding=1), (2, 1, 1), {"taps": 9, "idle": 8, "weights": 48}),
    ("idle_taps", conv(1, 1, 3, padding=6, dilation=6), (1, 5, 5), {"idle": 8}),
    ("pooled_away", nn.MaxPool2d(3, 1, 1), (4, 1, 1), {"kernel": (3, 3)}),
    ("stretched", nn.AdaptiveAvgPool2d(7), (4, 2, 2), {"before": 4, "after": 49}),
    ("unused", Run(lambda x, a, b: a(x), a=conv(1, 2, 3), b=conv(1, 2, 3)), (1, 8, 8), {"parameters": 20}),
    (
        "unused",
        Run(lambda x, a, b: (b(x), a(x))[1], a=conv(1, 2, 3), b=conv(1, 2, 3)),
        (1, 8, 8),
        {"parameters": 20},
    ),
    (
        "dead_channels",
        Run(lambda x, a: a(x)[:, :3].relu(), a=conv(1, 4, 3)),
        (1, 8, 8),
        {"dead": (3,), "weights": 9},
    ),
    ("narrow", flat(nn.Flatten(), nn.Linear(64, 3), nn.ReLU(), nn.Linear(3, 10)), (1, 8, 8), {"features": 3}),
    (
        "narrow",
        flat(conv(4, 4, 4, stride=4), nn.ReLU(), conv(4, 64, 3)),
        (4, 16, 16),
        {"before": 1024, "after": 64},
    ),
    ("skipping", flat(conv(1, 4, 1, stride=2), conv(4, 4, 3)), (1, 16, 16), {"ignored": 0.75}),
    ("skipping", nn.AvgPool2d(2, stride=3), (1, 15, 15), {"ignored": pytest.approx(1 - (10 / 15) ** 2)}),
    ("checkered", nn.ConvTranspose2d(1, 1, 3, 2), (1, 8, 8), {"kernel": 3, "stride": 2}),
    ("drifting", conv(1, 1, 4, padding=2), (1, 8, 8), {"drift": 0.5}),
    ("drifting", own.Conv2d(1, 1, 4, padding="same"), (1, 8, 8), {"drift": 0.5}),
    ("saturated", flat(*(conv(1, 1, 3, padding=1) for _ in range(9))), (1, 5, 5), {"layers": 5}),
    ("padded", conv(1, 1, 5, padding=2), (1, 3, 3), {"share": pytest.approx(1 - (9 / 15) ** 2)}),
    ("wasted_bias", flat(conv(1, 4, 3), nn.BatchNorm2d(4)), (1, 8, 8), {"parameters": 4}),
    ("wasted_bias", flat(nn.Linear(5, 6), nn.BatchNorm1d(6)), (5,), {"parameters": 6}),
    ("heavy", flat(conv(1, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 50)), (1, 8, 8), {"pooled": 450}),
    ("waiting", flat(nn.Flatten(), nn.Linear(4096, 4096)), (1, 64, 64), {"layers": 1}),
]
GOOD: list[tuple[str, nn.Module, tuple[int, ...]]] = [
    ("untiled", nn.MaxPool2d(3), (1, 9, 9)),
    ("untiled", nn.MaxPool2d(3, 2, 1), (1, 112, 112)),  # a padding cell is left over, no cell of the input
    ("untiled", conv(1, 1, 1, stride=2), (1, 8, 8)),  # the gap that a stride leaves anywhere
    ("blind", conv(1, 1, 3, padding=1), (1, 4, 4)),
    ("unread", conv(1, 1, 3, stride=3), (1, 9, 9)),
    ("unread", Run(lambda x, a, b: a(x).mean() + b(x).mean(), a=nn.MaxPool2d(3), b=nn.ReLU()), (1, 8, 8)),
    ("idle_taps", conv(2, 3, 3, padding=1), (2, 2, 2)),  # every tap meets a cell somewhere
    ("pooled_away", nn.AdaptiveAvgPool2d(1), (4, 1, 1)),
    ("stretched", nn.AdaptiveAvgPool2d(7), (4, 7, 7)),
    ("unused", flat(conv(1, 2, 3), nn.BatchNorm2d(2)), (1, 8, 8)),
    ("dead_channels", Run(lambda x, a: torch.cat([*a(x).chunk(2, 1)][::-1], 1), a=conv(1, 4, 3)), (1, 8, 8)),
    ("narrow", flat(nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 10)), (1, 8, 8)),
    ("narrow", Run(lambda x, a: x.mean((2, 3)) + a(x).flatten(1), a=conv(8, 8, 4)), (8, 4, 4)),
    ("narrow", conv(64, 1, 1), (64, 8, 8)),  # the last layer makes what is wanted
    ("narrow", flat(nn.Linear(64, 3), nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8))), (64,)),  # an autoencoder
    ("skipping", flat(conv(1, 4, 2, stride=2)), (1, 16, 16)),
    ("checkered", nn.ConvTranspose2d(1, 1, 4, 2, 1), (1, 8, 8)),
    ("drifting", conv(1, 1, 3, padding=1), (1, 8, 8)),
    ("drifting", nn.MaxPool2d(2), (1, 8, 8)),
    ("drifting", conv(1, 1, 4), (1, 4, 4)),  # a head over the whole map
    ("drifting", conv(1, 1, 2), (1, 8, 8)),  # not meant to keep the size
    ("saturated", flat(*(conv(1, 1, 3, padding=1) for _ in range(9))), (1, 32, 32)),
    ("padded", conv(1, 1, 3, padding=1), (1, 8, 8)),
    ("wasted_bias", flat(conv(1, 4, 3, bias=False), nn.BatchNorm2d(4)), (1, 8, 8)),
    ("wasted_bias", flat(conv(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)), (1, 8, 8)),
    (
        "wasted_bias",
        flat(nn.Linear(3, 36), nn.Unflatten(1, (4, 3, 3)), nn.BatchNorm2d(4)),
        (3,),
    ),  # other means
    ("wasted_bias", flat(nn.Linear(4, 4), nn.BatchNorm1d(4)), (4, 4)),  # the channels are the rows
    ("wasted_bias", Run(lambda x, a, b: b(y := a(x)) + y, a=conv(1, 4, 3), b=nn.BatchNorm2d(4)), (1, 8, 8)),
    ("heavy", flat(nn.Flatten(), nn.Linear(784, 10)), (1, 28, 28)),  # the picture itself is not pooled
    ("heavy", flat(conv(8, 64, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 100)), (8, 8, 8)),
    ("waiting", conv(64, 64, 3, padding=1), (64, 56, 56)),
]


@pytest.mark.parametrize(("rule", "net", "shape", "numbers"), BAD)
def test_a_fault_is_remarked_on_with_its_numbers(
    rule: str, net: nn.Module, shape: tuple[int, ...], numbers: dict[str, Any]
) -> None:
    found = said(net, shape, rule)
    assert len(found) == 1
    assert {name: found[0].numbers[name] for name in numbers} == numbers
    assert all((found[0].what, found[0].why, found[0].remedy))


@pytest.mark.parametrize(("rule", "net", "shape"), GOOD)
def test_without_the_fault_nothing_is_said(rule: str, net: nn.Module, shape: tuple[int, ...]) -> None:
    assert said(net, shape, rule) == []


def test_every_rule_has_a_network_with_the_fault_and_one_without() -> None:
    names = {rule.__name__ for rule in RULES} - {"small", "stopped", "unwired"}  # have tests of their own
    assert names == {rule for rule, *_ in BAD} == {rule for rule, *_ in GOOD}


def test_a_field_below_the_object_is_told_with_the_layers_that_are_missing() -> None:
    net = flat(conv(1, 2, 3), nn.MaxPool2d(2), conv(2, 2, 3))  # 3, 4, 8 cells, jump 2
    (remark,) = said(net, (1, 64, 64), "small", object_size=20)
    assert remark.numbers == {"field": 8, "object": 20, "jump": 2, "layers": 3}
    deeper = flat(*net, *(conv(2, 2, 3) for _ in range(3)))
    assert said(deeper, (1, 64, 64), "small", object_size=20) == []
    assert said(flat(*list(deeper)[:-1]), (1, 64, 64), "small", object_size=20)
    assert said(net, (1, 64, 64), "small") == []


def test_a_pass_that_stops_is_an_error_first() -> None:
    net = Run(lambda x, a: a(x) if a(x).sum() > 0 else x, a=conv(1, 2, 3))
    (first, *_) = advise(anatomy(net, (1, 8, 8)))
    assert (first.level, first.layer) == ("error", "")
    (only,) = advise(anatomy(Run(lambda x, a: float(a(x).sum()), a=conv(8, 64, 3)), (8, 64, 64)))
    assert only.what == first.what  # of what is not reached, nothing is said
    assert said(conv(1, 2, 3), (1, 8, 8), "stopped") == []


def test_an_instance_norm_is_called_so() -> None:
    (remark,) = said(flat(conv(1, 4, 3), nn.InstanceNorm2d(4)), (1, 8, 8), "wasted_bias")
    assert remark.what == "its bias of 4 parameters stands right before an instance norm"


def test_layers_that_wait_are_counted_and_named_once() -> None:
    (remark,) = said(flat(nn.Flatten(), nn.Linear(4096, 4096)), (1, 64, 64), "waiting")
    assert "; it moves 100% of the network's" in remark.what
    (remark,) = said(nn.LSTM(4, 5, 2, batch_first=True), (7, 4), "waiting")
    assert remark.layer not in remark.also


def test_no_input_of_less_than_half_the_size_is_a_remedy() -> None:
    (remark,) = said(conv(1, 1, 1, stride=2), (1, 32, 32), "unread")
    assert (remark.numbers["sizes"], remark.remedy) == ((), "crop it, or pad where windows do not tile")


def test_a_mended_window_is_no_longer_remarked_on() -> None:
    (remark,) = said(nn.AvgPool2d(3), (1, 7, 7), "untiled")
    for size in remark.numbers["sizes"]:
        assert said(nn.AvgPool2d(3), (1, size, size), "untiled") == []
    for stride in remark.numbers["strides"]:
        assert said(nn.AvgPool2d(3, stride), (1, 7, 7), "untiled") == []
    assert said(nn.AvgPool2d(3, padding=1), (1, 7, 7), "untiled") == []


def test_an_axis_of_its_own_is_named() -> None:
    (remark,) = said(nn.MaxPool2d(3), (1, 7, 9), "untiled")
    assert "its height" in remark.what
    (remark,) = said(nn.MaxPool2d(3), (1, 9, 8), "unread")
    assert "no output sees the right 2 of 8 cells" in remark.what
    (remark,) = said(Run(lambda x: x[:, :, 2:]), (1, 8, 8), "unread")
    assert "the top 2 of 8 cells" in remark.what


def test_a_subsampling_that_another_branch_makes_good_is_a_note() -> None:
    both = Run(lambda x, a, b: a(x) + b(x), a=conv(1, 1, 1, stride=2), b=conv(1, 1, 3, stride=2, padding=1))
    assert [one.level for one in said(both, (1, 8, 8), "skipping")] == ["note"]
    assert [one.level for one in said(conv(1, 1, 1, stride=2), (1, 8, 8), "skipping")] == ["warning"]


def test_modules_that_only_training_calls_are_named_once() -> None:
    aux = flat(conv(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(3, 3))
    (remark,) = said(Run(lambda x, a, aux: a(x), a=conv(1, 1, 3), aux=aux), (1, 8, 8), "unused")
    assert (remark.level, remark.layer, remark.numbers["parameters"]) == ("note", "aux", 20 + 4 + 12)


def test_maps_without_connections_are_named() -> None:
    net = Conv2d(3, 2, 3, connections=[[1, 1], [0, 0], [1, 0]])
    (remark,) = said(net, (3, 8, 8), "unwired", model=net)
    assert (remark.numbers["kind"], remark.numbers["maps"]) == ("input", (1,))
    full = Conv2d(3, 2, 3, connections=[[1, 1], [0, 1], [1, 0]])
    assert said(full, (3, 8, 8), "unwired", model=full) == []
    assert said(net, (3, 8, 8), "unwired") == []


@settings(max_examples=25)
@given(data=st.data())
def test_dead_channels_are_those_without_a_gradient(data: st.DataObject) -> None:
    width = data.draw(st.sampled_from((2, 4, 6)))
    first, second = conv(2, width, 1), conv(width, width, 1, groups=data.draw(st.sampled_from((1, 2, width))))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, width - 1), st.integers(1, width))))
    stop, turn = max(stop, start + 1), data.draw(st.booleans())

    def run(x: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
        y = F.avg_pool2d(second(first(x)).abs(), 2)
        left, right = torch.split(y, [1, width - 1], 1)
        y = torch.cat([right, left] if turn else [left, right], 1)
        return y[:, start:stop].mean((2, 3))

    net = Run(run, first=first, second=second)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    kept: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _m, _a, y: kept.append(y)) for layer in (first, second)]
    out = net(torch.ones(1, 2, 4, 4))
    truth = [grad.ne(0).any(-1).any(-1)[0].tolist() for grad in torch.autograd.grad(out.sum(), kept)]
    for hook in hooks:
        hook.remove()
    found = [mask.tolist() for _, mask in needed_channels(Facts(anatomy(net, (2, 4, 4), training=False)))]
    assert found == truth


def test_channels_written_into_a_buffer_are_alive() -> None:
    def run(x: Tensor, a: nn.Module) -> Tensor:
        kept = torch.zeros(1, 8, 6, 6)
        kept[:, :4] = a(x)
        return kept.relu()

    assert said(Run(run, a=conv(1, 4, 3)), (1, 8, 8), "dead_channels") == []


KNOWN: dict[str, list[tuple[str, str]]] = {
    "vgg16": [("note", "classifier.0"), ("note", "classifier.0")],
    "resnet50": [("note", "layer2.0.downsample.0")],
    "mobilenet_v2": [],
    "unet_transposed": [],
    "alexnet": [("note", "classifier.1"), ("note", "classifier.1")],
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks_are_remarked_on_as_an_expert_would(name: str) -> None:
    with torch.device("meta"):
        net = getattr(zoo, name)()
    found = advise(anatomy(net, (3, 224, 224), training=False))
    assert [(one.level, one.layer) for one in found] == KNOWN[name]


def test_inception_on_225_cells_is_told_to_take_227() -> None:
    with torch.device("meta"):
        net = zoo.inception_v3(aux=False)
    first = advise(anatomy(net, (3, 225, 225), training=False))[0]
    assert first.what == "no output sees the bottom/right 4 of 225 cells of input '0'"
    assert first.remedy == "inputs of 221 or 227 are read in full"


def test_deep_networks_on_small_pictures_are_told_what_is_wasted() -> None:
    with torch.device("meta"):
        nets = zoo.resnet50(), zoo.vgg16()
    resnet, vgg = (advise(anatomy(net, (3, 32, 32), training=False)) for net in nets)
    assert [one.layer for one in resnet if "only ever meet padding" in one.what] == [
        "layer4.0.conv2",
        "layer4.1.conv2",
    ]
    assert any("sees the whole input already" in one.what for one in resnet)
    assert any("7×7 of 1×1" in one.what for one in vgg)


def test_the_same_remark_is_made_once_and_the_gravest_come_first() -> None:
    net = flat(*(layer for _ in range(3) for layer in (conv(1, 1, 3), nn.BatchNorm2d(1))), nn.MaxPool2d(3))
    found = advise(anatomy(net, (1, 14, 14), training=False))
    assert [one.level for one in found] == sorted(
        (one.level for one in found), key=["error", "warning", "note"].index
    )
    (bias,) = [one for one in found if one.remedy == "bias=False"]
    assert (bias.layer, bias.also) == ("0", ("2", "4"))


def test_what_has_no_recorded_pass_cannot_be_advised_on() -> None:
    with pytest.raises(ArgumentError, match="no recorded pass"):
        advise(replace(anatomy(conv(1, 1, 3), (1, 8, 8), training=False), graph=None))
    with pytest.raises(ArgumentError, match="object_size"):
        advise(anatomy(conv(1, 1, 3), (1, 8, 8), training=False), object_size=0)
