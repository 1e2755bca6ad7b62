"""The padding rules against torch, TensorFlow's published numbers, and a search for the least padding."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Rule, Window, extent, paddings, per_axis, resolve

axes = st.tuples(st.integers(1, 300), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))


def size(rule: Rule, n: int, k: int, s: int, d: int) -> int:
    return Window(k, s, resolve(rule, n, k, s, d), d).output_size(n)


@given(axes)
def test_same_gives_the_rounded_up_quotient_with_the_least_padding(axis: tuple[int, int, int, int]) -> None:
    n, k, s, d = axis
    lo, hi = resolve("same", n, k, s, d)
    wanted = -(-n // s)
    assert size("same", n, k, s, d) == wanted
    assert 0 <= hi - lo <= 1
    if lo + hi:
        less = Window(k, s, (lo, hi - 1), d)
        assert less.slack(n) < 0 or less.output_size(n) < wanted


@pytest.mark.parametrize(
    ("n", "k", "s", "d", "expected"),
    [
        (13, 6, 5, 1, (1, 2)),  # the worked example of TensorFlow's guide to padding
        (224, 7, 2, 1, (2, 3)),
        (224, 3, 2, 1, (0, 1)),
        (299, 3, 2, 1, (1, 1)),
        (28, 5, 1, 1, (2, 2)),
        (28, 4, 1, 1, (1, 2)),
        (32, 3, 1, 4, (4, 4)),
        (7, 1, 3, 1, (0, 0)),
    ],
)
def test_same_is_tensorflows_rule(n: int, k: int, s: int, d: int, expected: tuple[int, int]) -> None:
    assert resolve("same", n, k, s, d) == expected


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_same_at_stride_one_is_torchs_convolution() -> None:
    for n, k, d in product((1, 4, 9), (1, 2, 3, 4, 5), (1, 2, 3)):
        x, weight = torch.randn(1, 1, n, dtype=torch.float64), torch.randn(1, 1, k, dtype=torch.float64)
        ours = F.conv1d(F.pad(x, resolve("same", n, k, 1, d)), weight, dilation=d)
        torch.testing.assert_close(ours, F.conv1d(x, weight, padding="same", dilation=d))


@given(axes)
def test_keep_gives_the_input_size_at_any_stride_with_the_least_padding(
    axis: tuple[int, int, int, int],
) -> None:
    n, k, s, d = axis
    lo, hi = resolve("keep", n, k, s, d)
    assert size("keep", n, k, s, d) == n
    assert lo + hi == (n - 1) * (s - 1) + extent(k, d) - 1
    assert 0 <= hi - lo <= 1
    if lo + hi:
        less = Window(k, s, (lo, hi - 1), d)
        assert less.slack(n) < 0 or less.output_size(n) < n


@given(axes)
def test_full_is_every_window_that_touches_the_input(axis: tuple[int, int, int, int]) -> None:
    n, k, _, d = axis
    outputs = size("full", n, k, 1, d)
    origins = [o for o in range(-2 * extent(k, d), n + extent(k, d)) if o < n and o + extent(k, d) > 0]
    assert outputs == len(origins) == n + extent(k, d) - 1


@given(axes)
def test_causal_reads_up_to_the_cell_of_the_output_and_none_after(axis: tuple[int, int, int, int]) -> None:
    n, k, s, d = axis
    window = Window(k, s, resolve("causal", n, k, s, d), d)
    assert window.output_size(n) == -(-n // s)
    for o in range(window.output_size(n)):
        assert list(window.taps(o, n)) == [c for c in range(o * s - (k - 1) * d, o * s + 1, d) if c >= 0]


def test_valid_and_numbers_are_taken_as_they_are() -> None:
    assert resolve("valid", 9, 3, 2) == (0, 0)
    assert resolve(2, 9, 3, 2) == (2, 2)
    assert resolve((3, 0), 9, 3, 2) == (3, 0)


def test_the_formula_often_taught_is_right_only_where_stride_and_extent_agree() -> None:
    for n, k, s in product(range(1, 20), range(1, 5), range(1, 5)):
        taught = s * -(-n // s) - n
        ours = sum(resolve("same", n, k, s))
        if k >= s:
            assert ours - taught == k - s


@given(axes, st.integers(1, 60), st.booleans())
def test_padding_for_a_size_is_the_least_that_gives_it(
    axis: tuple[int, int, int, int], wanted: int, ceil: bool
) -> None:
    n, k, s, d = axis[0] % 40 + 1, *axis[1:]
    w = Window(k, s, (9, 9), d, ceil)

    def outputs(total: int) -> int:
        padded = Window(k, s, (total // 2, total - total // 2), d, ceil)
        return padded.output_size(n) if padded.slack(n) >= 0 else 0

    totals = [total for total in range(wanted * s + extent(k, d) + 2 * s) if outputs(total) == wanted]
    if totals:
        assert w.padding_for(n, wanted) == (totals[0] // 2, totals[0] - totals[0] // 2)
    else:
        assert outputs(0) > wanted
        with pytest.raises(ArgumentError, match=f"expected at least {outputs(0)}"):
            w.padding_for(n, wanted)


@given(axes)
def test_padding_for_agrees_with_the_rules(axis: tuple[int, int, int, int]) -> None:
    n, k, s, d = axis
    w = Window(k, s, dilation=d)
    assert w.padding_for(n, n) == resolve("keep", n, k, s, d)
    assert w.padding_for(n, -(-n // s)) == resolve("same", n, k, s, d)


def test_arguments_expand_to_one_entry_per_axis() -> None:
    assert per_axis(3, 3, "kernel_size") == (3, 3, 3)
    assert per_axis([3, 5], 2, "kernel_size") == (3, 5)
    assert per_axis(0, 2, "padding", least=0) == (0, 0)
    assert paddings("keep", 2) == ("keep", "keep")
    assert paddings([[0, 1], 2], 2) == ((0, 1), 2)  # type: ignore[list-item]
    assert paddings(((1, 2),), 1) == ((1, 2),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("some", "padding 'some' is unknown: expected valid, same, keep, full, causal; try 'same'"),
        ("zzz", "padding 'zzz' is unknown: expected valid, same, keep, full, causal$"),
        (-1, "padding is out of range: expected an int >= 0, got -1"),
        (1.5, r"padding is not a whole number: expected an int >= 0, got 1.5 \(float\)"),
        (None, r"padding is not a whole number: .* got None"),
        ((1, 2, 3), r"expected 2 entries, got \(1, 2, 3\)$"),
        ((1, 2, 3, 4), r"got \(1, 2, 3, 4\); try \(\(1, 2\), \(3, 4\)\)"),
        (((1, 2), (3,)), r"padding of one axis is not a pair: expected \(before, after\), got \(3,\)"),
        (((1, 2), (3, -1)), "padding after is out of range"),
        (("same", "sam"), "padding 'sam' is unknown.*try 'same'"),
    ],
)
def test_wrong_padding_says_what_is_wrong(value: Rule, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        paddings(value, rank=2)


@pytest.mark.parametrize("value", ["3", 0, 2.0, (3,), (3, 3, 3), (3, 0), (3, None), True])
def test_wrong_kernels_name_the_argument(value: int) -> None:
    with pytest.raises(ArgumentError, match=r"^kernel_size "):
        per_axis(value, rank=2, name="kernel_size")
