"""Networks by their place: files of one's own, and what stands in for timm and torchvision."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.models import build, consented, find, is_code, network, object_text
from cnnatomy.models.foreign_classifier import Adopted
from cnnatomy.models.named import is_place
from cnnatomy.models.weights.hub import find as find_weights

SHAPE = (3, 12, 12)
FILE = """
import torch
from torch import nn
from torch.nn import functional as F
from cnnatomy.nn import GlobalPool2d

class Net(nn.Module):
    def __init__(self, width=8, *, num_classes=10, in_channels=3):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(in_channels, width, 3), nn.MaxPool2d(2)
        self.whole, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(width, num_classes)
    def forward(self, x):
        return self.head(self.whole(self.pool(self.conv(x))).flatten(1))

class Fixed(Net):
    def __init__(self):
        super().__init__(num_classes=1000)

class Named(Net):
    def __init__(self, classes, in_chans):
        super().__init__(num_classes=classes, in_channels=in_chans)

class Calling(Net):
    def forward(self, x):
        return self.head(F.max_pool2d(self.conv(x), 2).mean((2, 3)))

class Deciding(Calling):
    def forward(self, x):
        return self.head(F.max_pool2d(self.conv(x), 2 if x.sum() > -1 else 3).mean((2, 3)))

class Normed(Net):
    def __init__(self):
        super().__init__(num_classes=7)
        self.last = nn.LayerNorm(7)
    def forward(self, x):
        return self.last(super().forward(x))

class Needy(nn.Module):
    def __init__(self, depth):
        super().__init__()

class Odd(nn.MaxPool2d):
    pass

class Oddly(Net):
    def __init__(self):
        super().__init__()
        self.pool = Odd(2)

class Strided(Net):
    def __init__(self):
        super().__init__()
        self.pool = nn.Conv2d(8, 8, 2, stride=2)

class Whole(Strided):
    def __init__(self):
        super().__init__()
        self.whole = GlobalPool2d("max")

made = Net(num_classes=5)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_nets.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    yield tmp_path
    sys.modules.pop("own_nets", None)


def built(text: str, classes: Any = 5, input_size: Any = SHAPE, **options: Any) -> Adopted:
    model = build(text, classes=classes, input_size=input_size, **options)
    assert isinstance(model, Adopted)
    return model


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("where", ["own_nets.py", "./own_nets.py", "own_nets"])
@pytest.mark.parametrize("name", ["Net", "Net(16)", "Net(width=4)", "Named", "made"])
def test_an_own_network_is_told_its_classes_and_channels(where: str, name: str) -> None:
    model = built(f"{where}:{name}")
    assert model(torch.rand(2, *SHAPE)).shape == (2, 5)
    assert not model.notes
    assert model.get_parameter("conv.weight").is_contiguous(memory_format=torch.channels_last)
    if name != "made":
        assert built(f"{where}:{name}", input_size=(1, 9, 9)).get_parameter("conv.weight").shape[1] == 1


@pytest.mark.usefixtures("home")
def test_the_seed_decides_the_weights_and_what_is_made_stays_as_it_is() -> None:
    torch.manual_seed(3)
    first = built("own_nets:Net")
    torch.manual_seed(3)
    assert torch.equal(built("own_nets:Net").get_parameter("head.weight"), first.get_parameter("head.weight"))
    with torch.no_grad():
        built("own_nets:made").get_parameter("head.weight").zero_()
    assert built("own_nets:made").get_parameter("head.weight").any()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", ["own_nets.py:Fixed", "own_nets.py:Net(num_classes=9)"])
def test_a_network_for_other_classes_gets_a_fresh_head_and_says_so(text: str) -> None:
    model = built(text)
    assert model(torch.rand(2, *SHAPE)).shape == (2, 5)
    assert model.notes == (f"the last layer of {text}, head, was for other classes and begins anew",)


@pytest.mark.usefixtures("home")
def test_a_network_is_rebuilt_by_its_text_and_takes_the_weights() -> None:
    model = built("own_nets.py:Fixed", pool="soft", classes=["a", "b", "c"])
    again = built("own_nets.py:Fixed", pool="soft", classes=["a", "b", "c"])
    again.load_state_dict(model.state_dict(), strict=True)
    x = torch.rand(2, *SHAPE)
    assert torch.equal(again(x), model(x))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["Net", "Calling"])
def test_pool_takes_the_place_of_poolings_that_have_windows(name: str) -> None:
    plain, model = built(f"own_nets.py:{name}"), built(f"own_nets.py:{name}", pool="min")
    model.load_state_dict(plain.state_dict())
    x = torch.rand(2, *SHAPE)

    def truth(model: Adopted) -> Tensor:
        conv, head = model.get_submodule("conv"), model.get_submodule("head")
        pooled: Tensor = head(-F.max_pool2d(-conv(x), 2).mean((2, 3)))
        return pooled

    assert torch.allclose(model(x), truth(plain), atol=1e-5)
    assert isinstance(model.get_submodule("whole"), nn.AdaptiveAvgPool2d)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Deciding", r"pool does not reach every pooling of own_nets.py:Deciding: got .*max_pool2d"),
        ("Oddly", "own_nets.py:Oddly pools by Odd, which has rules of its own; try leaving out pool"),
        ("Strided", "pool finds no pooling with windows or a grid in own_nets.py:Strided"),
        ("Whole", "pool finds no pooling with windows or a grid in own_nets.py:Whole"),
    ],
)
def test_pool_is_refused_where_it_does_not_reach(name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        built(f"own_nets.py:{name}", pool="soft")
    with pytest.raises(ArgumentError, match="expected learned=1, got learned=channels"):
        built("own_nets.py:Net", pool="gem(learned=channels)")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("own_nets.py:Tne", "own_nets.py has no model 'Tne'"),
        (
            "own_nets.py:Needy",
            r"Needy cannot be called so: missing a required argument: 'depth'; try .*\(\.\.\.\)",
        ),
        ("own_nets.py:torch", "'torch' of own_nets.py is not a model: got module"),
        ("own_nets.py:F.relu", "cannot be called so: missing a required argument: 'input'"),
        ("own_nets.py:Net(width=open('x'))", "expected Python literals"),
        ("own_nets.py:Net(width=-1)", "Net of own_nets.py raised RuntimeError: Trying to create tensor"),
        ("own_nets.py:Normed", r"expected 5 outputs, got 7.*its last layer cannot be replaced.*LayerNorm"),
        ("own_nets.py:Net(in_channels=1)", "Net cannot read pictures of 3x12x12.*try 1 channels"),
        ("own_nets.py", "own_nets.py may hold many networks; try own_nets.py:NAME"),
        ("gone.py:Net", "there is no file 'gone.py'"),
        ("no_such_package:Net", "there is no Python module 'no_such_package'"),
        (
            "object:own_nets.Net",
            r"was given as an object \(own_nets.Net\); try load_model\(module=Net\(...\)\)",
        ),
    ],
)
def test_what_cannot_be_built_is_an_error_in_a_line(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as told:
        built(text)
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("home")
def test_an_own_network_must_be_told_what_it_reads() -> None:
    with pytest.raises(
        ArgumentError, match=r"what Net of own_nets.py reads is not known: expected input_size="
    ):
        build("own_nets.py:Net", classes=3)
    with pytest.raises(ArgumentError, match="no output 'rbf'"):
        built("own_nets.py:Net", output="rbf")


class Small(nn.Module):
    """As a library builds it: sizes by name, and a head that it knows of."""

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, img_size: Any = None) -> None:
        super().__init__()
        self.num_classes, self.img_size = num_classes, img_size
        self.head = nn.Linear(8, num_classes)
        self.stem = nn.Conv2d(in_chans, 8, 3)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.stem(x).mean((2, 3)))
        return scores


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has timm's and torchvision's interface, and fails where weights would be fetched."""
    timm: Any = ModuleType("timm")
    timm.list_models = lambda: ["small_net", "fixed_net"]
    timm.is_model = lambda name: name in timm.list_models()

    def create_model(name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module:
        assert not pretrained
        return Small(**kwargs)

    class Config:
        def __init__(self, name: str) -> None:
            self.input_size, self.fixed_input_size = (3, 20, 20), name == "fixed_net"

    timm.create_model, timm.get_pretrained_cfg = create_model, Config
    models: Any = ModuleType("torchvision.models")

    def small18(*, weights: Any = "DEFAULT", progress: bool = True, **kwargs: Any) -> nn.Module:
        assert weights is None
        return Small(**kwargs)

    small18.__module__ = "torchvision.models.small"
    models.small18, models._api, models.os = small18, sys, sys.modules["os"]
    library: Any = ModuleType("torchvision")
    library.models = models
    for name, module in (("timm", timm), ("torchvision", library), ("torchvision.models", models)):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("libraries")
def test_networks_of_libraries_are_told_classes_channels_and_size() -> None:
    assert built("timm:small_net", input_size=(1, 9, 9)).get_parameter("stem.weight").shape[1] == 1
    model = built("timm:fixed_net", input_size=(3, 9, 7))
    assert model.module.img_size == (9, 7)
    assert model.num_classes == 5
    assert built("torchvision:small18").get_parameter("head.weight").shape[0] == 5
    assert build("timm:small_net", classes=3).input_shape == (3, 20, 20)
    assert build("torchvision:small18", classes=3).input_shape == (3, 224, 224)
    assert built("torchvision:small18(num_classes=9)").notes


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timm:small_nte", "timm has no model 'small_nte'; try small_net"),
        ("timm:small_net(depth=3)", "small_net of timm raised TypeError: .*'depth'"),
        ("timm:small_net(checkpoint_path='x.pth')", "checkpoint_path is no argument here; try weights="),
        ("torchvision:small81", "torchvision has no model 'small81'; try small18"),
        ("torchvision:_api.exit", "torchvision has no model '_api.exit'"),
        ("torchvision:os.system('true')", "torchvision has no model 'os.system'"),
        ("torchvision:small18.__globals__", "torchvision has no model"),
    ],
)
def test_only_what_a_library_publishes_is_built(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        built(text)
    assert not is_code(text)


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_library_that_is_missing_or_does_not_go_with_torch_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / package).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    for said, message in (
        (
            "raise RuntimeError('operator nms does not exist')",
            "operator nms does not exist; try .*torchvision made",
        ),
        ("import not_there", "cannot be imported: it needs not_there; try pip install not_there"),
    ):
        (tmp_path / package / "__init__.py").write_text(said)
        with pytest.raises(ArgumentError, match=f"{package} cannot be imported.*{message.split(': ')[-1]}"):
            built(f"{package}:resnet18")
        sys.path_importer_cache.clear()
        for cached in (tmp_path / package).glob("__pycache__/*"):
            cached.unlink()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArgumentError, match=f"{package} is not installed; try pip install {package}"):
        built(f"{package}:resnet18")


def test_places_are_recognised_without_torch_or_running_anything() -> None:
    code = (
        "import sys; from cnnatomy.models import find;"
        "places = 'timm:convnext_atto', 'torchvision:resnet18', 'gone.py:Net', 'gone:Net';"
        "entries = [find(place) for place in places];"
        "print(*[e.summary for e in entries], sep='|'); assert 'torch' not in sys.modules;"
        "assert all(e.input_shape is None and e.outputs == ('softmax',) for e in entries)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = "convnext_atto of timm|resnet18 of torchvision|Net of gone.py|Net of gone"
    assert done.stdout.strip() == said


@pytest.mark.parametrize(
    "text",
    ["maxpool:a", "maxpool3s2:a", "conv3-8 maxpool:a FC-10 unpool:a", "C1:6@28x28", "lenet5", "net.pt2", ""],
)
def test_notation_and_names_are_no_places(text: str) -> None:
    assert not is_place(text)
    assert not is_code(text)


def test_notation_is_not_asked_for_what_has_a_place() -> None:
    with pytest.raises(ArgumentError, match="timm"):
        network("timm:resnet10t")


@pytest.mark.parametrize(
    "kept", ["net.py:Net", "package.nets:Net(3)", "/tmp/a b/net.py:Net", "os:system('ls')"]
)
def test_a_saved_run_starts_no_code_without_consent(kept: str) -> None:
    assert is_code(kept)
    with pytest.raises(
        ArgumentError, match=r"a saved run alone may not start: expected your consent; try --model"
    ):
        consented(kept)
    assert consented(kept, given="mine.py:Net") == "mine.py:Net"


def test_other_networks_of_a_saved_run_need_no_consent() -> None:
    for kept in ("lenet5", "conv3-8 globalavg FC-10", "timm:resnet10t", "torchvision:resnet18"):
        assert consented(kept) == kept
    text = object_text(Small())
    assert find(text).summary.startswith("Small of ")
    assert not is_code(text)
    with pytest.raises(ArgumentError, match=r"given as an object.*; try load_model\(module=Small"):
        consented(text)

    class Local(nn.Module):
        pass

    assert find(object_text(Local())).summary.startswith("Local of ")


def test_weights_of_a_library_are_those_of_the_network_named_by_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setitem(sys.modules["cnnatomy.models.weights.hub"]._READERS, "timm", asked.append)
    find_weights("timm", "timm:resnet10t(drop_rate=0.1)")
    find_weights("timm", "resnet18")
    assert asked == ["resnet10t", "resnet18"]
