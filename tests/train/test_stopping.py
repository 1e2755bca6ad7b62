from __future__ import annotations

import math
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.train.stopping import best, is_over

FIGURES = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, math.nan]), max_size=12)


def test_is_read_without_torch() -> None:
    code = "import sys, cnnatomy.train.stopping; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(FIGURES)
def test_the_best_is_the_first_of_the_highest(figures: list[float]) -> None:
    numbers = [figure for figure in figures if figure == figure]
    assert best(figures) == (figures.index(max(numbers)) if numbers else None)


@given(FIGURES, st.integers(1, 4), st.sampled_from([0.0, 0.06, 0.15]))
def test_it_is_over_once_patience_has_run_out_as_a_counter_finds(
    figures: list[float], patience: int, least: float
) -> None:
    top, waited, over = -math.inf, 0, False
    for figure in figures:
        if figure > top + least:
            top, waited = figure, 0
        else:
            waited += 1
        over = waited >= patience
    assert is_over(figures, patience, least) == over


def test_numbers_that_are_none_are_no_better() -> None:
    assert is_over([math.nan, math.nan], patience=2)
    assert not is_over([math.nan, 0.1], patience=2)
    assert not is_over([], patience=1)
