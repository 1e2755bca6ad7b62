"""Modules of any origin as classifiers: their names, scores, losses and what else training asks of them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from cnnatomy.errors import ArgumentError
from cnnatomy.export import Deployed, onnx, program
from cnnatomy.models import adopt, build, network
from cnnatomy.models.foreign_classifier import Adopted
from cnnatomy.models.scoring import WrongOutputs, scores_in
from cnnatomy.models.weights import Preprocessing, load_weights
from cnnatomy.train import finetune

SHAPE = (3, 12, 12)


class Net(nn.Module):
    """A network whose members bear names that a classifier has too."""

    def __init__(self, classes: int = 4, mode: str = "tensor") -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(8))
        self.register_buffer("mean", torch.full((3,), 0.5))
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.levels = nn.ModuleList([nn.Conv2d(8, 8, 3)])
        self.output = nn.Linear(8, classes)
        self.mode = mode

    def forward(self, x: Tensor) -> Any:
        maps = self.levels[0](self.features(x - self.mean[:, None, None]))  # type: ignore[index]
        scores = self.output(maps.mean((2, 3)) * self.token)
        return RESULTS[self.mode](scores)


class Pair(NamedTuple):
    main: Tensor
    beside: Tensor


RESULTS: dict[str, Any] = {
    "tensor": lambda scores: scores,
    "tuple": lambda scores: (scores, scores[:, :1]),
    "named": lambda scores: Pair(scores, scores[:, :1]),
    "list": lambda scores: [scores],
    "dict": lambda scores: {"out": scores, "aux": scores[:, :1]},
    "logits": lambda scores: {"loss": scores.sum(), "logits": scores},
    "object": lambda scores: SimpleNamespace(logits=scores),
}


@pytest.fixture
def pictures() -> Tensor:
    return torch.randint(256, (6, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def adopted(module: nn.Module | None = None, **options: Any) -> Adopted:
    made = adopt(module or Net(), classes=4, input_size=SHAPE, **options)
    assert isinstance(made, Adopted)
    return made


@pytest.mark.parametrize("mode", RESULTS)
def test_scores_are_found_in_whatever_a_network_returns(mode: str, pictures: Tensor) -> None:
    net = Net(mode=mode)
    model, x = adopted(net), pictures.float() / 255
    truth = Net()
    truth.load_state_dict(net.state_dict())
    assert torch.equal(model(x), truth(x))
    assert torch.allclose(model.eval()(x[0]), truth.eval()(x[:1])[0])


@pytest.mark.parametrize("result", [None, 3, (), {}, ["scores"], SimpleNamespace(scores=1)])
def test_what_holds_no_scores_is_an_error(result: Any) -> None:
    with pytest.raises(ArgumentError, match=r"the network returns no scores: expected .*logits"):
        scores_in(result)


def test_the_state_is_that_of_the_bare_module() -> None:
    net = Net()
    model = adopted(net)
    assert list(model.state_dict()) == list(net.state_dict())
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in net.named_parameters()]
    bare = Net()
    bare.load_state_dict(model.state_dict(), strict=True)
    model.load_state_dict(Net().state_dict())
    assert not torch.equal(bare.output.weight, net.output.weight)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})


def test_within_another_module_every_tensor_has_one_path() -> None:
    outer = nn.Sequential(adopted())
    names = [name for name, _ in (*outer.named_parameters(), *outer.named_buffers())]
    assert set(names) == set(outer.state_dict())
    assert all(name.startswith("0.module.") for name in names)
    nn.Sequential(adopted()).load_state_dict(outer.state_dict())


def test_copies_and_pickles_are_networks_of_their_own(pictures: Tensor) -> None:
    model = adopted().eval()
    model.adapt(pictures)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        x = model.preprocess(pictures)
        assert torch.equal(twin(twin.preprocess(pictures)), model(x))
        with torch.no_grad():
            twin.get_parameter("output.weight").zero_()
        assert not torch.equal(twin(x), model(x))


def test_the_mode_of_every_module_stays_and_follows_train_and_eval() -> None:
    net = Net()
    net.features.eval()
    seen = net.get_buffer("features.1.running_mean").clone()
    model = adopted(net)
    assert [net.training, net.features.training, model.training] == [True, False, True]
    assert torch.equal(net.get_buffer("features.1.running_mean"), seen)
    assert not any(module.training for module in model.eval().modules())
    assert all(module.training for module in model.train().modules())
    assert not adopted(Net().eval()).training


def test_lazy_layers_get_their_sizes() -> None:
    net = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(4))
    model = adopted(net)
    assert model.get_parameter("3.weight").shape == (4, 8 * 10 * 10)
    assert model.training


def test_pictures_are_standardised_by_what_was_learned(pictures: Tensor) -> None:
    model = adopted()
    model.adapt(pictures)
    x = model.preprocess(pictures)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    other = adopted()
    other.recall(model.facts())
    assert torch.equal(other.preprocess(pictures), x)
    assert torch.equal(other.restored(x), pictures)
    assert torch.equal(model.module.get_buffer("mean"), torch.full((3,), 0.5)), (
        "the module has a mean of its own"
    )


def test_weights_bring_their_preprocessing(pictures: Tensor, tmp_path: Path) -> None:
    given, expected = adopted(), Preprocessing((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    torch.save(given.state_dict(), tmp_path / "resnet18-f37072fd.pth")  # named as torchvision names a file
    model = adopted()
    report = load_weights(model, tmp_path / "resnet18-f37072fd.pth")
    assert report.loaded == len(given.state_dict())
    assert model.preprocessing == Preprocessing()
    model.preprocessing = expected
    model.standardise(expected.mean, expected.std)
    model.adapt(pictures)
    assert torch.allclose(model.preprocess(pictures), expected.standardise(pictures), atol=1e-5)
    with pytest.raises(ArgumentError, match="mean and std: expected 3 values each, got 1 and 1"):
        model.standardise([0.5], [0.5])


def test_a_new_head_where_the_weights_are_for_other_classes() -> None:
    model = adopted()
    before = model.get_parameter("output.weight").clone()
    report = load_weights(model, Net(9).state_dict(), head="new")
    assert report.kept == ("output.weight", "output.bias")
    assert torch.equal(model.get_parameter("output.weight"), before)


def test_the_loss_is_the_callers_or_the_modules_or_the_cross_entropy() -> None:
    scores, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    assert torch.equal(adopted().loss(scores, labels), F.cross_entropy(scores, labels))
    smooth = adopted()
    smooth.smoothing = 0.1
    assert torch.equal(smooth.loss(scores, labels), F.cross_entropy(scores, labels, label_smoothing=0.1))
    own = Net()
    own.loss = nn.MultiMarginLoss()
    assert torch.equal(adopted(own).loss(scores, labels), F.multi_margin_loss(scores, labels))
    assert [adopted(own).has_own_loss, adopted().has_own_loss] == [True, False]
    weighed = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    model = adopted(own, loss=weighed).double()
    assert "weight" not in model.state_dict()
    assert torch.equal(model.loss(scores.double(), labels), weighed(scores.double(), labels))


@pytest.mark.parametrize(
    ("loss", "got"),
    [(lambda scores: scores, "TypeError"), (lambda s, y: s, "shape (2, 4)"), (lambda s, y: 0.5, "float")],
)
def test_a_loss_that_is_none_is_an_error(loss: Any, got: str) -> None:
    with pytest.raises(ArgumentError, match=r"the network's loss: expected loss.*scalar, got") as told:
        adopted(loss=loss)
    assert got in str(told.value)


@given(st.integers(2, 7), st.integers(2, 7))
def test_other_outputs_than_classes_are_an_error(outputs: int, classes: int) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, outputs))
    if outputs == classes:
        assert adopt(net, classes=classes, input_size=(3, 2, 2)).classes == tuple(map(str, range(classes)))
        return
    said = f"expected {classes} outputs, got {outputs}; try num_classes={classes} .*replace_head"
    with pytest.raises(WrongOutputs, match=said):
        adopt(net, classes=classes, input_size=(3, 2, 2))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Conv2d(1, 4, 3), r"Conv2d cannot read pictures of 3x12x12: got RuntimeError.*try 1 channels"),
        (nn.Conv2d(3, 4, 15), r"cannot read pictures of 3x12x12: got RuntimeError.*try larger pictures"),
        (nn.Conv2d(3, 4, 12), r"no row of scores.*expected \(2, 4\) .*got \(2, 4, 1, 1\); try flatten"),
        (nn.Conv2d, "this is no network: expected an nn.Module, got its class"),
        (lambda x: x, "this is no network: expected an nn.Module"),
    ],
)
def test_what_does_not_score_such_pictures_is_an_error(net: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as told:
        adopt(net, classes=4, input_size=SHAPE)
    assert "\n" not in str(told.value)


def test_a_state_that_no_file_holds_is_an_error() -> None:
    class Remembering(Net):
        def get_extra_state(self) -> object:
            return {"seen": 3}

    with pytest.raises(ArgumentError, match=r"the state of Remembering cannot be saved.*_extra_state"):
        adopted(Remembering())


def test_classifiers_are_given_back_with_these_classes() -> None:
    lenet = build("lenet5", classes=10, output="softmax")
    assert adopt(lenet, classes=list("abcdefghij"), input_size=(1, 32, 32)) is lenet
    assert lenet.classes == tuple("abcdefghij")
    free = network("conv3-8 globalavg FC-classes", classes=3)
    assert adopt(free, classes=3, input_size=SHAPE) is free
    assert free.input_shape == SHAPE
    with pytest.raises(ArgumentError, match="reads other pictures: expected 1x32x32, got 3x12x12"):
        adopt(lenet, classes=10, input_size=SHAPE)
    with pytest.raises(ArgumentError, match="tells other classes apart: expected 7 classes, got 10"):
        adopt(lenet, classes=7, input_size=(1, 32, 32))


def test_fine_tuning_speaks_of_the_networks_own_layers() -> None:
    model = adopted()
    assert finetune.stages(model) == finetune.stages(Net())
    rates = {group["name"]: group["lr"] for group in finetune.groups(model, lr=0.1, decay=0.5)}
    assert rates["output"] == 0.1
    assert len(rates) == len(finetune.stages(model))
    assert finetune.freeze(model, "features.*") == [n for n in model.state_dict() if n in FROZEN]
    model.train()(torch.rand(6, *SHAPE)).sum().backward()
    assert model.get_parameter("features.0.weight").grad is None
    assert model.get_parameter("output.weight").grad is not None
    finetune.unfreeze(model)
    assert all(p.requires_grad for p in model.parameters())


FROZEN = ("features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias")


def test_a_replaced_head_is_the_modules_and_changes_the_classes() -> None:
    model = adopted()
    fresh = finetune.replace_head(model, 7)
    assert model.module.output is fresh
    assert model.classes == tuple("0123456")
    assert model.output == "softmax"
    assert model(torch.rand(2, *SHAPE)).shape == (2, 7)


def test_what_is_set_under_a_name_of_the_network_is_set_there() -> None:
    model, fresh = adopted(), nn.Linear(8, 4)
    model.output_layer = fresh
    assert model.module.output_layer is fresh
    model.add_module("more", nn.ReLU())
    assert "more" in dict(model.module.named_children())
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    assert any(isinstance(module, nn.SyncBatchNorm) for module in synced.module.modules())
    model.class_weights = torch.ones(4)
    assert "class_weights" not in model.state_dict()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = model.nothing


def test_dtype_and_layout_reach_what_preprocesses() -> None:
    model = adopted().double().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert model.preprocess(torch.zeros(1, *SHAPE, dtype=torch.uint8)).dtype == torch.float64
    kernel = model.get_parameter("features.0.weight")
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    visited: list[nn.Module] = []
    model.apply(visited.append)
    assert visited[-2:] == [model.module, model]


def test_compiled_traced_and_called_by_function_it_is_the_same_network() -> None:
    plain = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    x = torch.rand(3, *SHAPE)
    model = adopted(plain)
    assert torch.equal(torch.fx.symbolic_trace(model)(x), plain(x))
    zero = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    assert not torch.func.functional_call(model, zero, (x,)).any()
    net = Net().eval()
    known = {"token": torch.zeros(8)}
    assert torch.equal(torch.func.functional_call(adopted(net), known, (x,)), net.output.bias.expand(3, 4))
    assert net.token.all(), "its own are back in their place"
    compiled = torch.compile(adopted().eval(), backend="eager", fullgraph=True)
    assert compiled(x).shape == (3, 4)


def test_many_processes_can_train_it(tmp_path: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        model = adopted()
        wrapped = DistributedDataParallel(model)
        model.loss(wrapped(torch.rand(2, *SHAPE)), torch.tensor([0, 3])).backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None for p in model.parameters())
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("mode", ["tensor", "logits"])
def test_it_is_exported_from_bytes_to_probabilities(mode: str, pictures: Tensor, tmp_path: Path) -> None:
    model = adopted(Net(mode=mode)).eval()
    model.adapt(pictures)
    whole = Deployed(model)
    program(whole, tmp_path / "net.pt2", pictures)
    scores, shares = torch.export.load(tmp_path / "net.pt2").module()(pictures)
    assert torch.allclose(scores, model(model.preprocess(pictures)), atol=1e-5)
    assert torch.allclose(shares, scores.softmax(1))
    told = whole.preprocessing("letterbox")
    assert told["mean"] == pytest.approx(model.facts()["mean"], abs=1e-5)
    x = model.preprocess(pictures)
    program(model, tmp_path / "bare.pt2", x)
    assert torch.allclose(torch.export.load(tmp_path / "bare.pt2").module()(x), scores, atol=1e-5)


def test_it_is_exported_to_onnx(pictures: Tensor, tmp_path: Path) -> None:
    written = onnx(Deployed(adopted()), tmp_path / "net.onnx", pictures, output_names=["scores", "shares"])
    assert written.outputs == ("scores", "shares")
    assert written.error is not None
    assert written.error < 1e-4


def test_a_network_on_the_meta_device_is_adopted_without_data() -> None:
    with torch.device("meta"):
        net = Net()
    assert adopted(net).get_parameter("token").is_meta
