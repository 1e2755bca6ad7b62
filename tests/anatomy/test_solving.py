"""`solve` against brute force over windows, and against the numbers that courses and papers print."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.anatomy.ask.solving import solve
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window


def outputs(n: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """Windows placed one by one on a padded line, none reaching over its end."""
    cells, start, count = n + before + after, 0, 0
    while start + (kernel - 1) * dilation < cells:
        count, start = count + 1, start + stride
    return count


def cells_seen(windows: list[Window]) -> int:
    """Walk one output back through the layers, cell by cell."""
    seen = {0}
    for window in reversed(windows):
        seen = {o * window.stride + tap * window.dilation for o in seen for tap in range(window.kernel)}
    return max(seen) - min(seen) + 1


@given(n=st.integers(1, 24), kernel=st.integers(1, 6), stride=st.integers(1, 5), dilation=st.integers(1, 3))
def test_what_mends_a_fit_reads_every_cell_and_ends_at_the_end(
    n: int, kernel: int, stride: int, dilation: int
) -> None:
    for option in solve(input_size=n, kernel_size=kernel, stride=stride, dilation=dilation):
        (window,) = option.windows
        assert option.n is not None
        (before, after), cells = window.padding, option.n
        starts = [
            o * window.stride - before
            for o in range(outputs(cells, window.kernel, window.stride, before, after, window.dilation))
        ]
        read = {start + tap * window.dilation for start in starts for tap in range(window.kernel)}
        assert set(range(cells)) <= read
        assert starts[-1] + (window.kernel - 1) * window.dilation == cells + after - 1
        assert option.size == len(starts)


@given(n=st.integers(1, 20), out=st.integers(1, 24), kernel=st.integers(1, 6), stride=st.integers(1, 4))
def test_every_window_found_gives_the_wanted_outputs_and_is_one_change_away(
    n: int, out: int, kernel: int, stride: int
) -> None:
    for option in solve(input_size=n, output_size=out, kernel_size=kernel, stride=stride):
        (w,) = option.windows
        assert option.n is not None
        assert outputs(option.n, w.kernel, w.stride, *w.padding, w.dilation) == out == option.size
        changes = [
            w.kernel != kernel,
            w.stride != stride,
            w.padding != (0, 0),
            w.dilation != 1,
            option.n != n,
        ]
        assert sum(changes) <= 1


@given(n=st.integers(1, 14), out=st.integers(1, 14), kernel=st.integers(1, 5), stride=st.integers(1, 4))
def test_a_size_that_some_single_change_gives_is_found_with_the_least_change(
    n: int, out: int, kernel: int, stride: int
) -> None:
    found = solve(input_size=n, output_size=out, kernel_size=kernel, stride=stride)
    if outputs(n, kernel, stride, 0, 0) == out:
        assert [option.change for option in found] == ["as it is"]
        return
    pads = [p for p in range(3 * out * stride) if outputs(n, kernel, stride, p // 2, p - p // 2) == out]
    least = {
        "kernel": [k for k in range(1, n + 1) if outputs(n, k, stride, 0, 0) == out],
        "stride": [s for s in range(1, n + 1) if outputs(n, kernel, s, 0, 0) == out],
    }
    paddings = [option.windows[0].padding for option in found if option.change.startswith("padding")]
    assert bool(paddings) == bool(pads)
    if pads:
        assert (pads[0] // 2, pads[0] - pads[0] // 2) in paddings
    for part, own in (("kernel", kernel), ("stride", stride)):
        given_by = {getattr(o.windows[0], part) for o in found if o.change.startswith(part)}
        assert bool(given_by) == bool(least[part])
        if least[part]:
            nearest = min(abs(value - own) for value in least[part])
            assert min(abs(value - own) for value in given_by) == nearest


@given(out=st.integers(1, 12), kernel=st.integers(1, 5), stride=st.integers(1, 4), padding=st.integers(0, 2))
def test_all_inputs_of_a_wanted_output_are_found(out: int, kernel: int, stride: int, padding: int) -> None:
    found = {
        option.n for option in solve(output_size=out, kernel_size=kernel, stride=stride, padding=padding)
    }
    assert found == {n for n in range(1, 80) if outputs(n, kernel, stride, padding, padding) == out}


@given(
    field=st.integers(1, 70), kernel=st.integers(2, 7), stride=st.integers(1, 3), dilation=st.integers(1, 3)
)
def test_the_depth_found_sees_the_field_and_one_layer_less_does_not(
    field: int, kernel: int, stride: int, dilation: int
) -> None:
    for option in solve(field=field, kernel_size=kernel, stride=stride, dilation=dilation):
        windows = list(option.windows)
        assert cells_seen(windows) == option.size >= field
        if len(windows) > 1:
            assert cells_seen(windows[:-1]) < field


@given(field=st.integers(2, 60), layers=st.integers(1, 4), kernel=st.integers(2, 5))
def test_the_part_found_for_a_given_depth_is_the_least_that_sees_the_field(
    field: int, layers: int, kernel: int
) -> None:
    for option in solve(field=field, layers=layers, kernel_size=kernel):
        window = option.windows[0]
        assert len(option.windows) == layers
        assert cells_seen(list(option.windows)) == option.size >= field
        part = option.change.split()[0]
        if part != "as":
            smaller = {**{name: getattr(window, name) for name in ("kernel", "stride", "dilation")}}
            smaller[part] -= 1
            assert smaller[part] == 0 or cells_seen([Window(**smaller)] * layers) < field


def test_taught_same_padding_is_half_of_kernel_less_one() -> None:
    for kernel, n in product((1, 3, 5, 7), (7, 32, 224)):
        found = solve(input_size=n, output_size=n, kernel_size=kernel)
        assert found[0].change == ("as it is" if kernel == 1 else f"padding {(kernel - 1) // 2}")


def test_taught_five_steps_of_five_from_thirty_two() -> None:
    n = 32
    for out in (14, 5, 1):
        assert solve(input_size=n, output_size=out, kernel_size=5, stride=2)[0].change == "as it is"
        n = out


def test_taught_general_same_padding_at_a_stride() -> None:
    (option, *_) = solve(input_size=7, output_size=7, kernel_size=3, stride=2)
    assert option.windows[0].padding == (4, 4)  # A = (7 - 1)2 - 7 + 3 = 8
    (even, least, *_) = sorted(
        solve(input_size=7, output_size=7, kernel_size=4, stride=2), key=lambda o: o.change, reverse=True
    )[:2]
    assert {even.windows[0].padding, least.windows[0].padding} >= {(4, 5)}  # A = 9


def test_taught_seven_cells_and_stride_three() -> None:
    found = {option.change: option.size for option in solve(input_size=7, kernel_size=3, stride=3)}
    assert found == {
        "stride 2": 3,
        "an input of 6": 2,
        "an input of 9": 3,
        "padding 1": 3,
        "padding (0, 2)": 3,
    }
    assert [solve(input_size=7, kernel_size=3, stride=s)[0].size for s in (1, 2)] == [5, 3]


def test_taught_three_layers_see_seven_with_fewer_weights() -> None:
    deep, single = solve(field=7, kernel_size=3)[0], solve(field=7, kernel_size=7)[0]
    assert (deep.change, deep.arithmetic) == ("3 layers", "1 + 3·2 = 7; 27 C² weights on pictures of C maps")
    assert (single.change, single.arithmetic) == ("1 layer", "1 + 6 = 7; 49 C² weights on pictures of C maps")


def test_taught_dilated_window() -> None:
    assert solve(
        input_size=10, kernel_size=3, stride=2, padding=1, dilation=2
    )  # 4 outputs over 10 cells, not a clean fit
    assert outputs(10, 3, 2, 1, 1, 2) == Window(3, 2, (1, 1), 2).output_size(10) == 4


def test_context_module_sees_67_with_doubled_dilations() -> None:
    doubled = next(o for o in solve(field=63, kernel_size=3) if "doubled" in o.change)
    assert [window.dilation for window in doubled.windows] == [1, 2, 4, 8, 16]  # Yu and Koltun 2016, table 1
    assert doubled.size == 63


def test_free_windows_are_offered_as_networks_use_them() -> None:
    assert [option.change for option in solve(input_size=32, output_size=16)][:2] == [
        "kernel 2, stride 2",
        "kernel 3, stride 2, padding 1",
    ]
    assert solve(input_size=224, output_size=112, kernel_size=7, stride=2)[0].windows[0].padding == (2, 3)
    assert "padding 3" in [
        option.change for option in solve(input_size=224, output_size=112, kernel_size=7, stride=2)
    ]


def test_what_cannot_be_had_is_an_empty_answer() -> None:
    assert not solve(field=9, kernel_size=1)
    assert "nothing nearby fits" in str(solve(field=9, kernel_size=1))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "too little is given"),
        ({"kernel_size": 3}, "too little"),
        ({"input_size": 7}, "too little"),
        ({"input_size": 0, "kernel_size": 3}, "input_size is out of range"),
        ({"input_size": 7, "kernel_size": 0}, "kernel"),
        ({"input_size": True, "kernel_size": 3}, "input_size is not a whole number"),
        ({"field": 9}, "no window"),
        ({"field": 9, "input_size": 7, "kernel_size": 3}, "no borders"),
        ({"layers": 3, "kernel_size": 3, "input_size": 3}, "counted for a field"),
        ({"output_size": 7, "kernel_size": 3, "padding": "same"}, "depends on the input"),
        ({"input_size": 7, "kernel_size": 3, "padding": "sane"}, "'same'"),
    ],
)
def test_questions_without_an_answer_say_what_is_missing(asked: dict[str, int], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        solve(**asked)  # type: ignore[arg-type]
