"""Window against torch's own shapes, and against windows enumerated one by one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window

SMALL = range(1, 9)
any_window = st.builds(
    Window,
    st.integers(1, 6),
    st.integers(1, 6),
    st.tuples(st.integers(0, 7), st.integers(0, 7)),
    st.integers(1, 4),
    st.booleans(),
)
any_size = st.integers(1, 24)


def size_or_none(compute: Callable[..., int], *arguments: object) -> int | None:
    """The size, or None where the operator refuses."""
    try:
        return compute(*arguments)
    except (RuntimeError, ArgumentError):
        return None


def meta(n: int) -> torch.Tensor:
    return torch.empty(1, 1, n, device="meta")


def pooled(n: int, w: Window) -> int:
    return F.max_pool1d(meta(n), w.kernel, w.stride, w.padding[0], w.dilation, w.ceil_mode).shape[-1]


def averaged(n: int, w: Window) -> int:
    return F.avg_pool1d(meta(n), w.kernel, w.stride, w.padding[0], w.ceil_mode).shape[-1]


def convolved(n: int, w: Window) -> int:
    weight = torch.empty(1, 1, w.kernel, device="meta")
    return F.conv1d(F.pad(meta(n), w.padding), weight, stride=w.stride, dilation=w.dilation).shape[-1]


def read_by_tap(w: Window, n: int) -> dict[int, list[int]]:
    """Cells of every output, tap by tap: the truth, written without any closed form."""
    cells = {}
    for o in range(w.output_size(n)):
        at = [o * w.stride - w.padding[0] + j * w.dilation for j in range(w.kernel)]
        cells[o] = [i for i in at if 0 <= i < n]
    return cells


def test_sizes_are_those_of_max_pooling() -> None:
    for n, k, s, d, ceil in product(SMALL, range(1, 6), range(1, 5), range(1, 4), (False, True)):
        for p in range(k // 2 + 1):
            w = Window(k, s, (p, p), d, ceil)
            assert size_or_none(w.output_size, n) == size_or_none(pooled, n, w), (
                n,
                w,
            )


def test_sizes_are_those_of_average_pooling() -> None:
    for n, k, s, ceil in product(SMALL, range(1, 6), range(1, 7), (False, True)):
        for p in range(k // 2 + 1):
            w = Window(k, s, (p, p), ceil_mode=ceil)
            assert size_or_none(w.output_size, n) == size_or_none(averaged, n, w), (
                n,
                w,
            )


def test_sizes_are_those_of_convolution_with_unequal_padding() -> None:
    for n, k, s, lo, hi, d in product((1, 2, 5, 6, 7), (1, 2, 3, 4), (1, 2, 3), (0, 1, 3), (0, 2), (1, 2, 3)):
        w = Window(k, s, (lo, hi), d)
        assert size_or_none(w.output_size, n) == size_or_none(convolved, n, w), (n, w)


@given(st.data(), st.integers(1, 10**6), st.integers(1, 3000), st.integers(1, 3000), st.booleans())
def test_large_sizes_are_those_of_torch(data: st.DataObject, n: int, k: int, s: int, ceil: bool) -> None:
    p = data.draw(st.integers(0, k // 2))
    w = Window(k, s, (p, p), ceil_mode=ceil)
    expected = size_or_none(pooled, n, w)
    assert size_or_none(w.output_size, n) == expected
    assert size_or_none(averaged, n, w) == expected
    if not ceil:
        assert size_or_none(convolved, n, w) == expected


@given(any_window, any_size)
def test_sizes_beyond_torch_are_those_of_windows_counted_one_by_one(w: Window, n: int) -> None:
    """torch caps pooling's padding at half a kernel; here it may be anything."""
    lo, hi = w.padding
    whole = [o for o in range(200) if o * w.stride + w.extent <= n + lo + hi]
    if not w.ceil_mode:
        assert size_or_none(w.output_size, n) == (len(whole) or None)
    elif hi < w.extent:
        starting_inside = o_starting_inside(w, n)
        overhanging = [o for o in starting_inside if o not in whole and previous_ends_short(w, n, o)]
        assert size_or_none(w.output_size, n) == (len(whole) + len(overhanging[:1]) or None)


def o_starting_inside(w: Window, n: int) -> list[int]:
    return [o for o in range(200) if o * w.stride < n + w.padding[0]]


def previous_ends_short(w: Window, n: int, o: int) -> bool:
    """Whether rounding up adds window o: it overhangs by less than a stride."""
    return o * w.stride + w.extent - (n + sum(w.padding)) < w.stride


@given(any_window, any_size)
def test_taps_and_readers_are_those_counted_tap_by_tap(w: Window, n: int) -> None:
    if size_or_none(w.output_size, n) is None:
        return
    truth = read_by_tap(w, n)
    assert {o: list(w.taps(o, n)) for o in truth} == truth
    for i in range(n):
        assert list(w.readers(i, n)) == [o for o in truth if i in truth[o]], i
    unread = [i for run in w.unread(n) for i in run]
    assert unread == [i for i in range(n) if all(i not in cells for cells in truth.values())]


def test_unread_runs_are_not_adjacent() -> None:
    assert Window(2, stride=5).unread(14) == (range(2, 5), range(7, 10), range(12, 14))


@given(any_window, any_size)
def test_padded_counts_are_the_divisors_of_average_pooling(w: Window, n: int) -> None:
    if size_or_none(w.output_size, n) is None:
        return
    lo, hi = w.padding
    for o, count in enumerate(w.padded_counts(n)):
        cells = [o * w.stride - lo + j * w.dilation for j in range(w.kernel)]
        assert count == sum(-lo <= i < n + hi for i in cells)


def test_padded_counts_agree_with_torch() -> None:
    for n, k, s, p in product(range(4, 10), (2, 3, 4), (1, 2, 3), (0, 1)):
        w = Window(k, s, (p, p), ceil_mode=True)
        ones = F.avg_pool1d(torch.ones(1, 1, n, dtype=torch.float64), k, s, p, True, count_include_pad=True)
        inside = torch.tensor([len(w.taps(o, n)) for o in range(w.output_size(n))])
        assert torch.equal((inside / ones[0, 0]).round().int(), torch.tensor(w.padded_counts(n)).int())


def transposed(n: int, w: Window, output_padding: int) -> int:
    """On the CPU: meta tensors skip the check of output_padding."""
    x, weight = torch.empty(1, 1, n), torch.empty(1, 1, w.kernel)
    out = F.conv_transpose1d(x, weight, None, w.stride, w.padding[0], output_padding, dilation=w.dilation)
    return out.shape[-1]


def test_transposed_sizes_are_those_of_transposed_convolution() -> None:
    for n, k, s, p, d, extra in product((1, 2, 5), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2), (1, 2, 3), (0, 1, 2)):
        w = Window(k, s, (p, p), d)
        assert size_or_none(w.transposed_size, n, extra) == size_or_none(transposed, n, w, extra), (n, w)


@given(any_window, any_size, st.integers(1, 90))
def test_output_padding_solves_for_the_size_or_names_the_range(w: Window, n: int, wanted: int) -> None:
    sizes = [size_or_none(w.transposed_size, n, e) for e in range(max(w.stride, w.dilation))]
    if wanted in sizes:
        assert w.transposed_size(n, w.output_padding_for(n, wanted)) == wanted
    else:
        with pytest.raises(ArgumentError, match=r"expected -?\d+ \.\. -?\d+, got"):
            w.output_padding_for(n, wanted)


@given(any_window, any_size)
def test_the_transposed_operator_undoes_the_size(w: Window, n: int) -> None:
    if w.ceil_mode or w.dilation > 1 or size_or_none(w.output_size, n) is None:
        return
    out = w.output_size(n)
    assert w.transposed_size(out, w.output_padding_for(out, n)) == n


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: Window(0), "kernel is out of range: expected an int >= 1, got 0"),
    (lambda: Window(True), r"kernel is not a whole number: .* got True \(bool\)"),
    (lambda: Window(3, stride=2.0), r"stride is not a whole number: .* got 2.0 \(float\)"),  # type: ignore[arg-type]
    (lambda: Window(3, dilation=-1), "dilation is out of range: expected an int >= 1, got -1"),
    (lambda: Window(3, padding=1), "padding of a window is not a pair"),  # type: ignore[arg-type]
    (lambda: Window(3, padding=(0, -1)), "padding after is out of range: expected an int >= 0, got -1"),
    (lambda: Window(3, ceil_mode=1), "ceil_mode is not a bool"),  # type: ignore[arg-type]
    (lambda: Window(3).output_size(2), r"at least 3 cells, got 2 and padding \(0, 0\); try an input of"),
    (lambda: Window(3).output_size(0), "expected at least 3 cells, got 0"),
    (lambda: Window(3).taps(5, 7), "output 5 does not exist: expected 0 .. 4"),
    (lambda: Window(3).readers(-1, 7), "cell -1 does not exist: expected 0 .. 6"),
    (lambda: Window(3).table(7.0), "input size is not a whole number"),  # type: ignore[arg-type]
    (
        lambda: Window(3, stride=2).transposed_size(4, 2),
        "output_padding is too large: expected 0 .. 1, got 2",
    ),
    (lambda: Window(1, padding=(3, 3)).transposed_size(4), r"expected a total below 4, got 6"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_wrong_arguments_say_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


@given(any_window, st.integers(1, 12))
def test_the_fixes_named_for_a_small_input_are_the_least_ones(w: Window, n: int) -> None:
    if size_or_none(w.output_size, n) is not None:
        return
    with pytest.raises(ArgumentError) as error:
        w.output_size(n)
    words = str(error.value).split("; try ")[1]
    size = int(words.split("at least ")[1].split(",")[0].split(" ")[0])
    assert w.output_size(size) == 1
    assert size_or_none(w.output_size, size - 1) is None


def test_windows_are_values() -> None:
    w = Window(3, 2, (1, 0), 2, True)
    for twin in (copy.deepcopy(w), pickle.loads(pickle.dumps(w)), Window(3, 2, (1, 0), 2, True)):
        assert twin == w
        assert hash(twin) == hash(w)
    with pytest.raises(AttributeError):
        w.kernel = 5  # type: ignore[misc]
