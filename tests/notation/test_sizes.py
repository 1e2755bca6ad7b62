"""Networks and pictures of other sizes than theirs: what runs gives what it should, what does not is told."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.models import build as build_model
from cnnatomy.models import network
from cnnatomy.notation import NotationError, parse
from cnnatomy.notation.build import build
from cnnatomy.notation.expand import explicit
from cnnatomy.notation.nearest_input import MOST, NEAR, nearest
from cnnatomy.train.finetune import replace_head

LAYERS = ("conv3-4 valid", "conv5-4 s2 valid", "maxpool", "maxpool3s2", "avgpool3s2 p1", "conv7-4 d2 valid")
TIED = ("conv3-4:{0} maxpool up2 add:{0}", "conv1-4:{0} maxpool up2 skip:{0}", "res(dwconv3 valid pad1)")


@pytest.mark.parametrize(("text", "shape"), [
    ("conv3-8 bn maxpool globalavg FC-4", (3, 9, 7)),
    ("conv5-8 maxpool FC-4 soft-max", (2, 30)),
    ("res(conv3-3 bn) soft2 FC-3 logsoftmax", (3, 4, 6, 5)),
    ("conv3-4 maxpool:a conv3-4 unpool:a conv1-3", (3, 8, 8)),
])  # fmt: skip
def test_one_picture_gives_what_a_batch_of_it_does(text: str, shape: tuple[int, ...]) -> None:
    made = network(text, input_size=shape).eval()
    x = torch.randn(shape)
    assert torch.equal(made(x), made(x[None])[0])
    assert made(x).shape == made.shape


def test_first_pictures_must_be_a_batch_unless_the_text_says_what_they_are() -> None:
    with pytest.raises(
        ArgumentError, match=r"one picture or many signals.*try x\[None\].*input_size=\(channels, length"
    ):
        network("conv3-4 globalavg FC-2")(torch.rand(3, 8, 8))
    for shape in ((), (8,), (1, 3, 2, 2, 2, 2)):
        with pytest.raises(ArgumentError, match="a batch"):
            network("relu")(torch.rand(shape))
    said = network("INPUT 8x8 conv3-4 globalavg FC-2")
    assert said(torch.rand(3, 8, 8)).shape == (2,)
    assert said.input_shape == (3, 8, 8)


@pytest.mark.parametrize("pictures", [
    torch.zeros(2, 3, 16, 16, dtype=torch.uint8),
    3, None,
])  # fmt: skip
@pytest.mark.parametrize("shape", [None, (3, 16, 16)])
def test_what_is_no_float_tensor_is_told(pictures: object, shape: tuple[int, ...] | None) -> None:
    with pytest.raises(ArgumentError, match=r"takes floats|a batch \(N, C, H, W\)"):
        network("conv3-4 FC-2", input_size=shape)(pictures)


@pytest.mark.parametrize(("text", "shape", "said"), [
    ("conv3-8 maxpool*2 FC-4", (3, 24, 20), r"for 3x16x16: expected 128 values where maps are flattened "
     r"\(classifier.0\), got 240 of 3x24x20; try pictures of 16x16, .*globalavg or adaptiveavg"),
    ("cat(FC-4, globalavg) FC-2", (3, 8, 8), r"expected 768 values.*\(features.0.branches.0.0.1\), got 192"),
    ("conv3-8 maxpool*2 FC-4", (1, 16, 16), r"expected a batch \(N, 3, 16, 16\), got shape \(2, 1, 16, 16\)"),
    ("conv3-8 maxpool*2 FC-4", (16,), r"expected a batch \(N, 3, 16, 16\), got shape \(2, 16\)"),
    ("conv3-8 maxpool*3 globalavg FC-4", (3, 4, 4), r"maxpool does not fit.*built for 3x16x16, at column 9"),
    ("conv3-4:a maxpool up2 add:a", (3, 9, 8), r"add:a does not fit: sizes differ.*for 3x16x16, at col"),
    ("C1:4 k5 C2:8 globalavg FC-3", (3, 9, 9), "no window|got 3x9x9, for which features.2 would be another"),
])  # fmt: skip
def test_pictures_of_another_size_are_told_what_would_fit(
    text: str, shape: tuple[int, ...], said: str
) -> None:
    made = network(text, input_size=(3, 16, 16))
    with pytest.raises(ArgumentError) as caught:
        made(torch.rand(2, *shape))
    assert re.search(said, str(caught.value), re.DOTALL), str(caught.value)
    assert "smallest" not in str(caught.value), "what fits the text need not fit what was built from it"


@pytest.mark.parametrize("name", ["conv3-4 globalavg FC-2", "lenet5"])
def test_pictures_of_another_dtype_or_shape_are_told_as_they_were_given(name: str) -> None:
    made = build_model(name, classes=10, input_size=(1, 32, 32))
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.complex64):
        kind = str(dtype).removeprefix("torch.")
        with pytest.raises(ArgumentError, match=rf"expected float32, got {kind}; try x\.to\(torch\.float32"):
            made(torch.rand(2, 1, 40, 32).to(dtype))
    assert made.double()(torch.rand(1, 32, 32).double()).dtype == torch.float64
    with pytest.raises(ArgumentError, match=r"expected a picture \(1, 32, 32\), got shape \(3, 32, 32\)"):
        made(torch.rand(3, 32, 32).double())
    with pytest.raises(ArgumentError, match=r"batch \(N, 1, 32, 32\), got shape \(1, 3, 32, 32\)"):
        made(torch.rand(1, 3, 32, 32).double())


def test_dtypes_are_autocasts_business_where_it_is_on() -> None:
    made = network("conv3-4 maxpool FC-2", input_size=(3, 8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert made(torch.rand(1, 3, 8, 8).bfloat16()).dtype == torch.bfloat16
        with pytest.raises(ArgumentError, match="built for 3x8x8"):
            made(torch.rand(1, 3, 4, 4).bfloat16())


def test_a_network_with_a_new_head_says_the_same() -> None:
    made = network("conv3-8 maxpool*2 FC-4", input_size=(3, 16, 16))
    replace_head(made, 7)
    with pytest.raises(ArgumentError, match=r"128 values where maps are flattened .*, got 288"):
        made(torch.rand(2, 3, 24, 24))


def test_an_error_of_another_kind_passes() -> None:
    made = network("conv3-4 globalavg FC-2", input_size=(3, 8, 8))
    made.features[1].forward = lambda x: x.nothing
    for size in (8, 12):
        with pytest.raises(AttributeError, match="nothing"):
            made(torch.rand(2, 3, size, size))


def test_tracing_and_compiling_go_through() -> None:
    made = network("conv3-4 maxpool FC-2", input_size=(3, 8, 8)).eval()
    x = torch.rand(2, 3, 8, 8)
    for through in (torch.fx.symbolic_trace(made), torch.compile(made, fullgraph=True, backend="eager")):
        assert torch.equal(through(x), made(x))


def fits(text: str, size: int) -> bool:
    try:
        build(explicit(parse(text)), 2, (size, size), device="meta", search=False)
    except NotationError:
        return False
    return True


@settings(max_examples=12, phases=[Phase.generate])
@given(st.lists(st.sampled_from(LAYERS + TIED), min_size=1, max_size=3), st.integers(1, 12))
def test_the_smallest_larger_size_that_fits_is_named(parts: list[str], size: int) -> None:
    text = " ".join(part.format(f"a{place}") for place, part in enumerate(parts))
    try:
        network(text, input_size=(2, size, size), device="meta")
    except NotationError as error:
        found = re.search(r"the smallest larger input that fits is 2x(\d+)x(\d+), at column", str(error))
        truth = next(n for n in range(size + 1, size + 200) if fits(text, n))
        assert found is not None
        assert found[1] == found[2] == str(truth)


def test_sizes_far_away_smaller_or_of_another_ratio_are_named() -> None:
    for text, shape, said in (
        ("conv101-4 valid", (3, 8, 8), "the smallest larger input that fits is 3x101x101"),
        ("[conv3-4 valid]*20 maxpool FC-2", (3, 9, 60), "the smallest larger input that fits is 3x42x60"),
        ("C1:6@28x28 k5 FC-2", (1, 40, 40), "the largest smaller input that fits is 1x32x32"),
        ("C1:6@28x28 k5 FC-2", (1, 40, 30), "an input that fits is 1x32x32"),
        ("conv5-4 valid", (3, 3), "the smallest larger input that fits is 3x5"),
        ("INPUT 28x28 conv3-4", (1, 40, 40), "the largest smaller input that fits is 1x28x28"),
        ("conv3-4 maxpool*9 FC-10", (3, 16, 16), "an input that fits is 3x512x512"),
        ("[conv3-4 maxpool]*5 FC-2", (3, 2, 2), "the smallest larger input that fits is 3x32x32"),
    ):
        with pytest.raises(NotationError, match=said):
            network(text, input_size=shape, device="meta")


@pytest.mark.parametrize(
    "text", ["conv3-8 g2", "FC-10 conv3-8", "shuffle3", "conv3-4:a conv3-5 add:a", "FC-10:a skip:b"]
)
def test_where_size_is_not_to_blame_none_is_named(text: str) -> None:
    with pytest.raises(NotationError) as caught:
        network(text, input_size=(5, 8, 8))
    assert "input that fits" not in str(caught.value)


def test_a_search_ends() -> None:
    tried = []

    def never(size: tuple[int, ...]) -> tuple[str, int]:
        tried.append(size)
        return f"not {size}", 100

    assert nearest(never, (8, 8), ("not (8, 8)", 100)) is None
    assert len(tried) <= MOST / 100 + 2
    tried.clear()
    assert nearest(lambda size: (never(size)[0], MOST + 1), (8, 8), ("not (8, 8)", 3)) is None
    assert len(tried) == 1, "a walk that costs too much is not repeated"


@pytest.mark.parametrize(
    ("fits", "size", "found"),
    [
        ({1}, (5,), ("the largest smaller", (1,))),
        ({40 - NEAR}, (40,), ("the largest smaller", (40 - NEAR,))),
        ({39 - NEAR}, (40,), None),
        ({4, 7}, (5, 5), ("the smallest larger", (7, 7))),
        ({4, 7}, (5, 7), ("the smallest larger", (7, 7))),
        ({3, 9}, (9, 9, 12), ("an", (9, 9, 9))),
    ],
)
def test_the_nearest_size_is_found(fits: set[int], size: tuple[int, ...], found: object) -> None:
    def refusal(tried: tuple[int, ...]) -> tuple[str, int]:
        return ("" if fits.issuperset(tried) else f"not {tried}"), 0

    assert nearest(refusal, size, (f"not {size}", 0)) == found


def test_what_is_far_away_is_found_between_steps() -> None:
    """Where looking at sizes costs much, those from the one that is found on are taken to fit."""

    def from_300(tried: tuple[int, ...]) -> tuple[str, int]:
        return ("" if min(tried) >= 300 else f"not {tried}"), 19

    assert nearest(from_300, (5, 5), ("not (5, 5)", 19)) == ("an", (300, 300))


@pytest.mark.parametrize("text", ["conv3-8 globalavg FC-2", "allconv", "FC-2", "res(conv3-3) globalmax FC-2"])
def test_a_pooling_for_nothing_is_refused(text: str) -> None:
    said = r"no pooling to replace: .*global ones stay; try globalgem\(p=2.*\) in the model's text"
    with pytest.raises(ArgumentError, match=said):
        network(text, input_size=(3, 32, 32), pool="gem(p=2)", device="meta")


def test_global_poolings_stay_and_all_others_give_way() -> None:
    text = "maxpool adaptiveavg4 pyramid(1,2) max"
    made = network(f"cat(globalavg, {text}) FC-2", input_size=(3, 16, 16), pool="soft")
    names = [type(m.reducer).__name__ for m in made.modules() if hasattr(m, "reducer")]
    assert names == ["Mean", "Soft", "Soft", "Soft"]
