"""Notation is read as published, prints as text that reads the same, and its errors point at the place."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from notation.makers import SPECS, damaged

from cnnatomy.errors import ArgumentError
from cnnatomy.models import network
from cnnatomy.notation import Layer, NotationError, Spec, parse
from cnnatomy.notation.expand import MOST_LAYERS, explicit
from cnnatomy.notation.parse import DEEPEST, LONGEST, parse_pooling

PUBLISHED = {
    "VGG's table 1": "conv3-64\tconv3-64\nmaxpool\nconv3-128\nmaxpool\nFC-4096\nFC-1000\nsoft-max",
    "VGG's input": "input (224 × 224 RGB image) conv3-64 LRN maxpool conv1-256",
    "the arrow pattern": ""
    "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC with N=2 M=3 K=1 maps=8",
    "the dash pattern": "[(CONV-RELU)*N - POOL?]*M - (FC-RELU)*K - SOFTMAX with N=2 M=3 K=1 maps=8 units=9",
    "the pattern in LaTeX": r"$"
    r"[(\text{CONV-RELU}) * N - \text{POOL?}] * M - (\text{FC-RELU}) * K - (\text{FC-SOFTMAX})$"
    " with N=1 M=1 K=0 maps=8",
    "LeNet-5's figure 2": "INPUT 32x32 C1: feature maps 6@28x28 S2: f. maps 6@14x14 "
    "C3: f. maps 16@10x10 (table I) S4: f. maps 16@5x5 C5: layer 120 F6: layer 84 OUTPUT 10",
    "LeNet-5 in slides": "C1 S2 C3 S4 C5 F6 with maps=6,16,120 units=84 kernel=5",
    "LeNet-5 with kernels": "C1:6 k5 S2:2x2 C3:16 k5(table I) S4:2x2 C5:120 F6:84 RBF-10",
    "residual": "res(conv3-64 bn conv3-64 bn | conv1-64 s2 bn)",
    "inception": "cat(conv1-64, conv1-96 conv3-128, conv1-16 conv5-32, maxpool3s1 p1 conv1-32)",
    "ties": "maxpool2:a conv3-8 unpool:a skip:a add:a",
    "poolings": "soft2 gem(p=3)3s2 avgpool max-pool globalavg l23 l2pool3 GAP adaptivemax7x5",
    "pyramid": "pyramid(1,2,4) max FC-classes",
    "upsampling": "up2 subpixel2-64 convT2-64 s2 resizeconv2-64",
}


@pytest.mark.parametrize("text", PUBLISHED.values(), ids=PUBLISHED)
def test_published_forms_are_read_and_print_as_text_that_reads_the_same(text: str) -> None:
    spec = parse(text)
    assert parse(str(spec)) == spec


def test_vgg_prints_as_published() -> None:
    text = "conv3-64 LRN conv3-64 maxpool conv1-256 FC-4096 FC-4096 FC-1000 soft-max"
    assert str(parse(text)) == text


def test_words_are_read_in_any_case() -> None:
    text = PUBLISHED["VGG's table 1"]
    assert parse(text.upper()) == parse(text.lower()) == parse(text)


@pytest.mark.parametrize("separator", [" ", "\n", ", ", " -> ", "-", " - ", ";", "  # a comment\n"])
def test_every_separator_says_the_same(separator: str) -> None:
    assert parse(separator.join(["conv3-8", "relu", "maxpool", "FC-10"])) == parse(
        "conv3-8 relu maxpool FC-10"
    )


@given(SPECS)
def test_what_is_printed_reads_as_what_was_printed(spec: Spec) -> None:
    assert parse(str(spec)) == spec


def test_options_mean_what_they_say() -> None:
    (layer,) = parse("conv3x5-64 s2x1 p0+1x2 d2 g4 reflect nobias").body
    assert layer == Layer(
        "conv",
        (3, 5),
        64,
        options=(
            ("stride", (2, 1)),
            ("padding", ((0, 1), 2)),
            ("mode", "reflect"),
            ("dilation", (2,)),
            ("groups", 4),
            ("bias", False),
        ),
    )


@pytest.mark.parametrize(("text", "column", "said"), [
    ("conv3-64 maxpol", 10, "try maxpool"),
    ("conv3-64 conv3-64 cnv3-8", 19, "try conv"),
    ("FC-10 sigmoyd", 7, "try sigmoid"),
    ("conv3-64 mxpool2", 10, "try maxpool"),
    ("conv3-64)", 9, "expected"),
    ("[conv3-64", 10, "expected ]"),
    ("conv3-64 max", 10, "maxpool, max2 or globalmax"),
    ("maxpool ceil ceil", 14, "said twice"),
    ("FC-10 s2", 1, "takes no stride"),
    ("relu-64", 1, "no maps of its own"),
    ("gem(q=3)2", 1, "expected p, clamp, learned"),
    ("conv3-99999999", 6, "too large"),
    ("conv3-8*50000000", 8, "too large"),
    ("unpool", 1, "unpool:a"),
    ("conv3-8 pyramid max", 9, "pyramid(1,2,4) max"),
    ("fractional", 1, "fractional(0.7) max"),
    ("res()", 1, "empty"),
    ("conv3-64 with N=2 N=3", 19, "set twice"),
    ("\nconv3-64\nmaxpol", 1, "line 3, column 1"),
    ("conv0-3", 5, "a size is 0"),
])  # fmt: skip
def test_errors_point_at_the_column_and_say_what_to_try(text: str, column: int, said: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert caught.value.column == column
    *_, line, caret = str(caught.value).split("\n")
    assert caret.index("^") - 2 == column - 1
    assert line.strip() in text


@pytest.mark.parametrize(("text", "said"), [
    ("[conv3-8]*N", "how often is N"),
    ("conv", "how many maps"),
    ("FC FC-3", "how many units"),
    ("conv3-8 FC-classes", "classes is open"),
    ("conv3-8 with N=2", "nothing takes the setting N"),
    ("[[conv]*2]*3 with maps=1,2,3,4", "maps has 4 values: expected 4 rounds, got 3 of 2"),
    ("[[[conv3-8]*1000]*1000]*1000", "too many"),
    (f"conv3-8*{MOST_LAYERS + 1}", f"at most {MOST_LAYERS:,}"),
    ("[[[pool?]*1000]*1000]*1000 conv3-8 with pool=0", "too many repeats"),
])  # fmt: skip
def test_what_is_left_open_or_too_much_is_said(text: str, said: str) -> None:
    with pytest.raises(NotationError, match=said):
        explicit(parse(text))


def test_limits_hold_against_depth_and_length() -> None:
    with pytest.raises(NotationError, match="nested too deep"):
        parse("[" * (DEEPEST + 1) + "conv" + "]" * (DEEPEST + 1))
    parse("[" * DEEPEST + "conv3-8" + "]" * DEEPEST)
    with pytest.raises(NotationError, match="too long"):
        parse(" " * (LONGEST + 1))
    for odd in ("(" * 10_000, "[[" * 5_000, "res(" * 5_000, "*" * 5_000):
        with pytest.raises(NotationError):
            parse(odd)


def test_repeats_take_lists_by_the_outermost_repeat_of_their_length() -> None:
    spec = parse("[[conv]*N maxpool?]*M FC with N=1,2 M=2 maps=8,16 pool=1,0 classes=3")
    assert str(explicit(spec)) == "conv-8 relu maxpool conv-16 relu conv-16 relu FC-3 linear"


def test_activations_are_implied_as_published() -> None:
    def meant(text: str) -> str:
        return str(explicit(parse(text)))

    assert meant("conv3-8 LRN FC-4 FC-2 soft-max") == "conv3-8 relu LRN FC-4 relu FC-2 linear soft-max"
    assert meant("conv3-8 bn conv3-8 tanh FC-2") == "conv3-8 nobias bn relu conv3-8 tanh FC-2 linear"
    assert meant("conv3-8 bias bn FC-2") == "conv3-8 bias bn relu FC-2 linear"
    assert meant("conv3-8 linear globalavg") == "conv3-8 linear globalavg"
    assert (
        meant("res(conv3-8 bn conv3-8 bn) FC-2")
        == "res(conv3-8 nobias bn relu conv3-8 nobias bn linear) relu FC-2 linear"
    )
    assert meant("res(bn relu conv3-8 linear) maxpool") == "res(bn relu conv3-8 linear) maxpool"
    assert meant("cat(conv1-2, conv3-2) conv3-2") == "cat(conv1-2 relu, conv3-2 relu) conv3-2 linear"
    assert meant("conv3-8:a skip:a FC-1") == "conv3-8 relu:a skip:a FC-1 linear"
    assert meant("conv3-8 relu soft-max with classes=3") == "conv3-8 relu FC-3 linear soft-max"


@settings(max_examples=40)
@given(SPECS)
def test_the_explicit_form_implies_nothing_more(spec: Spec) -> None:
    try:
        made = explicit(spec, classes=10)
    except NotationError:
        return
    assert explicit(made, classes=10) == made
    assert parse(str(made)) == made


def fuzz(count: int, first: int) -> dict[str, int]:
    """How many damaged texts gave a network, one that is open still, or a clear error."""
    counts = {"network": 0, "open": 0, "error": 0}
    for number in range(first, first + count):
        text = damaged(random.Random(number))
        try:
            made = network(text, classes=7, device="meta", input_size=(3, 32, 32) if number % 2 else None)
            counts["network" if made.built else "open"] += 1
        except ArgumentError as error:
            clear = isinstance(error, NotationError) or "unknown model" in str(error)
            counts["error" if clear else "unclear"] += 1
    return counts


def test_damaged_texts_give_a_network_or_a_clear_error() -> None:
    counts = fuzz(250, first=0)
    assert min(counts.values()) > 0


@pytest.mark.slow
def test_ten_thousand_damaged_texts_give_a_network_or_a_clear_error() -> None:
    assert sum(fuzz(10_000, first=1_000).values()) == 10_000


@pytest.mark.parametrize(("pool", "said"), [
    ("", "this is no pooling: expected a reducer, its name, or its name and arguments, .* got '' .str."),
    (" ", "this is no pooling"),
    ("(3)", "this is no pooling"),
    ("*3", "this is no pooling"),
    ("sotf", "no pooling is called 'sotf': .*; try 'soft'"),
    ("globalsoft", "a global pooling takes no other's place: .*; try globalsoft in the model's text"),
    ("Global-Avg", "try global-avg in the model's text"),
    ("globalgem(p=3)", r"try globalgem\(p=3\) in the model's text"),
    ("globalsotf", "no pooling is called 'globalsotf'"),
])  # fmt: skip
def test_what_is_no_pooling_is_told(pool: str, said: str) -> None:
    with pytest.raises(NotationError, match=said):
        parse_pooling(pool)
