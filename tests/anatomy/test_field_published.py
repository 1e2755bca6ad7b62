"""Receptive fields of networks built to their plans, equal to the published ones."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from anatomy import zoo
from torch import nn

from cnnatomy.anatomy.field import Fields, Law
from cnnatomy.anatomy.record.tracing import trace


def end(make: Callable[[], nn.Module], size: int, axis: int = 0) -> tuple[Law, Fields]:
    """The local law of the last feature map that has one."""
    with torch.device("meta"):
        net = make()
    graph = trace(net, [torch.zeros(1, 3, size, size, device="meta")])
    fields, found = Fields(graph), None
    for index, call in enumerate(graph.calls):
        if call.outputs and len(call.outputs[0].shape) == 4 and call.outputs[0].shape[2] > 1:
            law = fields.of(index, reading="local")[axis].law
            found = law if law.kind == "periodic" else found
    assert found is not None
    return found, fields


@pytest.mark.parametrize(
    ("name", "size", "jump"),
    [
        ("alexnet", 195, 32),
        ("vgg16", 212, 32),
        ("resnet50", 427, 32),  # strides in the 3x3 convolutions, as torchvision's
        ("densenet121", 2071, 32),
        ("inception_v3", 1311, 32),
        ("mobilenet_v1", 315, 32),
        ("mobilenet_v2", 491, 32),
        ("efficientnet_b0", 851, 32),
    ],
)
def test_published_sizes(name: str, size: int, jump: int) -> None:
    """Araujo, Norris and Sim, Distill 2019, table 1 and their code's README."""
    law, _ = end(getattr(zoo, name), 224)
    assert (law.size, law.jump) == (size, Fraction(jump))


def test_vgg_starts_in_the_padding() -> None:
    assert end(zoo.vgg16, 224)[0].start == -90


def test_resnet_with_strides_first_sees_483() -> None:
    """The placement of He et al. 2016, in which the tables of TF-slim were made."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stages = [nn.Conv2d(3, 4, 7, 2, 3), nn.MaxPool2d(3, 2, 1)]
            for count, stride in ((3, 2), (4, 2), (6, 2), (3, 1)):  # slim strides at the end of a stage
                for block in range(count):
                    step = stride if block == count - 1 else 1
                    stages.append(nn.Conv2d(4, 4, 3, step, 1))
            self.stages = nn.Sequential(*stages)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.stages(x)
            return y

    assert end(First, 224)[0].size == 483


def test_transposed_unet_sees_188_or_204_by_phase() -> None:
    law, _ = end(zoo.unet_transposed, 64)
    assert (law.period, law.jump, set(law.sizes)) == (16, Fraction(1), {188, 204})


def test_bottom_rows_that_inception_never_reads() -> None:
    _, fields = end(zoo.inception_v3, 225)
    assert [fields.unread(*at) for at in fields.axes] == [(range(221, 225),)] * 2
