"""The networks that other tests measure are the published ones: parameters, work, outputs."""

from __future__ import annotations

import pytest
import torch
from anatomy import zoo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

PUBLISHED = {
    "alexnet": (61_100_840, 0.71),
    "vgg16": (138_357_544, 15.47),
    "resnet50": (25_557_032, 4.09),
    "densenet121": (7_978_856, 2.83),
    "inception_v3": (27_161_264, 5.71),
    "googlenet": (13_004_888, 1.50),
    "mobilenet_v1": (4_231_976, 0.569),
    "mobilenet_v2": (3_504_872, 0.30),
    "efficientnet_b0": (5_288_548, 0.39),
    "vit_b_16": (86_567_656, 17.56),
    "swin_t": (28_288_354, 4.49),
    "convnext_tiny": (28_589_128, 4.46),
}
"""Parameters, and billions of multiply-accumulates at the published size, as torchvision lists them;
MobileNet as in table 4 of its paper."""


def built(name: str) -> nn.Module:
    with torch.device("meta"):
        model: nn.Module = getattr(zoo, name)()
    return model.eval()


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_and_work_are_as_published(name: str) -> None:
    model, (parameters, billions) = built(name), PUBLISHED[name]
    assert sum(p.numel() for p in model.parameters()) == parameters
    size = 299 if name == "inception_v3" else 224
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        scores = model(torch.empty(1, 3, size, size, device="meta"))
    assert scores.shape == (1, 1000)
    places = 3 if name == "mobilenet_v1" else 2
    assert round(counter.get_total_flops() / 2e9, places) == billions


@pytest.mark.parametrize(("name", "parameters"), [("inception_v3", 23_834_568), ("googlenet", 6_624_904)])
def test_auxiliary_classifiers_can_be_left_out(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = getattr(zoo, name)(aux=False)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", ["unet_transposed", "unet_bilinear"])
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_a_unet_scores_every_pixel_of_any_size(name: str, size: tuple[int, int]) -> None:
    scores = built(name)(torch.empty(1, 3, *size, device="meta"))
    assert scores.shape == (1, 2, *size)


def test_the_others_return_what_they_should() -> None:
    picture = torch.empty(1, 3, 97, 81, device="meta")
    assert built("deeplab")(picture)["out"].shape == (1, 21, 97, 81)
    assert built("nfnet")(picture).shape == (1, 1000)


@pytest.mark.parametrize("name", ["mobilenet_v2", "nfnet"])
def test_a_built_network_runs_on_numbers(name: str) -> None:
    with torch.no_grad():
        scores = getattr(zoo, name)(classes=5).eval()(torch.randn(2, 3, 64, 64))
    assert scores.shape == (2, 5)
    assert scores.isfinite().all()
