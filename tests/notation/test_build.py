"""Networks from notation compute what the same network does when written by hand in torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.anatomy import anatomy
from cnnatomy.models import find, network
from cnnatomy.notation import NotationError, parse
from cnnatomy.notation.expand import layers
from cnnatomy.notation.vocabulary import WORDS
from cnnatomy.reducers import REGISTRY


def same(text: str, hand: nn.Module, *shape: int, **options: object) -> None:
    """Equal outputs for equal weights, given in order."""
    made = network(text, input_size=shape, **options).eval()  # type: ignore[arg-type]
    mine, theirs = made.state_dict(), hand.eval().state_dict()
    assert [tuple(t.shape) for t in mine.values()] == [tuple(t.shape) for t in theirs.values()]
    made.load_state_dict(dict(zip(mine, theirs.values(), strict=True)))
    x = torch.randn(2, *shape)
    torch.testing.assert_close(made(x), hand(x))


def test_a_vgg_stage() -> None:
    hand = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 6, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 5),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(5, 4),
    )
    same("conv3-8 conv1-6 maxpool FC-5 dropout FC-4 soft-max", hand, 3, 8, 8)


def test_names_of_modules_are_those_of_torchvision() -> None:
    state = network("vgg16", device="meta").state_dict()
    assert list(state)[:2] == ["features.0.weight", "features.0.bias"]
    assert list(state)[24] == "features.28.weight"
    assert list(state)[-6:] == [f"classifier.{n}.{what}" for n in (0, 3, 6) for what in ("weight", "bias")]
    owt = list(network("alexnet-owt", device="meta").state_dict())
    assert owt[-6:] == [f"classifier.{n}.{what}" for n in (1, 4, 6) for what in ("weight", "bias")]


class Hand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.na = nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.b, self.nb = nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.s, self.ns = nn.Conv2d(3, 4, 1, 2, bias=False), nn.BatchNorm2d(4)
        self.p, self.q, self.r = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(4, 1, 1)
        self.f = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.nb(self.b(F.relu(self.na(self.a(x))))) + self.ns(self.s(x)))
        parts = [F.relu(self.p(x)), F.relu(self.q(x)), F.relu(self.r(F.max_pool2d(x, 3, 1, 1)))]
        return self.f(torch.cat(parts, 1).mean((2, 3)))  # type: ignore[no-any-return]


def test_residual_and_inception() -> None:
    text = (
        "res(conv3-4 s2 p1 bn conv3-4 bn | conv1-4 s2 bn) cat(conv1-2, conv3-3, maxpool3s1 p1 conv1-1) "
        "globalavg FC-5"
    )
    torch.manual_seed(0)
    same(text, Hand(), 3, 9, 9)


class Ties(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(2, 3, 3, padding=1),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Conv2d(6, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        y, indices = F.max_pool2d(a, 2, return_indices=True)
        y = F.max_unpool2d(F.relu(self.b(y)), indices, [2, 2], output_size=list(a.shape[2:]))
        return self.c(torch.cat([a, y], 1))  # type: ignore[no-any-return]


def test_unpooling_and_skips() -> None:
    same("conv3-3:a maxpool:b conv3-3 unpool:b skip:a conv1-2", Ties(), 2, 7, 9)


def test_cropped_skips_take_the_middle() -> None:
    made = network("conv1-2:a crop2 skip:a crop", input_size=(1, 9, 8))
    x = torch.randn(1, 1, 9, 8)
    kept = F.relu(made.features[0](x))[:, :, 2:-2, 2:-2]
    assert torch.equal(made(x), torch.cat([kept, kept], 1))


EVERY = {
    "conv": "conv3-6 s2 keep",
    "dwconv": "dwconv3 m2",
    "sepconv": "sepconv3-6 d2",
    "pwconv": "pwconv-6 g2",
    "C": "C1:6 k3",
    "FC": "FC-5",
    "F": "F6:5",
    "RBF": "F6:84 RBF-4",
    "pool": "soft3s2 p1",
    "global": "globalavg",
    "adaptive": "adaptivemax3x2",
    "pyramid": "pyramid(1,2x3) max",
    "fractional": "fractional(0.6) max",
    "subsample": "subsample2",
    "S": "S2:4@4x4",
    "convpool": "convpool2",
    "up": "up2 bilinear",
    "resize": "resize5x3",
    "nails": "nails2",
    "convT": "convT3-5 s2 same",
    "subpixel": "subpixel2-3",
    "resizeconv": "resizeconv2-3 cubic",
    "unpool": "maxpool:a unpool:a",
    "meanunpool": "meanunpool2",
    "shuffle": "shuffle2",
    "unshuffle": "unshuffle2",
    "pad": "pad1x2 reflect",
    "crop": "crop1",
    "filter": "filter(sobel) s2",
    "skip": "relu:a skip:a",
    "add": "relu:a add:a",
    "input": "INPUT 4x8x8 relu",
    "LRN": "LRN(size=3, divide=true)",
    "gn": "gn2",
    "soft-max": "soft-max linear",
    "mapdropout": "mapdropout(0.2)",
}


@pytest.mark.parametrize("text", ["F6:84 RBF", "F6:84 RBF-classes", "F6:84 FC"])
def test_a_last_layer_without_a_number_has_the_classes(text: str) -> None:
    assert network(text, input_size=(1, 8, 8), classes=5).shape == (5,)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_builds_runs_and_gives_gradients(word: str) -> None:
    text = EVERY.get(word, word)
    assert word in {one.word for one in layers(parse(text).body)}
    torch.manual_seed(1)
    made = network(text, input_size=(4, 8, 8), classes=4 if word == "RBF" else None)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    y = made(x)
    assert tuple(y.shape[1:]) == made.shape
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_reducer_stands_wherever_a_pooling_can(name: str) -> None:
    for text in (f"{name}3s2", f"{name}pool", f"global{name}", f"adaptive{name}3"):
        made = network(text, input_size=(3, 8, 8))
        assert tuple(made(torch.rand(2, 3, 8, 8)).shape[1:]) == made.shape
    swapped = (
        network(
            "conv3-4 maxpool:a conv3-4 maxpool3s2 p1 meanunpool2 conv1-4 unpool:a FC-2",
            input_size=(3, 8, 8),
            pool=name,
        )
        if not REGISTRY[name]().mixes
        else network("conv3-4 maxpool3s2 FC-2", input_size=(3, 8, 8), pool=name)
    )
    assert swapped(torch.rand(2, 3, 8, 8)).shape == (2, 2)
    reducers = [getattr(module, "reducer", None) for module in swapped.modules()]
    assert {type(one) for one in reducers if one is not None} == {REGISTRY[name]}


@pytest.mark.parametrize(
    ("size", "text"), [((40,), "conv5-4 maxpool globalavg FC-2"), ((6, 7, 8), "conv3-4 bn soft2 FC-2")]
)
def test_one_and_three_dimensions(size: tuple[int, ...], text: str) -> None:
    assert network(text, input_size=(2, *size)).eval()(torch.randn(3, 2, *size)).shape == (3, 2)


@pytest.mark.parametrize(("text", "said"), [
    ("conv3-8 valid maxpool*4", r"sizes so far: 3x8x8 -> 8x6x6.*at column 15"),
    ("conv3-8 valid maxpool*4", "an input of at least"),
    ("res(conv3-8 s2)", r"try res\(... \| conv1-8 s2\)"),
    ("cat(conv3-8, conv3-8 s2)", "sizes differ.*8x8x8 and 8x4x4"),
    ("FC-10 conv3-8", "works on maps"),
    ("unpool:a", "no layer before it has that name"),
    ("maxpool:a conv3-8 unpool:a", "conv3-3 before it"),
    ("conv3-8:a maxpool skip:a", "sizes differ"),
    ("conv3-8:a conv3-4 add:a", "skip:a, or conv1-8"),
    ("relu:a relu:a", "two layers are called a"),
    ("conv3-8 g2", "groups do not divide"),
    ("up100*4", "too large"),
    ("FC-1000000 FC-1000000", "too many parameters"),
    ("INPUT 1x28x28 conv3-8", "another input"),
    ("C1:6@9x9", "cannot make maps"),
    ("shuffle2", "multiple of"),
])  # fmt: skip
def test_what_does_not_fit_is_said_with_sizes_and_what_would_mend_it(text: str, said: str) -> None:
    import re

    with pytest.raises(NotationError) as caught:
        network(text, input_size=(3, 8, 8))
    assert re.search(said, str(caught.value), re.DOTALL), str(caught.value)


def test_a_residual_network_of_a_thousand_blocks_is_built() -> None:
    block = "res(conv3-2 nobias bn conv3-2 nobias bn)"
    deep = network(f"INPUT 2x4x4 [{block}]*1000 globalavg FC-10", device="meta")
    kinds = [type(one).__name__ for one in deep.modules()]
    assert (kinds.count("Residual"), kinds.count("Conv2d"), kinds.count("BatchNorm2d")) == (1000, 2000, 2000)
    convolutions, norms, dense = 2000 * 2 * 2 * 9, 2000 * 2 * 2, 2 * 10 + 10
    assert sum(p.numel() for p in deep.parameters()) == convolutions + norms + dense


def test_a_name_that_nobody_asks_for_keeps_nothing() -> None:
    known = anatomy(network(find("lenet5").notation, classes=10), (1, 32, 32))
    assert known.layer("classifier").input_shapes == ((1, 120),)
    named, plain = (
        anatomy(network(f"INPUT 3x9x9 conv3-8{tie} maxpool conv3-8 FC-3"), (3, 9, 9)).memory
        for tie in (":a", "")
    )
    assert named == plain
    joined = network("INPUT 3x8x8 conv3-4:a maxpool up2 skip:a conv3-2")
    assert joined(torch.zeros(1, 3, 8, 8)).shape == (1, 2, 8, 8)


def test_equal_layers_are_separate_modules() -> None:
    torch.manual_seed(0)
    first, _, second, *_ = network("INPUT 2x4x4 conv3-2*2 FC-2").features.children()
    assert first is not second
    assert not torch.equal(first.get_parameter("weight"), second.get_parameter("weight"))


def test_an_open_input_is_settled_by_the_first_pictures() -> None:
    open_one = network("conv3-8 maxpool FC-classes", classes=["cat", "dog"])
    assert not open_one.built
    assert open_one(torch.zeros(1, 2, 6, 6)).shape == (1, 2)
    assert open_one.input_shape == (2, 6, 6)
    with pytest.raises(Exception, match="is built"):
        open_one.materialize(3, (8, 8))
