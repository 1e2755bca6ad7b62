"""Weights in the formats of torchvision, timm and transformers: the same input gives the same logits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anatomy import zoo
from hypothesis import given
from hypothesis import strategies as st
from models.weights_replicas import TimmVGG, TransformersResNet, as_before, shaken
from safetensors.torch import save_file
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.models import network
from cnnatomy.models.weights import WeightsError, find_head, load_into, load_weights
from cnnatomy.models.weights.library_names import canonical

SMALL_VGG: dict[str, Any] = {"repeats": (1, 1, 2, 1, 1), "width": 4, "classes": 12}
SMALL_RESNET: dict[str, Any] = {"repeats": (2, 1, 2, 1), "width": 4, "classes": 12}
Maker = Callable[..., nn.Module]


def make(what: Maker, seed: int = 0, **options: Any) -> nn.Module:
    return shaken(what(**options), seed)


def same_logits(one: nn.Module, other: nn.Module, side: int = 64) -> None:
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, actual = one(x), other(x)
    assert expected.std() > 1e-3, "logits that are all alike would show nothing"
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def unchanged(model: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


FORMATS: list[tuple[str, Maker, Maker, dict[str, Any], str]] = [
    ("torchvision VGG", zoo.vgg16, zoo.vgg16, SMALL_VGG, "by name"),
    ("timm VGG", TimmVGG, zoo.vgg16, SMALL_VGG, "by the names of timm (VGG)"),
    ("VGG for timm", zoo.vgg16, TimmVGG, SMALL_VGG, "by the names of timm (VGG)"),
    ("torchvision ResNet", zoo.resnet50, zoo.resnet50, SMALL_RESNET, "by name"),
    (
        "transformers ResNet",
        TransformersResNet,
        zoo.resnet50,
        SMALL_RESNET,
        "by the names of transformers (ResNet)",
    ),
    (
        "ResNet for transformers",
        zoo.resnet50,
        TransformersResNet,
        SMALL_RESNET,
        "by the names of transformers (ResNet)",
    ),
]


CASES = [
    pytest.param(*row[1:], kind, id=f"{row[0]} as {kind}", marks=() if (i + j) % 4 == 0 else pytest.mark.slow)
    for i, row in enumerate(FORMATS)
    for j, kind in enumerate(["safetensors", "torch", "legacy torch", "dictionary"])
]


@pytest.mark.parametrize(("theirs", "ours", "options", "way", "kind"), CASES)
def test_small_networks_give_the_same_logits(
    theirs: Maker, ours: Maker, options: dict[str, Any], way: str, kind: str, tmp_path: Path
) -> None:
    original, network = make(theirs, **options), make(ours, seed=1, **options)
    state: Any = tensors(original)
    source: Any = tmp_path / "weights.bin"
    if kind == "safetensors":
        save_file(state, source)
    elif kind == "dictionary":
        source = state
    else:
        torch.save(state, source, _use_new_zipfile_serialization=kind == "torch")
    report = load_weights(network, source)
    assert report.way == way
    assert report.loaded == len(network.state_dict())
    assert report.missing == report.unexpected == report.unfit == ()
    same_logits(original, network, 224 if TimmVGG in (theirs, ours) else 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (zoo.vgg16, zoo.vgg16),
        (TimmVGG, zoo.vgg16),
        (zoo.resnet50, zoo.resnet50),
        (TransformersResNet, zoo.resnet50),
        (zoo.alexnet, zoo.alexnet),
        (zoo.densenet121, zoo.densenet121),
    ],
)
def test_full_networks_give_the_same_logits(theirs: Maker, ours: Maker, tmp_path: Path) -> None:
    original, network = make(theirs), make(ours, seed=1)
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    assert load_weights(network, tmp_path / "weights.pth").loaded == len(network.state_dict())
    same_logits(original, network, 224)


def in_notation(repeats: tuple[int, ...], width: int, classes: int) -> str:
    """The bottleneck ResNet of the zoo as a line of text."""
    blocks = []
    for i, count in enumerate(repeats):
        n = width * 2**i
        for j in range(count):
            down = " s2 p1" if i and j == 0 else ""
            short = f" | conv1-{4 * n}{' s2' if i else ''} bn" if j == 0 else ""
            blocks.append(f"res(conv1-{n} bn conv3-{n}{down} bn conv1-{4 * n} bn{short})")
    stem = f"conv7-{width} s2 p3 bn maxpool3s2 p1"
    return f"{stem} {' '.join(blocks)} globalavg FC-{classes} soft-max"


@pytest.mark.parametrize("theirs", [zoo.resnet50, TransformersResNet])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_resnet_in_notation_reads_every_format_and_gives_the_same_logits(
    theirs: Maker, ordered: bool
) -> None:
    original = make(theirs, **SMALL_RESNET)
    given = tensors(original)
    given = given if ordered else {name: given[name] for name in sorted(given)}
    model = network(in_notation(**SMALL_RESNET), input_size=(3, 64, 64), weights=given).eval()
    same_logits(original, model)
    back = make(zoo.resnet50, seed=2, **SMALL_RESNET)
    assert "notation (ResNet)" in load_weights(back, tensors(model)).way
    same_logits(original, back)


@pytest.mark.parametrize("name", ["vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "googlenet-bn"])
def test_the_classics_have_torchvisions_names_by_the_rules(name: str) -> None:
    model = network(name, device="meta")
    found, _ = canonical(model.state_dict())
    makers: dict[str, Maker] = {"vgg16": zoo.vgg16, "resnet50": zoo.resnet50, "googlenet-bn": zoo.googlenet}
    if name in makers:
        with torch.device("meta"):
            theirs = makers[name](aux=False) if name == "googlenet-bn" else makers[name]()
        assert {n: t.shape for n, t in theirs.state_dict().items()} == {
            n: model.state_dict()[found[n]].shape for n in found
        }
    known = r"(features|classifier)\.\d+|conv\d(\.conv|\.bn)?|bn1|fc|inception\d[a-e]\.branch.*"
    known += r"|layer\d\.\d+\.(conv\d|bn\d|downsample\.[01])"
    assert [n for n in found if not re.fullmatch(known, n.rpartition(".")[0])] == []
    if name.startswith("resnet"):
        counts = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}[name]
        blocks = {tuple(n.split(".")[:2]) for n in found if n.startswith("layer")}
        assert blocks == {(f"layer{i}", str(j)) for i, count in enumerate(counts, 1) for j in range(count)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("vgg16", zoo.vgg16),
        ("vgg16", TimmVGG),
        ("resnet50", zoo.resnet50),
        ("resnet50", TransformersResNet),
        ("googlenet-bn", zoo.googlenet),
        ("alexnet-owt", zoo.alexnet),
    ],
)
def test_the_classics_give_the_logits_of_the_original(name: str, theirs: Maker, tmp_path: Path) -> None:
    original = make(theirs)
    save_file(tensors(original), tmp_path / "weights.safetensors")
    model = network(name, weights=tmp_path / "weights.safetensors").eval()
    same_logits(original, model, 224)


def test_a_network_that_is_not_built_yet_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"no tensors yet.*input_size="):
        network("conv3-8 globalavg FC-2", weights={"a": torch.zeros(1)})


def test_weights_for_other_classes_are_taken_only_where_classes_are_asked_for() -> None:
    text = "INPUT 3x8x8 conv3-4 bn globalavg FC-7 soft-max"
    given = tensors(shaken(network(text, classes=5)))
    with pytest.raises(WeightsError, match="expected 7, as the network has, got 5; try classes=5 for theirs"):
        network(text, weights=given)
    whole = network(text, classes=5, weights=given)
    assert all(torch.equal(own, given[name]) for name, own in whole.state_dict().items())
    assert whole.weights_report is not None
    assert (whole.weights_report.kept, whole.weights_report.unused) == ((), ())
    asked = network(text, classes=3, weights=given)
    report, head = asked.weights_report, ("classifier.0.weight", "classifier.0.bias")
    assert report is not None
    assert (report.loaded, report.kept, report.unused) == (len(given) - 2, head, head)
    assert "the head begins anew: classifier.0.weight, classifier.0.bias" in repr(asked)
    more = network(text, classes=3, weights=given | {"aux1.fc.weight": torch.zeros(3, 3)})
    assert repr(more).count("; left aside: aux1.fc.weight") == 1
    assert network(text, classes=3).weights_report is None


def test_a_head_by_another_name_is_known_for_one_of_other_classes() -> None:
    original = shaken(Reordered(list("vwxyz"), layers()))
    own = Reordered(list("kabcd"), [*layers()[:-1], nn.Linear(64, 2)])
    with pytest.raises(WeightsError, match="expected 2, as the network has, got 5; try classes=5 for theirs"):
        load_into(own, tensors(original), fresh=False)
    assert load_into(own, tensors(original)).kept[:2] == ("d.weight", "d.bias")


def test_the_preprocessing_of_the_weights_standardises_the_pictures(tmp_path: Path) -> None:
    text = "conv3-8 globalavg FC-2"
    save_file(tensors(network(text, input_size=(3, 8, 8))), tmp_path / "model.safetensors")
    told = {"image_mean": [0.0, 0.5, 1.0], "image_std": [1, 0.5, 0.25], "size": 8}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    model = network(text, input_size=(3, 8, 8), weights=tmp_path)
    pixel = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert model.preprocess(pixel).flatten().tolist() == pytest.approx([0.0, 1.0, -3.2])
    assert vars(model)["preprocessing"].standardise(pixel).tolist() == model.preprocess(pixel).tolist()


def test_the_names_of_published_densenets_are_understood() -> None:
    options: dict[str, Any] = {"repeats": (2, 2, 1, 1), "growth": 8, "classes": 12}
    original, network = make(zoo.densenet121, **options), make(zoo.densenet121, seed=1, **options)
    old = as_before(tensors(original))
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert "DenseNet" in load_weights(network, old).way
    same_logits(original, network)


@pytest.mark.parametrize("words", ["module.", "_orig_mod.module.", "model.", "timm_model."])
def test_words_of_wrappers_are_taken_off(words: str) -> None:
    original, network = make(zoo.resnet50, **SMALL_RESNET), make(zoo.resnet50, seed=1, **SMALL_RESNET)
    wrapped = {words + name: tensor for name, tensor in tensors(original).items()}
    load_weights(network, {"epoch": 3, "state_dict": wrapped, "optimizer": {"lr": 0.1}})
    same_logits(original, network)


class Reordered(nn.Module):
    """A network of one's own with other names for the same layers in the same order."""

    def __init__(self, names: list[str], layers: list[nn.Module]) -> None:
        super().__init__()
        for name, layer in zip(names, layers, strict=True):
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x


def layers() -> list[nn.Module]:
    return [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 5)]


def test_where_only_names_differ_layers_are_matched_in_order_and_it_is_said() -> None:
    original = shaken(Reordered(list("vwxyz"), layers()))
    network = shaken(Reordered(list("kabcd"), layers()), 1)
    report = load_weights(network, tensors(original))
    assert report.way == "by order and shape"
    same_logits(original, network, 8)


def test_names_in_the_order_of_the_alphabet_are_never_matched_in_order(tmp_path: Path) -> None:
    ten = [f"{name}{i}" for i in range(12) for name in "x"]
    original = Reordered(ten, [nn.Linear(3, 3, bias=False) for _ in ten])
    network = Reordered([f"y{i}" for i in range(12)], [nn.Linear(3, 3, bias=False) for _ in ten])
    before = tensors(network)
    save_file(tensors(original), tmp_path / "sorted.safetensors")
    with pytest.raises(WeightsError, match="do not fit"):
        load_weights(network, tmp_path / "sorted.safetensors")
    assert unchanged(network, before)


def test_layers_in_another_order_are_refused() -> None:
    original, network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3)), nn.Module()
    network.b, network.a = nn.Linear(4, 3), nn.Linear(3, 4)
    with pytest.raises(WeightsError, match="do not fit"):
        load_weights(network, tensors(original))


def test_a_mismatch_lists_everything_and_changes_nothing() -> None:
    network = make(zoo.resnet50, **SMALL_RESNET)
    before, wrong = tensors(network), tensors(network)
    wrong["layer1.0.convx.weight"] = wrong.pop("layer1.0.conv1.weight")
    wrong["bn1.weight"] = torch.ones(5)
    wrong["bn1.bias"] = torch.ones(4, dtype=torch.int64)
    with pytest.raises(WeightsError) as caught:
        load_weights(network, wrong)
    said = str(caught.value)
    assert "1 missing, 1 unexpected, 2 of another shape or dtype" in said
    assert "missing: layer1.0.conv1.weight (4, 4, 1, 1), nearest layer1.0.convx.weight (4, 4, 1, 1)" in said
    assert "unexpected: layer1.0.convx.weight" in said
    assert "bn1.weight: the network has (4,), the source (5,)" in said
    assert "bn1.bias: the network has float32, the source int64" in said
    assert unchanged(network, before)


def test_a_long_mismatch_is_cut_short_and_counted() -> None:
    network = make(zoo.resnet50, **SMALL_RESNET)
    with pytest.raises(WeightsError) as caught:
        load_weights(network, {"fc.weight": torch.zeros(12, 128)})
    assert len(str(caught.value).splitlines()) < 20
    assert "more" in str(caught.value)


def test_what_fits_is_loaded_and_the_rest_reported_if_not_strict() -> None:
    network, other = make(zoo.resnet50, **SMALL_RESNET), make(zoo.resnet50, seed=1, **SMALL_RESNET)
    given, before = tensors(other), tensors(network)
    del given["conv1.weight"]
    given["fc.bias"] = torch.zeros(7)
    report = load_weights(network, given, strict=False)
    assert report.missing == ("conv1.weight",)
    assert report.unfit == ("fc.bias: the network has (12,), the source (7,)",)
    after = network.state_dict()
    assert torch.equal(after["conv1.weight"], before["conv1.weight"])
    assert torch.equal(after["fc.bias"], before["fc.bias"])
    assert torch.equal(after["layer1.0.conv1.weight"], given["layer1.0.conv1.weight"])


@pytest.mark.parametrize(
    ("theirs", "ours"), [(zoo.resnet50, zoo.resnet50), (TransformersResNet, zoo.resnet50)]
)
def test_a_new_head_keeps_the_networks_own_and_loads_the_rest(theirs: Maker, ours: Maker) -> None:
    original = make(theirs, **SMALL_RESNET)
    network = make(zoo.resnet50, seed=1, **(SMALL_RESNET | {"classes": 5}))
    before = tensors(network)
    with pytest.raises(WeightsError, match='head="new"'):
        load_weights(network, tensors(original))
    assert unchanged(network, before)
    report = load_weights(network, tensors(original), head="new")
    after, head = network.state_dict(), find_head(network)
    assert report.kept == (f"{head}.weight", f"{head}.bias")
    assert len(report.unused) == 2
    for name, tensor in after.items():
        if name.startswith(head):
            assert torch.equal(tensor, before[name])
        elif tensor.is_floating_point():
            assert not torch.equal(tensor, before[name]), name


def test_a_new_head_may_have_another_name() -> None:
    original = shaken(Reordered(list("vwxyz"), layers()))
    network = shaken(Reordered([*"vwxy", "other"], [*layers()[:-1], nn.Linear(64, 3)]), 1)
    report = load_weights(network, tensors(original), head="new")
    assert report.kept == ("other.weight", "other.bias")
    assert set(report.unused) == {"z.weight", "z.bias"}


def test_an_equal_head_is_loaded_and_one_of_other_classes_stays_when_both_will_do() -> None:
    given = tensors(make(zoo.resnet50, **SMALL_RESNET))
    equal, other = zoo.resnet50(**SMALL_RESNET), zoo.resnet50(**(SMALL_RESNET | {"classes": 3}))
    assert load_into(equal, given).kept == ()
    assert load_into(other, given).kept == ("fc.weight", "fc.bias")
    del given["conv1.weight"]
    with pytest.raises(WeightsError, match=r"missing: conv1\.weight"):
        load_into(other, given)


def test_auxiliary_classifiers_and_counters_are_not_asked_for() -> None:
    network, other = make(zoo.resnet50, **SMALL_RESNET), make(zoo.resnet50, seed=1, **SMALL_RESNET)
    given = {name: t for name, t in tensors(other).items() if not name.endswith("num_batches_tracked")}
    report = load_weights(network, given | {"aux1.fc.weight": torch.zeros(3, 3)})
    assert report.unused == ("aux1.fc.weight",)
    assert all(name.endswith("num_batches_tracked") for name in report.kept)
    same_logits(other, network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_values_are_brought_to_the_networks_dtype(dtype: torch.dtype) -> None:
    original, network = shaken(nn.Linear(3, 4)), nn.Linear(3, 4)
    report = load_weights(network, {name: t.to(dtype) for name, t in tensors(original).items()})
    assert network.weight.dtype == torch.float32
    assert torch.equal(network.weight, original.get_parameter("weight").to(dtype).float())
    assert report.notes == (f"{dtype} became float32".replace("torch.", ""),)


def test_a_network_without_values_gets_its_first_ones() -> None:
    original = make(zoo.resnet50, **SMALL_RESNET)
    with torch.device("meta"):
        network = zoo.resnet50(**SMALL_RESNET)
    given = tensors(original)
    load_weights(network, given)
    given["fc.weight"].zero_()  # the network's values are its own
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    same_logits(original, network.eval())
    with torch.device("meta"):
        network = zoo.resnet50(**(SMALL_RESNET | {"classes": 3}))
    with pytest.raises(WeightsError, match="without values"):
        load_weights(network, tensors(original), head="new")


@pytest.mark.parametrize("change", [lambda t: t.to("meta"), lambda t: t.to_sparse()])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_without_values_are_refused(change: Callable[[Tensor], Tensor], device: str) -> None:
    network = nn.Linear(3, 2, device=device)
    before = dict(network.named_parameters())
    given = {"weight": change(torch.ones(2, 3)), "bias": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"expected dense tensors that have values, got weight$"):
        load_weights(network, given)
    assert all(before[name] is now for name, now in network.named_parameters())
    assert device == "meta" or not network.bias.eq(1).any()


def test_memory_formats_stay_and_the_source_is_not_shared() -> None:
    network = zoo.resnet50(**SMALL_RESNET).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    given = tensors(make(zoo.resnet50, **SMALL_RESNET))
    load_weights(network, given)
    weight = network.get_parameter("layer1.0.conv2.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    given["layer1.0.conv2.weight"].zero_()
    assert weight.abs().sum() > 0


@given(st.lists(st.sampled_from(["a", "b.c", "d.e.f", "weight", "x.1"]), min_size=1, unique=True), st.data())
def test_loading_all_or_nothing_whatever_the_names(names: list[str], data: st.DataObject) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    before = tensors(network)
    shapes = st.sampled_from([(3, 2), (2, 3), (3,), (2,), (1,)])
    given = {name: torch.ones(data.draw(shapes)) for name in names}
    try:
        report = load_weights(network, given)
    except WeightsError:
        assert unchanged(network, before)
    else:
        assert report.loaded == 4
        assert all(bool((t == 1).all()) for t in network.state_dict().values())


@pytest.mark.parametrize(
    ("model", "head"),
    [
        (lambda: zoo.vgg16(**SMALL_VGG), "classifier.6"),
        (lambda: zoo.resnet50(**SMALL_RESNET), "fc"),
        (lambda: TimmVGG(**SMALL_VGG), "head.fc"),
        (lambda: TransformersResNet(**SMALL_RESNET), "classifier.1"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), "0"),
    ],
)
def test_heads_are_found(model: Callable[[], nn.Module], head: str) -> None:
    assert find_head(model()) == head


def test_a_network_that_says_which_layer_is_its_head_is_believed() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(4, 2), nn.LayerNorm(2)

        def get_classifier(self) -> nn.Module:
            return self.first

    assert find_head(Odd()) == "first"


def test_a_network_without_a_head_is_refused() -> None:
    for model in (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Sequential(nn.ReLU())):
        with pytest.raises(ArgumentError, match="no head"):
            find_head(model)


def test_an_unknown_way_with_the_head_is_refused() -> None:
    with pytest.raises(ArgumentError, match="head"):
        load_weights(nn.Linear(2, 2), {}, head="none")  # type: ignore[arg-type]
