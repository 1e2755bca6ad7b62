"""AxisTable and Cover against torch's adaptive bins and sets of cells."""

from __future__ import annotations

import pickle
from math import gcd

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import AxisTable, Window

windows = st.builds(
    Window,
    st.integers(1, 6),
    st.integers(1, 6),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
    st.integers(1, 4),
    st.booleans(),
)
sizes = st.integers(1, 24)


def fits(w: Window, n: int) -> bool:
    return w.slack(n) >= 0


def check_cover(table: AxisTable) -> None:
    """The cover lists, for every cell, the outputs whose taps hold it."""
    cover = table.cover()
    taps = [set(table.taps(o)) for o in range(table.outputs)]
    assert cover.outputs == table.outputs
    for i in range(table.size):
        truth = [o for o in range(table.outputs) if i in taps[o]]
        assert list(cover.readers(i)) == truth
        assert list(table.readers(i)) == truth
        for o in truth:
            tap, rest = divmod(i - table.origin(o), table.step)
            assert rest == 0
            assert table.skip[o] <= tap < table.skip[o] + table.count[o]
    assert sum(cover.count) == sum(table.count)


@given(windows, sizes)
def test_a_sliding_table_holds_the_windows_taps(w: Window, n: int) -> None:
    if not fits(w, n):
        return
    table = w.table(n)
    assert table == AxisTable.of(w, n)
    assert table.outputs == w.output_size(n)
    for o in range(table.outputs):
        assert table.taps(o) == w.taps(o, n)
        origin = o * w.stride - w.padding[0]
        taps = [origin + j * w.dilation for j in range(w.kernel)]
        assert table.skip[o] == sum(cell < 0 for cell in taps)
        assert 0 <= table.start[o] <= n
        if table.count[o]:
            assert table.origin(o) == origin
    assert table.unread() == w.unread(n)


@given(windows, sizes)
def test_the_cover_of_a_sliding_table_is_its_inverse(w: Window, n: int) -> None:
    if not fits(w, n):
        return
    check_cover(w.table(n))
    assert [w.table(n).cover().readers(i) for i in range(n)] == [w.readers(i, n) for i in range(n)]


def test_readers_under_dilation_lie_apart_by_dilation_over_the_common_divisor() -> None:
    for s, d in ((1, 2), (2, 4), (3, 6), (4, 6), (2, 3)):
        assert Window(4, s, (5, 5), d).table(40).cover().step == d // gcd(s, d)


@given(sizes, st.integers(1, 30))
def test_adaptive_bins_are_those_of_torch(n: int, out: int) -> None:
    table = AxisTable.adaptive(n, out)
    check_cover(table)
    assert table.unread() == ()
    x = torch.randn(n, dtype=torch.float64)
    means = torch.stack([x[cells.start : cells.stop].mean() for cells in map(table.taps, range(out))])
    torch.testing.assert_close(F.adaptive_avg_pool1d(x[None], out)[0], means)


def test_the_whole_table_is_one_bin() -> None:
    assert AxisTable.whole(9) == AxisTable(9, (0,), (9,))


@given(st.integers(1, 20), st.data())
def test_any_table_in_order_has_a_cover(size: int, data: st.DataObject) -> None:
    """Bins of a fractional pooling or of a box: starts and stops in order, sizes free."""
    outputs = data.draw(st.integers(1, 8))
    places = st.lists(st.integers(0, size), min_size=outputs, max_size=outputs)
    starts, stops = sorted(data.draw(places)), sorted(data.draw(places))
    stops = [max(stop, start + 1) for start, stop in zip(starts, stops, strict=True)]
    starts = [min(start, size - 1) for start in starts]
    counts = [min(stop, size) - start for start, stop in zip(starts, stops, strict=True)]
    check_cover(AxisTable(size, tuple(starts), tuple(counts)))


def test_a_table_out_of_order_has_readers_but_no_cover() -> None:
    table = AxisTable(6, start=(3, 0, 2), count=(2, 2, 2))
    assert table.readers(3) == (0, 2)
    with pytest.raises(ArgumentError, match="windows out of order; try readers"):
        table.cover()


def test_a_window_wholly_in_the_padding_reads_nothing() -> None:
    table = Window(2, stride=3, padding=(5, 6)).table(2)
    assert table.count == (0, 0, 1, 0)
    assert table.start == (0, 0, 1, 2)
    assert table.cover().count == (0, 1)


def test_long_tables_are_right_at_both_ends() -> None:
    table = Window(5, stride=2, padding=(3, 4), dilation=3).table(10_001)
    assert table.outputs == 4_998
    assert [list(table.taps(o)) for o in (0, 1, 2)] == [[0, 3, 6, 9], [2, 5, 8, 11], [1, 4, 7, 10, 13]]
    assert [table.taps(o)[-1] for o in (4_995, 4_996, 4_997)] == [9_999, 9_998, 10_000]
    assert table.count[-4:] == (5, 5, 4, 4)


def test_tables_are_kept_and_pickled() -> None:
    table = Window(3, stride=2).table(9)
    assert Window(3, stride=2).table(9) is table
    assert AxisTable.adaptive(9, 2) is AxisTable.adaptive(9, 2)
    assert table.cover() is table.cover()
    assert pickle.loads(pickle.dumps(table)) == table


@pytest.mark.parametrize(
    ("start", "count", "step"),
    [
        ((0, 4), (1, 2), 1),
        ((0, 5), (1, 1), 1),
        ((-1,), (2,), 1),
        ((0,), (-1,), 1),
        ((0,), (3,), 3),
        ((6,), (0,), 1),
    ],
)
def test_tables_that_leave_the_input_are_refused(
    start: tuple[int, ...], count: tuple[int, ...], step: int
) -> None:
    with pytest.raises(ArgumentError, match="a table reads outside its input"):
        AxisTable(5, start, count, step)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ArgumentError, match="expected one length, got 2, 1 and 2"):
        AxisTable(5, (0, 1), (1,))
