"""`explain` at the limits: tiny and huge numbers, gradients that are not finite, what is too large."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from explain.cases import numbers
from explain.test_lies import lied
from torch import Tensor, nn

import cnnatomy as ca
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.record_checks import Disagreement

Record = dict[str, Any]
TINY = 1e-20


def drawn(seed: int, shape: tuple[int, ...], positive: bool = False) -> Tensor:
    """In single precision, which is the first to lose digits."""
    return numbers(seed, shape, "normal", positive).float()


@pytest.mark.parametrize(
    "name", ["max", "mean", "soft", "l2", "lp", "gem", "median", "logsumexp", "stochastic"]
)
@pytest.mark.parametrize("size", [TINY, 1e15])
def test_a_pooling_agrees_with_itself_at_any_size(name: str, size: float) -> None:
    ca.explain(ca.pool, size * drawn(3, (1, 1, 6, 6), positive=True), reducer=name, region=ca.Sliding(2))


def test_powers_that_underflow_are_held_to_the_digits_they_have() -> None:
    ca.explain(nn.LPPool2d(2, 2), TINY * drawn(3, (1, 1, 6, 6), positive=True))


@pytest.mark.parametrize("size", [1.0, 1e4, 1e30])
def test_importance_agrees_beside_huge_logits(size: float) -> None:
    x, logits = drawn(1, (1, 1, 6, 6)), drawn(2, (1, 1, 6, 6))
    ca.explain(ca.pool, x, reducer="importance", region=ca.Sliding(2), logits=size * logits)


def value(record: Record) -> None:
    record["taps"]["value"][1] *= 1.5


def result(record: Record) -> None:
    record["tensors"]["y"]["values"][0] *= 1.5


def partial(record: Record) -> None:
    """The first that is not 0."""
    partials = record["taps"]["partial"]
    partials[next(k for k, one in enumerate(partials) if one)] *= 1.01


@pytest.mark.parametrize("name", ["mean", "soft", "logsumexp", "l2"])
@pytest.mark.parametrize("lie", [value, result, partial])
def test_lies_about_tiny_numbers_are_found(name: str, lie: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lied(monkeypatch, lie)
    with pytest.raises(Disagreement):
        ca.explain(ca.pool, TINY * drawn(3, (1, 1, 4, 4), positive=True), reducer=name, region=ca.Sliding(2))


def slope(record: Record) -> None:
    record["taps"]["partial_logits"][0] += 1e-3


def test_a_lie_about_the_slope_of_huge_logits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    x, logits = drawn(1, (1, 1, 4, 4)), 1e4 * drawn(2, (1, 1, 4, 4))
    lied(monkeypatch, slope)
    with pytest.raises(Disagreement):
        ca.explain(ca.pool, x, reducer="importance", region=ca.Sliding(2), logits=logits)


@pytest.mark.parametrize("grad", [math.nan, math.inf])
@pytest.mark.parametrize("what", [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(1, 1, 2)])
def test_gradients_that_are_not_finite_go_where_the_operator_sends_them(what: nn.Module, grad: float) -> None:
    x = drawn(5, (1, 1, 4, 4))
    made = ca.explain(what, x, grad=grad)
    own = x.clone().requires_grad_()
    y = what(own)
    y.backward(torch.full_like(y, grad))
    assert own.grad is not None
    found = torch.tensor([float(one) for one in made.record["tensors"]["grad_x"]["values"]])
    torch.testing.assert_close(found, own.grad.reshape(-1), equal_nan=True)


@pytest.mark.parametrize(
    "what",
    [
        nn.Upsample(scale_factor=20_000),
        nn.ZeroPad2d(60_000),
        nn.ConvTranspose2d(1, 1, 3, stride=30_000),
        ca.nn.Pad2d(50_000),
        nn.Conv2d(1, 1, 1, padding=60_000),
    ],
)
def test_planes_of_billions_are_refused_before_they_are_computed(what: nn.Module) -> None:
    with pytest.raises(ArgumentError, match="too large to be explained"):
        ca.explain(what, torch.zeros(1, 1, 9, 9))


def test_a_layer_that_does_not_take_x_says_so_in_a_line() -> None:
    x = torch.zeros(1, 1, 6, 6)
    conv = nn.Conv2d(3, 2, 3)
    for what, layer in ((conv, None), (nn.Sequential(conv, nn.ReLU()), "1")):
        with pytest.raises(ArgumentError, match=r"expected input.* to have 3 channels") as raised:
            ca.explain(what, x, layer=layer)
        assert "\n" not in str(raised.value)


def test_a_network_takes_a_picture_without_a_batch() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    x = drawn(6, (1, 6, 6))
    one, batch = (ca.explain(net, given, layer="0").record for given in (x, x[None]))
    assert one["network"] == batch["network"]
    assert one["tensors"] == batch["tensors"]
    assert [field["cells"] for field in one["network"]["field"]] == [[1, 3], [1, 3]]


@pytest.mark.parametrize("mode", ["mean", "maximum", "median", "linear_ramp"])
def test_padding_by_statistics_is_explained_on_planes_that_are_not_shown_whole(mode: str) -> None:
    x = drawn(7, (1, 1, 40, 300))
    made = ca.explain(ca.pad, x, (0, 0), widths=((2, 2), (2, 2)), mode=mode).record
    assert made["tensors"]["y"]["shape"] != made["tensors"]["y"]["whole"]
    y = ca.pad(x, ((2, 2), (2, 2)), mode, axes=(2, 3))[0, 0]
    (top, left), (height, width) = made["tensors"]["y"]["start"], made["tensors"]["y"]["shape"]
    shown = y[top : top + height, left : left + width].reshape(-1)
    torch.testing.assert_close(torch.tensor(made["tensors"]["y"]["values"]), shown)


@pytest.mark.parametrize("ending", [".svg", ".html"])
def test_what_is_too_large_to_be_drawn_is_refused(ending: str, tmp_path: Path) -> None:
    made = ca.explain(nn.AvgPool2d(2), torch.zeros(1, 1, 300, 300))
    with pytest.raises(ArgumentError, match="too large to be shown"):
        made.save(tmp_path / f"explanation{ending}")
    assert not list(tmp_path.iterdir())


def test_a_channel_is_asked_for_without_a_place() -> None:
    net, x = nn.Sequential(nn.Conv2d(1, 3, 3)), drawn(8, (1, 1, 6, 6))
    assert ca.explain(net[0], x, channel=2).record["plane"] == {"image": 0, "channel": 2}
    assert ca.explain(net, x, layer="0", channel=2).record["at"] == [1, 1]
    with pytest.raises(ArgumentError, match="given twice"):
        ca.explain(net[0], x, (1, 0, 0), channel=2)
    with pytest.raises(ArgumentError, match="has no channel 3"):
        ca.explain(net[0], x, channel=3)


@pytest.mark.parametrize("at", ["a", ("a", "b"), 1.5, (0, -1)])
def test_places_are_whole_numbers(at: Any) -> None:
    with pytest.raises(ArgumentError, match="expected whole numbers"):
        ca.explain(nn.MaxPool2d(2), torch.zeros(1, 1, 4, 4), at)


def test_layers_and_units_are_refused_in_words_of_our_own() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3))
    known = ca.anatomy(net, (1, 6, 6))
    with pytest.raises(ArgumentError, match="which layer: expected its path"):
        known[0]  # type: ignore[index]
    with pytest.raises(ArgumentError, match="which layer: expected its path"):
        ca.explain(net, torch.zeros(1, 1, 6, 6), layer=0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no unit"):
        known["0"].field.at("a")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"try input_size=\(1, 6, 6\), without the batch"):
        ca.anatomy(net, (8, 1, 6, 6))
