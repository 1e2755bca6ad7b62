"""Regions: sizes and taps against the definitions, and the text they travel as."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

REGIONS: list[Region] = [
    Sliding(3),
    Sliding((2, 3), stride=(1, 2), padding=((0, 1), "same"), dilation=2),
    Sliding(2, padding="keep", ceil_mode=True),
    Adaptive(7),
    Adaptive((None, 3)),
    Whole(),
]


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_printed_form_reads_back(region: Region) -> None:
    again = Region.parse(region.text)
    assert again == region
    assert hash(again) == hash(region)


@pytest.mark.parametrize(
    "text",
    ["", "Sliding", "Sliding(3)", "Nothing(size=1)", "Sliding(kernel_size=open('x'))", "Whole(size=1)"],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="region"):
        Region.parse(text)


@given(
    n=st.integers(1, 40),
    k=st.integers(1, 6),
    s=st.integers(1, 5),
    lo=st.integers(0, 7),
    hi=st.integers(0, 7),
    d=st.integers(1, 3),
)
def test_sliding_reads_its_definition(n: int, k: int, s: int, lo: int, hi: int, d: int) -> None:
    region = Sliding((k,), (s,), ((lo, hi),), (d,))
    if n + lo + hi < (k - 1) * d + 1:
        with pytest.raises(ArgumentError):
            region.outputs((n,))
        return
    (axis,) = region.axes((n,))
    assert region.outputs((n,)) == (axis.table.outputs,)
    for o in range(axis.table.outputs):
        cells = [o * s - lo + j * d for j in range(k)]
        assert list(axis.table.taps(o)) == [i for i in cells if 0 <= i < n]
        assert axis.divisors[o] == sum(-lo <= i < n + hi for i in cells)


@given(n=st.integers(1, 50), out=st.integers(1, 20))
def test_adaptive_reads_torch_bins(n: int, out: int) -> None:
    (axis,) = Adaptive(out).axes((n,))
    for o in range(out):
        assert list(axis.table.taps(o)) == list(range(o * n // out, -(-(o + 1) * n // out)))


def test_adaptive_none_keeps_an_axis_and_whole_reads_all() -> None:
    assert Adaptive((None, 2)).outputs((5, 9)) == (5, 2)
    assert [list(axis.table.taps(0)) for axis in Whole().axes((2, 3))] == [[0, 1], [0, 1, 2]]


WRONG: list[dict[str, Any]] = [
    {"kernel_size": 0},
    {"kernel_size": None},
    {"kernel_size": 2, "stride": (1, 0)},
    {"kernel_size": 2, "padding": "sume"},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_sliding_refuses_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Sliding(**options)


@pytest.mark.parametrize("size", [0, -1, True, (2, 0), 1.5])
def test_adaptive_refuses_sizes(size: object) -> None:
    with pytest.raises(ArgumentError, match="size"):
        Adaptive(size)  # type: ignore[arg-type]


def test_wrong_number_of_axes_is_refused() -> None:
    with pytest.raises(ArgumentError, match="axes"):
        Adaptive((2, 2)).outputs((5,))
    with pytest.raises(ArgumentError, match="kernel_size"):
        Sliding((2, 2)).outputs((5,))
