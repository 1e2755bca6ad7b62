"""Arguments of a wrong kind end in an error that says so, whatever function of networks they are given to."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import cnnatomy.train as training
from cnnatomy import adapt, checks, export, models, notation
from cnnatomy.data import Pictures
from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.files.transfer_progress import silent
from cnnatomy.models import weights
from cnnatomy.models.notated import Network
from cnnatomy.train import RunFolder, Settings, engine, finetune, redrawing
from cnnatomy.train.settings import HOMES

ODD: list[Any] = [
    None,
    True,
    3,
    -1,
    2.5,
    float("nan"),
    "x",
    b"x",
    [],
    {},
    [None],
    {"x": None},
    object(),
    nn.Linear,
]

TEXT = "conv3-4 bn maxpool FC-2"
CLASSES = ["cat", "dog"]
X = torch.rand(2, 1, 8, 8)


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2)
    ).eval()


def pictures() -> Pictures:
    return Pictures(
        torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), ("cat", "dog"), ["a", "b"]
    )


FLAT: dict[str, Any] = {"input_size": (1, 8, 8), "classes": CLASSES}
BUILT = FLAT | {"pool": "soft"}
STANDARD = {"mean": (0.5,), "std": (0.5,), "size": (8, 8), "crop": 1.0, "interpolation": "bilinear"}
WRITTEN = {
    "inputs": X,
    "output_names": ["y"],
    "dynamic_shapes": None,
    "preprocessing": {},
    "classes": CLASSES,
}
# Every argument by its name; those that only some kinds of networks take have values of theirs.
TRAINED = {"settings": Settings.of(data="none"), "folder": RunFolder(Path("new")), "resume": False}
TRAINED |= {"dry": False, "callbacks": (), "given": None, "model": None}
EVALUATED = {"run": "run", "data": "none", "weights": "last", "module": None, "code": None, "reporter": None}
PREDICTED = {"run": "run", "sources": ["none.png"], "top": 1, "batch_size": 2, "on": "cpu", "threads": 1}
PREDICTED |= {"weights": "last", "module": None, "code": None}
EXPORTED = {"run": "run", "path": "run.pt2", "weights": "best", "opset": 18, "module": None, "code": None}
JUDGED = {
    "model": models.build("FC-2", **FLAT),
    "pictures": pictures(),
    "data": "x",
    "training_commonest": None,
    "progress": silent,
}
CALLS: dict[Callable[..., Any], dict[str, Any]] = {
    notation.parse: {"text": TEXT},
    models.find: {"name": TEXT},
    models.network: BUILT | {"text": TEXT, "weights": None, "device": "cpu"},
    models.build: BUILT | {"name": TEXT, "output": None},
    Network: {"spec": notation.parse(TEXT), "classes": CLASSES, "pool": "soft"},
    Network.materialize: {"channels": 1, "size": (8, 8), "device": "cpu"},
    Network.forward: {"x": X},
    weights.find: {"source": "torchvision", "name": "none"},
    weights.find_head: {"model": net},
    weights.load_weights: {"model": net, "source": {}, "name": None, "strict": True, "head": "keep"},
    weights.load_into: {"model": net, "source": {}, "name": None, "fresh": False},
    weights.of_dict: {"content": {}, "source": "the dictionary"},
    weights.read: {"path": "none.pth"},
    weights.Preprocessing: STANDARD,
    weights.Preprocessing.__call__: {"pictures": X},
    adapt.convert: {"model": net, "swaps": {"MaxPool2d": "soft"}, "inplace": False},
    adapt.accelerate: {"model": net, "inputs": X, "tolerance": 1e-5, "seconds": 1e-3},
    export.export_run: EXPORTED,
    export.onnx: WRITTEN | {"model": net, "path": "no/where.onnx", "input_names": ["x"], "opset": 18},
    export.program: WRITTEN | {"model": net, "path": "no/where.pt2"},
    models.adopt: {"module": net, "classes": CLASSES, "input_size": (3, 8, 8), "loss": None},
    models.is_code: {"text": "net.py:Net"},
    models.consented: {"kept": "lenet5", "given": None},
    models.object_text: {"module": net},
    training.preset: {"name": "short"},
    engine.train: TRAINED,
    training.evaluate: EVALUATED,
    training.predict: PREDICTED,
    training.stream: PREDICTED,
    redrawing.redraw: {"run": "run", "pictures": ["none.png"], "folder": "out", "weights": "last"},
    training.judge: JUDGED,
    RunFolder: {"path": "run"},
    RunFolder.load_model: {"which": "last", "module": None, "code": None},
    finetune.stages: {"model": net},
    finetune.freeze: {"model": net, "what": 1},
    finetune.unfreeze: {"model": net, "what": 1},
    finetune.groups: {"model": net, "lr": 0.1, "decay": 0.5},
    finetune.replace_head: {"model": net, "classes": 2},
}  # fmt: skip
OWNERS: dict[Any, Callable[[], Any]] = {
    Network.materialize: lambda: Network(notation.parse(TEXT), CLASSES),
    Network.forward: lambda: Network(notation.parse(TEXT), CLASSES).materialize(1, (8, 8)),
    weights.Preprocessing.__call__: lambda: weights.Preprocessing((0.5,), (0.5,)),
    RunFolder.load_model: lambda: RunFolder(Path("run")),
}
"""What methods are called on."""
PAIRS = [(function, name) for function, given in CALLS.items() for name in given]
PACKAGES = (notation, models, weights, adapt, export, training)
TOLD = [
    *(getattr(package, name) for package in PACKAGES for name in package.__all__),
    *(
        engine.train,
        finetune.stages,
        finetune.freeze,
        finetune.unfreeze,
        finetune.groups,
        finetune.replace_head,
    ),
]


def call(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Give arguments by position where the function takes them so alone, and by name elsewhere."""
    given = {name: value() if value is net else copy.copy(value) for name, value in given.items()}
    owner: list[Any] = [OWNERS[function]()] if function in OWNERS else []
    kinds: Any = inspect.signature(function).parameters
    before = list(kinds)[: list(kinds).index("inputs")] if "inputs" in kinds else []
    args = [given.pop(name) for name in (*before, *(["inputs"] if before else []))]
    return function(*owner, *args, **given)


def refused(*_: Any, **__: Any) -> Any:
    raise ArgumentError("enough")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run in it; what takes long, once all arguments are seen, is left out."""
    monkeypatch.chdir(tmp_path)
    settings = Settings.of(model=TEXT, size="1x8x8")
    run = RunFolder(tmp_path / "run")
    run.create(settings)
    model = models.build(TEXT, classes=CLASSES, input_size=(1, 8, 8))
    run.write_model("last", model, settings, 1, {"fingerprint": "none"})
    monkeypatch.setattr(sys.modules["cnnatomy.adapt.accelerate"], "race", lambda *_, **__: [2.0, 1.0])
    monkeypatch.setattr(sys.modules["cnnatomy.export.onnx_writer"], "_translated", refused)
    monkeypatch.setattr(sys.modules["cnnatomy.export.program"], "lowered", refused)
    return tmp_path


def test_every_function_is_tried() -> None:
    public = {one for one in TOLD if inspect.isfunction(one)}
    assert public <= set(CALLS), public - set(CALLS)
    for function, given in CALLS.items():
        if not inspect.isclass(function):
            assert set(inspect.signature(function).parameters) - {"self"} == set(given), function


@pytest.mark.parametrize(("function", "name"), PAIRS, ids=lambda one: getattr(one, "__qualname__", one))
def test_an_odd_argument_works_or_is_told(function: Callable[..., Any], name: str, place: Path) -> None:
    for odd in ODD:
        try:
            with suppress(CnnatomyError):
                call(function, CALLS[function] | {name: odd})
        except Exception as error:
            raise AssertionError(f"{function.__qualname__}({name}={odd!r})") from error


@pytest.mark.parametrize("name", HOMES)
def test_an_odd_field_of_a_configuration_works_or_is_told(name: str) -> None:
    for odd in ODD:
        try:
            with suppress(CnnatomyError):
                Settings().changed(**{name: odd}).check()
        except Exception as error:
            raise AssertionError(f"Settings.of({name}={odd!r})") from error


THREE, HALF, NONE, LIST, CLASS = ODD[2], ODD[4], ODD[0], ODD[8], ODD[-1]  # of type Any


@pytest.mark.parametrize(("attempt", "said"), [
    (lambda: models.network(THREE), "expected notation, or the name of a classic, got 3 .int."),
    (lambda: models.network("vgg16", classes=HALF, device="meta"), "classes.*got 2.5 .float."),
    (lambda: models.network(TEXT, pool=THREE), "this is no pooling: expected a reducer.* got 3 .int."),
    (lambda: models.network(TEXT, **FLAT, weights=THREE), "where weights come from: .*got 3 .int."),
    (lambda: weights.load_weights(net(), NONE), "where weights come from: .*got None"),
    (lambda: weights.load_weights(THREE, {}), "this is no network"),
    (lambda: finetune.freeze(net(), HALF), "what to freeze: expected so many stages, or names.*got 2.5"),
    (lambda: finetune.freeze(nn.ReLU(), "x"), "expected a network that has parameters"),
    (lambda: finetune.replace_head(net(), LIST), "classes is not a whole number"),
    (lambda: checks.whole_number("n", torch.tensor(3), 1), "n is not .*; try torch.export, if "),
    (lambda: adapt.accelerate(THREE, X), "this is no network: expected an nn.Module, got 3 .int."),
    (lambda: adapt.accelerate(net(), 3), "does not run on these inputs"),
    (lambda: adapt.accelerate(CLASS, X), "got its class; try Linear"),
    (lambda: adapt.convert(THREE, {"MaxPool2d": "soft"}), "this is no network"),
    (lambda: adapt.convert(net(), THREE), "swaps: expected what becomes what"),
    (lambda: adapt.convert(net(), {}), "swaps: expected what becomes what.*got none"),
    (lambda: export.program(net(), "a.pt2"), "an example of the input is missing"),
    (lambda: export.program(net(), "a.pt2", X, output_names=["a", "b"]), "expected 1 name, got 2"),
    (lambda: export.program(net(), "a.pt2", X, output_names="a"), "output_names: .* strings, got 'a' .str."),
    (lambda: export.onnx(net(), "a.onnx", X, input_names="a"), "input_names: .* strings, got 'a' .str."),
    (lambda: export.onnx(net(), "a.onnx", X, classes="cat"), "classes: .* strings, got 'cat' .str."),
    (lambda: models.network(TEXT, classes="cat"), "classes.*: expected a list of strings, got 'cat' .str."),
    (lambda: Network(notation.parse(TEXT), classes="cat"), "classes: expected a list of strings, got 'cat'"),
    (lambda: training.predict(Path("run"), "seven.png"), "what to predict: expected a list of paths"),
])  # fmt: skip
def test_what_is_said(attempt: Callable[[], Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        attempt()
