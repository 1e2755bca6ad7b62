"""Attribution equals captum's, and formulas of one's own in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import grad_cam, integrated_gradients, occlusion, saliency

CLOSE: dict[str, Any] = {"rtol": 0.0, "atol": 1e-5}


def net(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8 * 5 * 4, 5),
    )
    return layers.to(dtype).train()  # each function must evaluate, and leave the mode alone


def picture(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(3, 14, 12, generator=torch.Generator().manual_seed(1), dtype=dtype)


def captum() -> tuple[Any, nn.Sequential]:
    found = pytest.importorskip("captum.attr", reason="the test extra has it")
    model = net().eval()
    model[2] = nn.ReLU()  # captum's hooks keep what a layer in place overwrites
    return found, model


@pytest.mark.parametrize("target", [0, 4])
def test_saliency_and_integrated_gradients_equal_captum(target: int) -> None:
    attr, model = captum()
    x = picture()
    theirs = attr.Saliency(model).attribute(x[None].requires_grad_(), target=target)[0]
    torch.testing.assert_close(saliency(net(), x.detach(), target), theirs, **CLOSE)
    baseline = torch.full_like(x, 0.25)
    path = attr.IntegratedGradients(model).attribute(x[None], baseline[None], target=target, n_steps=70)[0]
    ours = integrated_gradients(net(), x.detach(), target, baseline=0.25, steps=70)
    torch.testing.assert_close(ours, path.float().detach(), **CLOSE)


@pytest.mark.parametrize("layer", ["0", "3", "5"])
def test_grad_cam_equals_captum(layer: str) -> None:
    attr, model = captum()
    cam = attr.LayerGradCam(model, model[int(layer)])
    theirs = cam.attribute(picture()[None], target=1, relu_attributions=True)[0, 0]
    torch.testing.assert_close(grad_cam(net(), picture(), 1, layer), theirs.detach(), **CLOSE)


@pytest.mark.parametrize(("patch", "stride"), [(1, 1), (4, 3), (5, 2), (3, 3), (12, 5)])
def test_occlusion_equals_captum(patch: int, stride: int) -> None:
    attr, model = captum()
    theirs = attr.Occlusion(model).attribute(
        picture()[None], (3, patch, patch), (3, stride, stride), baselines=0.5, target=2
    )[0, 0]
    ours = occlusion(net(), picture(), 2, patch=patch, stride=stride, value=0.5)
    torch.testing.assert_close(ours, theirs.to(ours.dtype), **CLOSE)


def test_saliency_is_the_difference_quotient() -> None:
    model, x = net(torch.float64).eval(), picture(torch.float64)
    for at in [(0, 0, 0), (1, 7, 5), (2, 13, 11)]:
        step = torch.zeros_like(x)
        step[at] = 1e-6
        quotient = (model((x + step)[None]) - model((x - step)[None]))[0, 3] / 2e-6
        torch.testing.assert_close(saliency(model, x, 3)[at], quotient.abs().detach(), rtol=1e-6, atol=1e-8)


def test_integrated_gradients_sum_to_the_difference_of_the_scores() -> None:
    smooth = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 12 * 10, 5)).double()
    x, base = picture(torch.float64), torch.rand(3, 14, 12, dtype=torch.float64)
    parts = integrated_gradients(smooth, x, 2, baseline=base, steps=60)
    whole = (smooth(x[None]) - smooth(base[None]))[0, 2].detach()
    torch.testing.assert_close(parts.sum(), whole, rtol=0, atol=1e-9)


def test_occlusion_is_the_mean_over_what_covers_a_pixel() -> None:
    model, x = net(torch.float64).eval(), picture(torch.float64)
    lost, times = torch.zeros(14, 12, dtype=torch.float64), torch.zeros(14, 12)
    with torch.no_grad():
        for y in range(0, 14 - 5 + 3, 3):
            for x0 in range(0, 12 - 5 + 3, 3):
                covered = x.clone()
                covered[:, y : y + 5, x0 : x0 + 5] = 0
                lost[y : y + 5, x0 : x0 + 5] += (model(x[None]) - model(covered[None]))[0, 1]
                times[y : y + 5, x0 : x0 + 5] += 1
    torch.testing.assert_close(occlusion(model, x, 1, patch=5, stride=3), lost / times)


def test_grad_cam_of_a_pooled_network_is_its_linear_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).double()
    maps = model[0](picture(torch.float64)[None])[0].detach()
    weights = model[3].weight[1].detach() / maps[0].numel()  # type: ignore[index]
    wanted = torch.einsum("c,cyx->yx", weights, maps).relu()
    torch.testing.assert_close(grad_cam(model, picture(torch.float64), 1, "0"), wanted)


def test_the_network_is_left_as_it_was() -> None:
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for made in (saliency(model, picture(), 0), grad_cam(model, picture(), 0, "4")):
        assert not made.requires_grad
    assert all(one.training for one in model.modules())
    assert all(one.grad is None for one in model.parameters())
    assert not any(one._forward_hooks for one in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: saliency(net(), picture()[None], 0), "expected floats (C, H, W)"),
        (lambda: saliency(net(), picture(), 5), "target 5 does not exist"),
        (lambda: saliency(net(), picture(), "cat"), "no such class"),
        (lambda: grad_cam(net(), picture(), 0, "9"), "no layer is called '9'"),
        (lambda: grad_cam(net(), picture(), 0, "8"), "returns no maps"),
        (lambda: occlusion(net(), picture(), 0, patch=13), "patch"),
        (lambda: occlusion(net(), picture(), 0, stride=6), "stride"),
        (lambda: integrated_gradients(net(), picture(), 0, baseline=torch.zeros(2, 14, 12)), "baseline"),
        (lambda: saliency(nn.Conv2d(3, 1, 3), picture(), 0), "gives no scores"),
    ],
)
def test_what_means_nothing_is_said(call: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said.replace("(", r"\(").replace(")", r"\)")):
        call()
