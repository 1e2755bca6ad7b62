"""Fine-tuning: what is frozen keeps every bit, rates fall with depth, heads are replaced, runs resume."""

from __future__ import annotations

import copy
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anatomy import zoo
from models.weights_replicas import TimmVGG, TransformersResNet, shaken
from torch import Tensor, nn
from training import fit

import cnnatomy.nn as cnn
from cnnatomy.errors import ArgumentError
from cnnatomy.models import network
from cnnatomy.models.weights import WeightsError, find_head
from cnnatomy.train import Interrupted, Settings, Silent, Tick, finetune
from cnnatomy.train.atomic_files import read_tensors
from cnnatomy.train.run_folder import RunFolder

SMALL_VGG: dict[str, Any] = {"repeats": (1, 1, 2, 1, 1), "width": 4, "classes": 12}
SMALL_RESNET: dict[str, Any] = {"repeats": (2, 1, 2, 1), "width": 4, "classes": 12}


def resnet() -> nn.Module:
    return shaken(zoo.resnet50(**SMALL_RESNET))


def steps(model: nn.Module, parameters: Any, count: int = 3) -> None:
    """Train on noise."""
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1)
    model.train()
    for seed in range(count):
        x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        torch.autograd.backward(model(x).square().mean())
        optimizer.step()


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def state(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


@pytest.mark.parametrize(
    ("what", "frozen"),
    [
        (2, ("conv1.", "bn1.", "layer1.")),
        ("3", ("conv1.", "bn1.", "layer1.", "layer2.")),
        (-1, ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")),
        ("layer2.*, layer4", ("layer2.", "layer4.")),
        ("fc.*", ("fc.",)),
        (0, ("nothing",)),
    ],
)
def test_what_is_frozen_keeps_every_bit_and_the_rest_learns(what: str | int, frozen: tuple[str, ...]) -> None:
    model = resnet()
    before = state(model)
    said = finetune.freeze(model, what)
    assert said == [n for n, _ in model.named_parameters() if n.startswith(frozen)]
    steps(model, model.parameters())
    assert changed(model, before) == {name for name in before if not name.startswith(frozen)}


def test_frozen_norms_normalise_by_the_statistics_they_have() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    finetune.freeze(model, "0.*")
    x = 5 + 3 * torch.randn(4, 3, 8, 8)
    model.train()
    torch.testing.assert_close(model[0](x), x / (1 + 1e-5) ** 0.5)
    finetune.unfreeze(model)
    model.train()
    assert model[0](x).mean().abs() < 1e-5


@pytest.mark.parametrize("how", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_stays_frozen(how: Callable[[nn.Module], nn.Module]) -> None:
    model = resnet()
    finetune.freeze(model, -1)
    model = how(model)
    before = state(model)
    steps(model, [p for p in model.parameters() if p.requires_grad], count=1)
    assert changed(model, before) == {"fc.weight", "fc.bias"}


def test_gradual_unfreezing_opens_one_stage_after_the_other() -> None:
    model, parameters = resnet(), []
    for left in (5, 4, 2):
        finetune.unfreeze(model)
        finetune.freeze(model, left)
        parameters = [name for name, p in model.named_parameters() if p.requires_grad]
        first = {5: "fc.weight", 4: "layer4.0.conv1.weight", 2: "layer2.0.conv1.weight"}[left]
        assert parameters[0] == first
    before = state(model)
    steps(model, model.parameters(), count=1)
    assert {name for name in before if name.startswith(("layer2", "layer3", "layer4", "fc"))} == changed(
        model, before
    )


@pytest.mark.parametrize("what", ["nothing.*", 7, -7, "layer9", ""])
def test_what_names_nothing_is_refused(what: str | int) -> None:
    with pytest.raises(ArgumentError):
        finetune.freeze(resnet(), what)


def test_rates_fall_with_depth_and_every_parameter_that_learns_is_in_one_group() -> None:
    model = resnet()
    finetune.freeze(model, 1)
    found = finetune.groups(model, lr=0.1, decay=0.7)
    assert [group["lr"] for group in found] == pytest.approx([0.1 * 0.7**k for k in (4, 3, 2, 1, 0)])
    assert [group["name"] for group in found][-2:] == ["layer4.0", "fc"]
    listed = [id(p) for group in found for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)].split(".")[0] for p in found[1]["params"]} == {"layer2"}
    torch.optim.AdamW(found)


def test_parameters_outside_blocks_and_networks_without_any_are_grouped_too() -> None:
    class Loose(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    assert [len(group["params"]) for group in finetune.groups(Loose(), 0.1, 0.5)] == [1]
    assert finetune.groups(Loose(), 0.1, 0.5)[0]["lr"] == 0.1
    with pytest.raises(ArgumentError, match="nothing is left to train"):
        finetune.groups(nn.Sequential(nn.ReLU()), 0.1)


@pytest.mark.parametrize("decay", [0.0, 1.1, -1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ArgumentError, match="lr_decay"):
        finetune.groups(nn.Linear(2, 2), 0.1, decay)


VGG_STAGES = [1, 1, 2, 1, 1, 3]


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (lambda: zoo.vgg16(**SMALL_VGG), VGG_STAGES),
        (zoo.vgg16, [2, 2, 3, 3, 3, 3]),
        (zoo.resnet50, [2, 3, 4, 6, 3, 1]),
        (zoo.alexnet, [1, 1, 3, 3]),
        (zoo.googlenet, [1, 2, 2, 5, 4, 1]),
        (zoo.densenet121, [2, 3, 3, 3, 2, 1]),
        (lambda: TransformersResNet(**SMALL_RESNET), [2, 1, 1, 1, 1]),
        (
            lambda: nn.Sequential(
                cnn.Conv2d(3, 4, 3), cnn.Pool2d("soft", 2), cnn.Conv2d(4, 4, 3), cnn.GlobalPool2d("max")
            ).append(cnn.Conv2d(4, 2, 1)),
            [1, 1, 1],
        ),
    ],
)
def test_stages_are_those_of_the_papers(model: Callable[[], nn.Module], sizes: list[int]) -> None:
    with torch.device("meta"):
        network = model()
    assert [len(stage) for stage in finetune.stages(network)] == sizes


@pytest.mark.parametrize(
    ("maker", "side"),
    [
        (lambda: zoo.vgg16(**SMALL_VGG), 32),
        (lambda: zoo.resnet50(**SMALL_RESNET), 32),
        (lambda: TimmVGG(**SMALL_VGG), 224),
        (lambda: TransformersResNet(**SMALL_RESNET), 32),
        (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding_mode="reflect", padding=1, bias=False)), 8),
    ],
)
def test_a_head_is_replaced_by_its_like(maker: Callable[[], nn.Module], side: int) -> None:
    model = maker().double()
    finetune.freeze(model, "*")
    fresh = finetune.replace_head(model, 5)
    assert model.eval()(torch.randn(2, 3, side, side, dtype=torch.float64)).shape[1] == 5
    assert {p.dtype for p in fresh.parameters()} == {torch.float64}
    learning = [p for p in model.parameters() if p.requires_grad]
    assert [id(p) for p in learning] == [id(p) for p in fresh.parameters()]
    assert getattr(fresh, "padding_mode", "reflect") == "reflect"
    old = maker().get_submodule(find_head(maker()))
    assert (fresh.bias is None) == (old.bias is None)


@pytest.mark.parametrize("how", ["s2", "full", "keep s2", "symmetric", "p0+1"])
def test_a_head_of_notation_keeps_its_padding_and_the_network_its_facts(how: str) -> None:
    model = network(f"conv3-4 conv3-7 {how} globalavg", input_size=(3, 8, 8))
    finetune.replace_head(model, 5)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    assert model.classes == ("0", "1", "2", "3", "4")
    assert model.shape == (5,)


def test_what_has_no_head_to_replace_is_refused() -> None:
    with pytest.raises(ArgumentError, match="one layer and no more"):
        finetune.replace_head(nn.Linear(2, 3), 4)
    with pytest.raises(ArgumentError, match="classes"):
        finetune.replace_head(resnet(), 0)


TEXT = "conv3-4 bn maxpool conv3-8 bn maxpool globalavg FC-classes"
CONFIG = Settings.of(
    model=TEXT, size="1x16x16", epochs=2, batch_size=128, threads=1, augment="none", checkpoint_every=5
)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "before"
    fit(CONFIG, run)
    return run


def test_a_run_begins_with_the_weights_of_another_and_keeps_what_is_frozen(
    before: Path, tmp_path: Path
) -> None:
    source = RunFolder(before).weights("last")
    fit(CONFIG.changed(weights=str(source), freeze="1", lr_decay=0.5, seed=1), tmp_path / "tuned")
    old, new = read_tensors(source)[0], read_tensors(RunFolder(tmp_path / "tuned").weights("last"))[0]
    same = {name for name in old if torch.equal(old[name], new[name])}
    assert same == {name for name in old if name.startswith(("features.0.", "features.1."))}


class Impatient(Silent):
    """Presses Ctrl-C at a step."""

    def tick(self, tick: Tick) -> None:
        if tick.step == 10:
            signal.raise_signal(signal.SIGINT)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits_without_the_file(
    before: Path, tmp_path: Path
) -> None:
    source = tmp_path / "begin.safetensors"
    source.write_bytes(RunFolder(before).weights("last").read_bytes())
    config = CONFIG.changed(weights=str(source), freeze="1", lr_decay=0.5)
    fit(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit(config, tmp_path / "stopped", reporter=Impatient())
    source.unlink()
    fit(config, tmp_path / "stopped", resume=True)
    first, _ = read_tensors(RunFolder(tmp_path / "whole").checkpoint)
    second, _ = read_tensors(RunFolder(tmp_path / "stopped").checkpoint)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_the_preprocessing_of_the_weights_goes_with_the_run(before: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(RunFolder(before).weights("last").read_bytes())
    (folder / "config.json").write_text('{"pretrained_cfg": {"mean": [0.25], "std": [0.5]}}')
    with pytest.raises(Interrupted):
        fit(CONFIG.changed(weights=str(folder)), tmp_path / "run", reporter=Impatient())
    fit(CONFIG.changed(weights=str(folder)), tmp_path / "run", resume=True)
    model = RunFolder(tmp_path / "run").load_model()[0]
    prepared = model.preprocess(torch.full((1, 1, 16, 16), 255, dtype=torch.uint8))
    assert set(prepared.flatten().tolist()) == {1.5}


def test_weights_that_do_not_fit_leave_no_run_behind(tmp_path: Path) -> None:
    torch.save({"other.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="do not fit"):
        fit(CONFIG.changed(weights=str(tmp_path / "other.pth")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rates_decay_with_depth_in_a_run(before: Path, tmp_path: Path) -> None:
    source = RunFolder(before).weights("last")
    fit(CONFIG.changed(weights=str(source), lr_decay=1e-2), tmp_path / "run")
    old, new = read_tensors(source)[0], read_tensors(RunFolder(tmp_path / "run").weights("last"))[0]
    moved = [(new[name] - old[name]).abs().max() for name in ("features.0.weight", "classifier.0.weight")]
    assert 0 < moved[0] < 1e-4 < 1e-3 < moved[1]
