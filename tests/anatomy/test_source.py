"""Models by name, and inputs by shape."""

from __future__ import annotations

import resource
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnnatomy import models
from cnnatomy.anatomy.measure import anatomy
from cnnatomy.anatomy.record.building import build
from cnnatomy.anatomy.record.example_inputs import given
from cnnatomy.anatomy.record.model_source import load
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.errors import ArgumentError

FILE = """
from dataclasses import dataclass
import torch
from torch import nn
from beside import WIDTH

@dataclass
class Plan:
    depth: int = 1

class Tiny(nn.Module):
    def __init__(self, classes=3, *, plan=None):
        super().__init__()
        self.layer = nn.Linear(WIDTH, classes)
    def forward(self, x):
        return self.layer(x)

made = Tiny(7)
number = 3
def text():
    return "no model"
def fails():
    raise KeyError("mine")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "tiny_nets.py").write_text(FILE)
    (tmp_path / "beside.py").write_text("WIDTH = 5")
    (tmp_path / "unclosed.py").write_text("def f(:")
    (tmp_path / "lonely.py").write_text("import no_such_module")
    monkeypatch.chdir(tmp_path)
    for name in ("tiny_nets", "beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("tiny_nets", "beside"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("where", ["tiny_nets", "tiny_nets.py", "{home}/tiny_nets.py"])
@pytest.mark.parametrize(
    ("name", "classes"),
    [("Tiny", 3), ("Tiny()", 3), ("Tiny(4)", 4), ("Tiny(classes=6, plan=None)", 6), ("made", 7)],
)
def test_a_module_or_what_builds_one_by_its_place(home: Path, where: str, name: str, classes: int) -> None:
    path = list(sys.path)
    net = load(f"{where.format(home=home)}:{name}")
    assert net.layer.weight.shape == (classes, 5)  # type: ignore[union-attr]
    assert (net.layer.weight.device.type == "meta") is (name != "made")  # type: ignore[union-attr]
    assert sys.path == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tiny_nets:Tyni", "tiny_nets has no model 'Tyni'; try Tiny"),
        ("tiny_nets:number", "'number' of tiny_nets is not a model: got int"),
        ("tiny_nets:text", "tiny_nets:text gives no model: expected a torch.nn.Module, got str"),
        ("tiny_nets:Tiny(width=3)", r"Tiny cannot be called so: got an unexpected keyword argument 'width'"),
        ("tiny_nets:Tiny(classes=open('x'))", "the arguments of 'tiny_nets:Tiny': expected Python literals"),
        ("tiny_nets:Tiny(**{})", "the arguments of 'tiny_nets:Tiny': expected Python literals"),
        ("tiny_nets:Tiny(3", "the arguments of 'tiny_nets:Tiny': expected Python literals"),
        ("tiny_nets:Tiny(3).eval()", "the arguments of 'tiny_nets:Tiny': expected Python literals"),
        ("no_such_package.nets:Tiny", "there is no Python module 'no_such_package'"),
        ("missing.py:Tiny", "there is no file 'missing.py'"),
        ("unclosed.py:Tiny", "unclosed.py raised SyntaxError: "),
        ("unclosed:Tiny", "unclosed raised SyntaxError: "),
        ("lonely.py:Tiny", "lonely.py raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("lonely:Tiny", "lonely raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("tiny_nets.py:fails", "fails of tiny_nets.py raised KeyError: 'mine'"),
        ("lenet", "unknown model 'lenet': expected one of .*; try lenet5"),
        ("", "there is no layer"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_to_try(home: Path, text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load(text)


def test_a_model_of_the_catalog_with_and_without_arguments() -> None:
    assert {p.device.type for p in load("lenet5").parameters()} == {"meta"}
    truth = models.build("lenet5", classes=26, output="softmax")
    net = load("lenet5(classes=26, output='softmax')")
    shapes = {name: p.shape for name, p in truth.named_parameters()}
    assert {name: p.shape for name, p in net.named_parameters()} == shapes
    buffers = dict(truth.named_buffers())
    assert all(torch.equal(b, buffers[name]) for name, b in net.named_buffers())


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.models", None)
    with pytest.raises(ArgumentError, match=f"{package} (is not installed|cannot be imported)"):
        load(f"{package}:resnet50")


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Packages with timm's and torchvision's interface, that fail if asked for weights."""
    (tmp_path / "torchvision" / "models" / "segmentation").mkdir(parents=True)
    (tmp_path / "torchvision" / "__init__.py").write_text("")
    (tmp_path / "torchvision" / "models" / "__init__.py").write_text(
        textwrap.dedent("""
            from torch import nn
            from . import segmentation
            def resnet9(*, weights="DEFAULT", progress=True, num_classes=10):
                assert weights is None
                return nn.Linear(4, num_classes)
            """)
    )
    (tmp_path / "torchvision" / "models" / "segmentation" / "__init__.py").write_text(
        textwrap.dedent("""
            from torch import nn
            def fcn(*, weights=None, weights_backbone="DEFAULT"):
                assert weights_backbone is None
                return nn.Conv2d(1, 2, 3)
            """)
    )
    (tmp_path / "timm.py").write_text(
        textwrap.dedent("""
            from torch import nn
            def list_models(): return ["resnet9.tag", "vgg9"]
            def is_model(name): return name in list_models()
            def create_model(name, pretrained=True, num_classes=10):
                assert not pretrained
                return nn.Linear(3, num_classes)
            """)
    )
    for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]


def test_a_builder_that_wants_arguments_is_told_so() -> None:
    with pytest.raises(ArgumentError, match=r"Conv2d builds nothing by itself.*in_channels.*lambda: Conv2d"):
        load(nn.Conv2d)  # type: ignore[arg-type]
    assert isinstance(load(nn.ReLU), nn.ReLU)


@pytest.mark.usefixtures("peers")
def test_other_libraries_models_are_built_without_weights_or_downloads() -> None:
    found = [
        ("timm:resnet9.tag", (10, 3)),
        ("timm:vgg9(num_classes=4, pretrained=True)", (4, 3)),
        ("torchvision:resnet9(num_classes=2)", (2, 4)),
        ("torchvision:resnet9(weights='DEFAULT')", (10, 4)),
        ("torchvision:segmentation.fcn", (2, 1, 3, 3)),
    ]
    for text, shape in found:
        weight = load(text).get_parameter("weight")
        assert (weight.shape, weight.device.type) == (shape, "meta")
    for text, near in (("timm:resnet9.tga", "resnet9.tag"), ("torchvision:resnet8", "resnet9")):
        with pytest.raises(ArgumentError, match=f"has no model .*; try {near}"):
            load(text)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_files_are_never_unpickled_and_exported_programs_run(tmp_path: Path) -> None:
    net, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), torch.randn(1, 1, 8, 8)
    torch.save(net, tmp_path / "net.pt")
    torch.jit.trace(net, x).save(tmp_path / "script.pt")  # type: ignore[no-untyped-call]
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    with pytest.raises(ArgumentError, match=r"net.pt is not a model but weights or a pickle"):
        load(str(tmp_path / "net.pt"))
    with pytest.raises(ArgumentError, match=r"script.pt is a TorchScript file: .*torch.jit.load"):
        load(str(tmp_path / "script.pt"))
    (tmp_path / "empty.pt2").touch()
    with pytest.raises(ArgumentError, match=r"empty.pt2 is not a file of torch.export.save"):
        load(str(tmp_path / "empty.pt2"))
    graph = trace(load(str(tmp_path / "net.pt2")), [x])
    assert graph.reason is None
    assert [call.name for call in graph.calls] == ["aten.convolution", "aten.relu"]


def test_building_a_model_holds_no_weights_and_draws_no_random_numbers() -> None:
    class Huge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.big = nn.Linear(20_000, 20_000)  # 1.6 GB
            self.out = nn.Linear(20_000, 20_000, bias=False)
            self.out.weight = self.big.weight
            self.scale = nn.Parameter(torch.ones(3), requires_grad=False)
            self.register_buffer("table", torch.linspace(0, 1, 5))
            self.steps = torch.linspace(0, 1, 3).tolist()
            nn.init.trunc_normal_(self.big.weight, std=0.02)

    before, state = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, torch.get_rng_state()
    net = load(Huge)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
    assert torch.equal(torch.get_rng_state(), state)
    assert net.out.weight is net.big.weight  # type: ignore[union-attr]
    assert not net.get_parameter("scale").requires_grad
    assert net.steps == [0.0, 0.5, 1.0]
    assert torch.equal(net.get_buffer("table"), torch.linspace(0, 1, 5))
    assert nn.Linear(2, 2).weight.device.type == "cpu"


def test_a_builder_that_computes_with_weights_is_run_as_it_is() -> None:
    def sorted_weights() -> nn.Module:
        net = nn.Linear(3, 3)
        assert len(net.weight.flatten().tolist()) == 9
        return net

    assert load(sorted_weights).get_parameter("weight").device.type == "cpu"
    with pytest.raises(RuntimeError, match="mine"):
        build(lambda: (_ for _ in ()).throw(RuntimeError("mine")))


def test_a_module_is_itself_and_wrappers_are_taken_off() -> None:
    net = nn.Linear(2, 2)
    assert load(net) is net
    assert load(nn.DataParallel(net)) is net
    with pytest.raises(ArgumentError, match="not a model: expected a module, a callable or"):
        load(3)  # type: ignore[arg-type]


class Two(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


@pytest.mark.parametrize(
    ("inputs", "args", "kwargs"),
    [
        ((3, 8, 9), [(1, 3, 8, 9)], {}),
        ([3, 8, 9], [(1, 3, 8, 9)], {}),
        ([(3, 8), (4,)], [(1, 3, 8), (1, 4)], {}),
        ({"a": (3, 8), "b": torch.zeros(2, 5)}, [], {"a": (1, 3, 8), "b": (2, 5)}),
        (torch.zeros(7, 3), [(7, 3)], {}),
        ((torch.zeros(7, 3), (4,)), [(7, 3), (1, 4)], {}),
    ],
)
def test_inputs_by_shape_by_name_and_by_tensor(inputs: Any, args: Any, kwargs: Any) -> None:
    by_place, by_name = given(nn.Linear(2, 2).double(), inputs)
    assert [tuple(x.shape) for x in by_place] == args
    assert {name: tuple(x.shape) for name, x in by_name.items()} == kwargs
    for x in (*by_place, *by_name.values()):
        assert x.is_meta
        assert x.dtype == (torch.float64 if x.shape[0] == 1 else torch.float32)


def test_nested_inputs_and_dtypes() -> None:
    (batch,), _ = given(Two(), [{"image": (3, 8, 8), "extra": [(2,), torch.zeros(1, dtype=torch.int8)]}])
    assert batch["image"].shape == (1, 3, 8, 8)
    assert [t.dtype for t in batch["extra"]] == [torch.float32, torch.int8]
    (tokens,), _ = given(nn.Embedding(9, 2), (5,), torch.int64)
    assert trace(nn.Embedding(9, 2), [tokens]).outputs[""].shape == (1, 5, 2)
    kept, _ = given(Two(), torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last))
    assert kept[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "inputs", [(), [], {}, 3, (3, 0, 8), (3, -1), (3, 8.0), (True, 3), "3x8", None, {1: (3,)}]
)
def test_what_is_no_input_is_an_error(inputs: Any) -> None:
    with pytest.raises(ArgumentError, match="the input shape is not a shape: expected positive sizes"):
        given(Two(), inputs)


def test_an_input_of_more_bytes_than_can_be_counted_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="the input is too large: got 3×999999999×999999999"):
        given(Two(), (3, 999999999, 999999999))


def test_a_wrong_part_is_named() -> None:
    for inputs, what in (
        ([(3,), "x"], "input 1"),
        ({"a": (3, 0)}, "input 'a'"),
        ([{"k": 3}], "input 0, 'k'"),
    ):
        with pytest.raises(ArgumentError, match=f"{what} is neither a shape nor a tensor"):
            given(Two(), inputs)
    with pytest.raises(ArgumentError, match="dtype is not one of torch's"):
        given(Two(), (3,), dtype="int64")  # type: ignore[arg-type]


def test_several_inputs_reach_the_model_by_name_and_by_place() -> None:
    for inputs, names in (([(3,), (3,)], ["0", "1"]), ({"b": (3,), "a": (3,)}, ["b", "a"])):
        found = anatomy(Two(), inputs)
        assert list(found.inputs) == names
        assert found.outputs == {"": (1, 3)}
