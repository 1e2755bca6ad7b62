"""Reach against sets of cells carried through chains of windows, and against published receptive fields."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from math import ceil
from operator import rshift

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Reach, Window

windows = st.builds(
    Window,
    st.integers(1, 5),
    st.integers(1, 4),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.integers(1, 3),
)
halves = st.fractions(-6, 6, max_denominator=6)
reaches = st.builds(
    lambda scale, lo, width: Reach(scale, lo, lo + width),
    st.fractions(Fraction(1, 4), 4, max_denominator=4),
    halves,
    st.fractions(0, 6, max_denominator=6),
)


def chain(*layers: tuple[int, int]) -> Reach:
    """Reach of layers given as (kernel, stride), padded by half a kernel."""
    windows = [Window(k, s, ((k - 1) // 2, k // 2)) for k, s in layers]
    return reduce(rshift, (window.reach() for window in windows), Reach())


def read(w: Window, o: int) -> set[int]:
    """Cells that output o reads, borders aside, tap by tap."""
    return {o * w.stride - w.padding[0] + j * w.dilation for j in range(w.kernel)}


@given(st.lists(windows, min_size=1, max_size=4), st.integers(-5, 20))
def test_a_chain_of_windows_reads_the_hull_of_what_its_taps_read(layers: list[Window], o: int) -> None:
    cells = {o}
    for w in reversed(layers):
        cells = {i for cell in cells for i in read(w, cell)}
    reach = reduce(rshift, [w.reach() for w in layers])
    assert reach.interval(o) == range(min(cells), max(cells) + 1)
    assert reach.size == max(cells) - min(cells) + 1


@given(windows, st.integers(1, 30))
def test_the_reach_of_a_window_is_its_tables_hull_where_nothing_is_clipped(w: Window, n: int) -> None:
    if w.slack(n) < 0:
        return
    for o in range(w.output_size(n)):
        whole = w.reach().interval(o)
        taps = w.taps(o, n)
        assert set(taps) <= set(whole)
        if whole.start >= 0 and whole.stop <= n:
            assert (taps[0], taps[-1]) == (whole[0], whole[-1])


@given(windows, st.integers(1, 12))
def test_the_transposed_reach_is_the_inverse_relation(w: Window, n: int) -> None:
    for o in range(n):
        readers = {i for i in range(-40, 60) if o in read(w, i)}
        interval = w.transposed_reach().interval(o)
        assert readers <= set(interval)
        if w.dilation == 1:
            assert readers == set(interval)


@given(reaches, reaches, st.integers(-9, 9))
def test_composition_holds_all_that_is_read_and_is_tight_within_one_jump(a: Reach, b: Reach, o: int) -> None:
    cells = [i for j in b.interval(o) for i in a.interval(j)]
    if not cells:
        return
    composed = (a >> b).interval(o)
    assert composed.start <= min(cells)
    assert max(cells) < composed.stop
    if b.scale.denominator == 1 and all(len(a.interval(j)) for j in b.interval(o)):
        assert composed == range(min(cells), max(cells) + 1)
    elif all(len(a.interval(j)) for j in b.interval(o)):
        assert min(cells) - composed.start <= ceil(a.scale)
        assert composed.stop - 1 - max(cells) <= ceil(a.scale)


@given(reaches, reaches, reaches)
def test_composition_is_associative_for_windows_and_has_an_identity(a: Reach, b: Reach, c: Reach) -> None:
    assert a >> Reach() == a
    assert Reach() >> a == a
    if all(r.scale.denominator == 1 for r in (a, b, c)):
        assert (a >> b) >> c == a >> (b >> c)


@given(st.fractions(Fraction(1, 4), 4, max_denominator=4), halves, halves)
def test_rounding_the_bounds_changes_no_interval(scale: Fraction, lo: Fraction, hi: Fraction) -> None:
    reach = Reach(scale, lo, hi)
    for o in range(-8, 9):
        cells = [i for i in range(-80, 80) if scale * o + lo <= i <= scale * o + hi]
        assert list(reach.interval(o)) == cells
    assert reach.size == max(len(reach.interval(o)) for o in range(-12, 13))


@given(reaches, reaches, st.integers(-9, 9))
def test_the_union_is_the_hull_of_both(a: Reach, b: Reach, o: int) -> None:
    b = Reach(a.scale, b.lo, b.hi)
    both, x, y = (a | b).interval(o), a.interval(o), b.interval(o)
    if x and y:
        assert both == range(min(x.start, y.start), max(x.stop, y.stop))
    assert a | b == b | a
    assert a | a == a


def test_branches_of_unequal_jump_have_no_union() -> None:
    with pytest.raises(
        ArgumentError, match=r"drift apart.*expected equal jumps, got 1 and 2 inputs per output"
    ):
        Reach(1) | Reach(2)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("layers", [1, 2, 3, 10])
def test_layers_of_stride_one_add_a_kernel_less_one_each(kernel: int, layers: int) -> None:
    assert chain(*[(kernel, 1)] * layers).size == 1 + layers * (kernel - 1)


VGG16 = [(3, 1)] * 2 + [(2, 2)] + [(3, 1)] * 2 + [(2, 2)] + ([(3, 1)] * 3 + [(2, 2)]) * 3
ALEXNET = [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)]


@pytest.mark.parametrize(
    ("layers", "size", "jump"),
    [(VGG16, 212, 32), (VGG16[:-1], 196, 16), (ALEXNET, 195, 32), ([(3, 1)] * 3, 7, 1), ([(7, 1)], 7, 1)],
    ids=["VGG-16 pool5", "VGG-16 conv5_3", "AlexNet pool5", "three 3x3", "one 7x7"],
)
def test_published_receptive_fields(layers: list[tuple[int, int]], size: int, jump: int) -> None:
    """Araujo, Norris and Sim, Distill 2019; Simonyan and Zisserman, ICLR 2015, section 2.3."""
    reach = chain(*layers)
    assert reach.size == size
    assert reach.jump == jump


def test_vgg16_starts_ninety_cells_into_the_padding() -> None:
    assert chain(*VGG16).start == -90


def test_branches_of_a_residual_network_meet() -> None:
    """ResNet-50 with the stride on the 3x3 convolution: 427 cells, 32 apart, every shortcut included."""
    reach = chain((7, 2), (3, 2))
    for blocks, stride in ((3, 1), (4, 2), (6, 2), (3, 2)):
        for block in range(blocks):
            s = stride if block == 0 else 1
            reach = (reach >> chain((1, 1), (3, s), (1, 1))) | (reach >> chain((1, s)))
    assert reach.size == 427
    assert reach.jump == 32


def test_upsampling_is_a_fraction_and_undoes_a_stride() -> None:
    doubled = Window(2, stride=2).transposed_reach()
    assert doubled == Reach(Fraction(1, 2), Fraction(-1, 2), 0)
    assert [list(doubled.interval(o)) for o in range(4)] == [[0], [0], [1], [1]]
    assert doubled >> Reach(2) == Reach()


def test_centre_and_start_follow_the_padding() -> None:
    reach = Window(3, stride=2, padding=(1, 1)).reach()
    assert reach.centre == 0
    assert reach.start == -1
    assert reach.jump == 2
    assert Window(2, stride=2).reach().centre == Fraction(1, 2)


def test_a_reach_that_reads_nothing_has_no_cells() -> None:
    """Every other output of a bed of nails falls between the nails."""
    nails = Window(1, stride=2).transposed_reach()
    assert [len(nails.interval(o)) for o in range(4)] == [1, 0, 1, 0]
    between = nails >> Window(1, stride=2, padding=(1, 0)).reach()
    assert between.size == 0


@pytest.mark.parametrize(
    ("scale", "lo", "message"), [(0, 0, "above 0, got 0"), (0.5, 0, "got 0.5"), (1, True, "True")]
)
def test_wrong_numbers_are_refused(scale: Fraction, lo: Fraction, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Reach(scale, lo, 0)


def test_reach_composes_only_with_reach() -> None:
    with pytest.raises(TypeError):
        Reach() >> 3  # type: ignore[operator]
    with pytest.raises(TypeError):
        Reach() | 3  # type: ignore[operator]
