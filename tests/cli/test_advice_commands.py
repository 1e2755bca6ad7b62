"""`window`, `solve`, `sizes` and `diff` print the library's numbers, and those that courses print."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cnnatomy.anatomy.measure import anatomy
from cnnatomy.cli import main
from cnnatomy.cli.window import Arguments, chain

PAGE = Path(__file__).parents[2] / "docs" / "advice.md"
SHOWN = re.findall(r"```console\n\$ cnnatomy ([^\n]*)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
NET = """
from torch import nn

def small(kernel=5):
    return nn.Sequential(nn.Conv2d(1, 6, kernel), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2))
"""


def printed(capsys: pytest.CaptureFixture[str], line: str, code: int = 0) -> str:
    assert main(line.split()) == code
    out, err = capsys.readouterr()
    return err if code else out


TAUGHT = [
    # input, options, output, parameters
    ("3x32x32", "--kernel 5 --padding 2 --maps 10", "10×32×32", 760),
    ("1x32x32", "--kernel 5 --maps 6", "6×28×28", 156),
    ("16x5x5", "--kernel 5 --maps 120", "120×1×1", 48_120),
    ("3x224x224", "--kernel 3 --padding 1 --maps 64", "64×224×224", 1_792),
    ("64x224x224", "--kernel 3 --padding 1 --maps 64", "64×224×224", 36_928),
    ("25088x1 --axes 1", "--kernel 1 --maps 4096", "4096×1", 102_764_544),
    ("64x224x224", "--kernel 2 --stride 2", "64×112×112", 0),
    ("1x7x7", "--kernel 3", "1×5×5", 0),
    ("1x7x7", "--kernel 3 --stride 2", "1×3×3", 0),
    ("1x7x7", "--kernel 3 --stride 3", "1×2×2", 0),
    ("1x5x5", "--kernel 3", "1×3×3", 0),
    ("1x6x6", "--kernel 2 --stride 2", "1×3×3", 0),
    ("1x5x5", "--kernel 3 --stride 2", "1×2×2", 0),
    ("1x5x5", "--kernel 2 --stride 2", "1×2×2", 0),
    ("12", "--kernel 4 --stride 2", "1×5", 0),
    ("12", "--kernel 4 --stride 2 --padding 1", "1×6", 0),
    ("10", "--kernel 3 --stride 2 --padding 1", "1×5", 0),
    ("10", "--kernel 3 --stride 2 --padding 1 --dilation 2", "1×4", 0),
    ("32", "--kernel 5 --stride 2 --repeat 3", "1×1", 0),
    ("7", "--kernel 3 --stride 2 --padding keep", "1×7", 0),
    ("64x56x56", "--kernel 1 --maps 256", "256×56×56", 256 * 65),
    ("32x8x8", "--kernel 3 --padding same --maps 32 --groups 32 --no-bias", "32×8×8", 288),
]


@pytest.mark.parametrize(("shape", "options", "output", "parameters"), TAUGHT)
def test_taught_numbers(
    shape: str, options: str, output: str, parameters: int, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, f"window {shape} {options}")
    assert re.findall(r"^output +(\S+)$", said, re.M)[-1] == output
    assert re.findall(r"^parameters +([\d,]+)", said, re.M)[-1] == f"{parameters:,}"


def test_taught_shrinking_by_fives(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "window 32 --kernel 5 --stride 2 --repeat 3")
    assert re.findall(r"^output +1×(\d+)$", said, re.M) == ["14", "5", "1"]


def test_taught_three_layers_of_three(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "window 64x32x32 --kernel 3 --padding 1 --maps 64 --repeat 3")
    assert re.findall(r"^field +(\d)×", said, re.M) == ["3", "5", "7"]
    assert "27 C² weights; one of kernel 7 sees as many cells with 49 C²" in said


@pytest.mark.parametrize(
    ("shape", "read", "made"),
    [
        ("7", "a signal of 7 cells with 1 channel", "1×5"),
        ("7x7", "a picture of 7×7 cells with 1 channel", "1×5×5"),
        ("3x7x9", "a picture of 7×9 cells with 3 channels", "3×5×7"),
        ("2x7x8x9", "a volume of 7×8×9 cells with 2 channels", "2×5×6×7"),
        ("3x7 --axes 1", "a signal of 7 cells with 3 channels", "3×5"),
        ("7x7x3 --axes 2", "a picture of 7×3 cells with 7 channels", "7×5×1"),
        ("7x8x9 --axes 3", "a volume of 7×8×9 cells with 1 channel", "1×5×6×7"),
    ],
)
def test_an_input_is_read_in_words(
    shape: str, read: str, made: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, f"window {shape} --kernel 3")
    assert read in said
    assert f"output       {made}\n" in said


def test_taught_window_that_does_not_tile(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "window 7x7 --kernel 3 --stride 3")
    assert "cell 6 is never read" in said
    assert [line.strip() for line in said.splitlines() if "try" in line] == [
        "try stride 2, 3 outputs",
        "try an input of 6, 2 outputs",
        "try an input of 9, 3 outputs",
        "try padding 1, 3 outputs",
        "try padding (0, 2), 3 outputs",
    ]


def test_one_output_reads_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "window 3x32x32 --kernel 5 --padding 2 --maps 10")
    assert "output o reads cells o-2 .. o+2" in said
    assert "75 numbers for each output" in said
    assert "768,000 = 10·32·32 outputs × 5·5·3 taps" in said


@given(
    maps=st.sampled_from((2, 4)),
    size=st.integers(5, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    groups=st.sampled_from((1, 2)),
    bias=st.booleans(),
)
def test_a_window_has_the_numbers_of_the_layer(
    maps: int, size: int, kernel: int, stride: int, padding: int, groups: int, bias: bool
) -> None:
    told = Arguments(
        input=f"2x{size}x{size + 1}", kernel=str(kernel), stride=str(stride), padding=str(padding),
        maps=maps, groups=groups, no_bias=not bias,
    )  # fmt: skip
    (layer,) = chain(told)
    net = nn.Conv2d(2, maps, kernel, stride, padding, groups=groups, bias=bias)
    known = anatomy(net, (2, size, size + 1), training=False)
    assert (1, *layer.made) == known.layers[0].output_shapes[0]
    assert (layer.parameters, layer.macs) == (known.parameters, known.macs)
    assert layer.read == prod(net.weight.shape[1:])


def test_solve_prints_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  24 layers: 1 + 24·2 = 49" in printed(capsys, "solve --field 49 --kernel 3")
    assert "  padding 2: floor((32 + 2 + 2 - 5)/1) + 1 = 32" in printed(
        capsys, "solve --n 32 --out 32 --kernel 5"
    )
    facts = json.loads(printed(capsys, "solve --n 7 --kernel 3 --stride 3 --format json"))
    assert facts["options"][0]["change"] == "stride 2"
    assert "(0, 2)" in printed(capsys, "solve --n 7 --out 3 --kernel 3 --stride 3 --padding 0,2")


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET, "utf-8")
    return "net.py:small"


def test_fit_names_the_clean_sizes(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, f"sizes {net} --input 1x32x32 --sizes 28:36")
    assert "clean: 28, 32, 36" in said
    facts = json.loads(printed(capsys, f"sizes {net} --input 1x32x32 --sizes 28,30 --format json"))
    assert facts["clean"] == [28]
    assert "| 30 | 3 loses 1 of 9; 2 of 30 input cells reach no output |" in printed(
        capsys, f"sizes {net} --input 1x32x32 --sizes 28:30:2 --format markdown"
    )


def test_fit_knows_the_input_of_a_model_of_the_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    assert "clean: 32\n" in printed(capsys, "sizes lenet5")


def test_diff_tells_two_networks_apart(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, f"diff {net} {net}(kernel=3) --input 1x32x32 --format markdown")
    assert "| parameters | 2,572 | 2,476 |" in said
    assert "| changed | 0 | Conv2d | output 1×6×28×28 → 1×6×30×30, parameters 156 → 60" in said
    assert "layers 5 same" in printed(capsys, f"diff {net} {net} --input 1x32x32")


@pytest.mark.parametrize(("line", "shown"), SHOWN)
def test_the_page_on_advice_shows_what_is_printed(
    line: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, line) == shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("window", "SHAPE is missing"),
        ("window 2x2x2x2x2", "the input: expected one to three axes"),
        ("window 7x7x1", "channels come first: expected 1x7x7"),
        ("window 224x224x3", "expected 3x224x224 for a picture with 3 channels, got 224x224x3; try --axes 2"),
        ("window 1x7", "can be read in two ways: expected 7 for a signal"),
        ("window 7x7 --axes 3", "the input: expected one to three axes"),
        ("window seven", "the input: expected sizes"),
        ("window 3x32x32 --kernel 40", "no window of extent 40 fits"),
        ("window 3x32x32 --kernel 0", "--kernel: expected a whole number"),
        ("window 3x32x32 --kernel 3x3x3", "--kernel"),
        ("window 3x32x32 --padding sane", "--padding: expected cells"),
        ("window 3x32x32 --maps 4 --groups 2", "--groups: expected a divisor of 3 and 4"),
        ("window 3x32x32 --groups 3", "only a convolution has groups"),
        ("window 3x32x32 --repeat 1000", "--repeat"),
        ("window 3x32x32 --maps 1000000000000", "--maps: expected a whole number of at most 1,000,000"),
        ("solve", "too little is given"),
        ("solve --n seven", "expected a whole number"),
        ("sizes lenet5 --sizes 3:1", "--sizes: expected FROM:TO"),
        ("sizes lenet6", "lenet5"),
        ("diff lenet5", "OTHER is missing"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    complaint = printed(capsys, line, code=2)
    assert said in complaint
    assert complaint.count("\n") == 1


def test_windows_and_their_solutions_need_no_torch() -> None:
    code = "import sys; from cnnatomy.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for line in (
        "window 3x32x32 --kernel 5 --stride 2 --maps 4",
        "solve --field 9 --kernel 3",
        "sizes --help",
    ):
        subprocess.run(
            [sys.executable, "-c", code, *line.split()], check=True, capture_output=True, timeout=60
        )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fit lenet5", "try cnnatomy train, or cnnatomy sizes for input sizes"),
        ("summary lenet5", "try cnnatomy inspect"),
        ("inspct lenet5", "try inspect"),
        ("inspect 'conv3-8 FC-classes' --input 3x8x8", "the number of classes is open; try --classes 10"),
    ],
)
def test_what_is_called_otherwise_is_answered_with_what_to_type(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == 2
    assert said in capsys.readouterr().err
