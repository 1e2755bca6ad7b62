"""The classics have their papers' counts, and LeNet-5 in notation is the class."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from cnnatomy.models import ENTRIES, Entry, build, find, network
from cnnatomy.models.lenet import LeNet5
from cnnatomy.notation import parse

PUBLISHED = {
    "lenet5": 60_000, "alexnet": 60_965_224, "alexnet-owt": 61_100_840, "vgg11": 132_863_336,
    "vgg11-lrn": 132_863_336, "vgg13": 133_047_848, "vgg16-c": 133_638_952, "vgg16": 138_357_544,
    "vgg19": 143_667_240, "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032,
    "googlenet-bn": 6_624_904, "googlenet": 6_998_552, "nin": 966_986, "allconv": 1_369_738,
}  # fmt: skip


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_has_the_published_count_and_prints_as_what_builds_the_same(entry: Entry) -> None:
    model = network(entry.name, device="meta")
    assert count(model) == entry.parameters == PUBLISHED.get(entry.name, entry.parameters)
    spec = parse(entry.notation)
    assert parse(str(spec)) == spec
    assert model.input_shape == entry.input_shape
    again = network(model.explicit, input_size=entry.input_shape, device="meta").state_dict()
    assert {n: t.shape for n, t in again.items()} == {n: t.shape for n, t in model.state_dict().items()}


def test_vgg_in_millions_as_table_2_says() -> None:
    millions = [
        round(PUBLISHED[n] / 1e6) for n in ("vgg11", "vgg11-lrn", "vgg13", "vgg16-c", "vgg16", "vgg19")
    ]
    assert millions == [133, 133, 133, 134, 138, 144]


def test_the_first_dense_layer_of_vgg_16() -> None:
    first = network("vgg16", device="meta").classifier[0]
    assert first.in_features == 25_088
    assert count(first) == 102_764_544


def test_the_pattern_of_courses_can_say_vgg_16() -> None:
    text = (
        "[[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC with N=2,2,3,3,3 M=5 K=2 "
        "maps=64,128,256,512,512 units=4096 classes=1000"
    )
    assert count(network(text, input_size=(3, 224, 224), device="meta")) == 138_357_544


def test_segnet_and_unet_by_hand() -> None:
    def conv(k: int, i: int, o: int, bias: bool) -> int:
        return k * k * i * o + o * (1 if bias else 2)  # without a bias, batch normalisation has two

    ways = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)]
    ways += [(512, 512)] * 2 + [(512, 512)] * 3
    back = [(o, i) for i, o in reversed(ways[1:])]
    assert sum(conv(3, *way, bias=False) for way in ways + back) + conv(3, 64, 12, True) == 29_441_996
    unet, below = 0, 1
    for n in (64, 128, 256, 512, 1024):
        unet += conv(3, below, n, True) + conv(3, n, n, True)
        below = n
    for n in (512, 256, 128, 64):
        unet += conv(2, 2 * n, n, True) + conv(3, 2 * n, n, True) + conv(3, n, n, True)
    assert unet + conv(1, 64, 2, True) == 31_030_658
    assert network("unet", device="meta").shape == (2, 388, 388), "the paper's output"


def test_lenet5_in_notation_is_the_class() -> None:
    torch.manual_seed(2)
    written, made = network("lenet5").eval(), network(find("lenet5").notation).eval()
    assert [name for name, _ in written.named_children()][:6] == ["c1", "s2", "c3", "s4", "c5", "f6"]
    assert [type(one) for one in (written, build("lenet5", classes=10))] == [LeNet5, LeNet5]
    made.load_state_dict(dict(zip(made.state_dict(), written.state_dict().values(), strict=True)))
    x, labels = torch.randn(4, 1, 32, 32), torch.arange(4)
    torch.testing.assert_close(made(x), written(x))
    torch.testing.assert_close(made.loss(made(x), labels), written.loss(written(x), labels))


def test_resnets_lie_in_torchvisions_order() -> None:
    shapes = [tuple(t.shape) for n, t in network("resnet18", device="meta").named_parameters()]

    def bn(n: int) -> list[tuple[int, ...]]:
        return [(n,), (n,)]

    want: list[tuple[int, ...]] = [(64, 3, 7, 7), *bn(64)] + [(64, 64, 3, 3), *bn(64)] * 4
    for n in (128, 256, 512):
        want += [(n, n // 2, 3, 3), *bn(n), (n, n, 3, 3), *bn(n), (n, n // 2, 1, 1), *bn(n)]
        want += [(n, n, 3, 3), *bn(n)] * 2
    assert shapes == [*want, (1000, 512), (1000,)]


def test_other_classes_and_poolings_on_request() -> None:
    assert network("resnet18", classes=7, device="meta").shape == (7,)
    assert network("nin", classes=3, device="meta").shape == (3,)
    swapped = network("vgg16", pool="soft", device="meta")
    assert sum("Soft" in str(getattr(m, "reducer", "")) for m in swapped.modules()) == 5


def test_the_catalog_and_its_texts_need_no_torch() -> None:
    code = (
        "import sys; from cnnatomy.models.model_catalog import ENTRIES, find; find('conv3-8 FC-2');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
