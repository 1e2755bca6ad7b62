"""Tables of weights: what they add up to, where they lie, and their transposes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.axis_resampling import Resampling, output_size
from cnnatomy.geometry.bands import Bands
from cnnatomy.geometry.kernels import COORDINATES, METHODS

SETTINGS = [
    Resampling(name, coordinates, antialias)
    for name, method in METHODS.items()
    for coordinates in method.coordinates
    for antialias in ((False, True) if method.kernel else (False,))
]
SIZES = st.integers(1, 40)


def dense(bands: Bands) -> Any:
    matrix = np.zeros((bands.outputs, bands.size))
    for o, (start, row) in enumerate(zip(bands.start, bands.weights, strict=True)):
        matrix[o, start : start + len(row)] = row
    return matrix


@given(how=st.sampled_from(SETTINGS), n=SIZES, m=SIZES)
def test_rows_lie_inside_the_input_and_add_up_to_one(how: Resampling, n: int, m: int) -> None:
    m = m * n if how.method == "nails" else m
    bands = how.bands(n, m)
    assert bands.size == n
    assert bands.outputs == len(bands.weights) == m
    rows = list(zip(bands.start, bands.weights, strict=True))
    assert all(start >= 0 and start + len(row) <= n for start, row in rows)
    sums = [math.fsum(row) for _, row in rows]
    if how.method == "nails":
        assert sums == [float(o % (m // n) == 0) for o in range(m)]
    else:
        assert sums == pytest.approx([1.0] * m, abs=1e-9)


@given(how=st.sampled_from(SETTINGS), n=SIZES, m=SIZES)
def test_a_transpose_has_the_very_same_weights(how: Resampling, n: int, m: int) -> None:
    bands = how.bands(n, m * n if how.method == "nails" else m)
    transposed = bands.transposed()
    assert np.array_equal(dense(transposed), dense(bands).T)
    assert transposed.transposed() == bands
    x = np.random.default_rng(n).normal(size=n)
    assert np.allclose(bands.apply(x.tolist()), dense(bands) @ x)


@pytest.mark.parametrize("how", SETTINGS, ids=repr)
def test_equal_sizes_change_nothing_where_the_method_interpolates(how: Resampling) -> None:
    if how.method != "gaussian":
        assert np.array_equal(dense(how.bands(9, 9)), np.eye(9))


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(("method", "degree"), [("linear", 1), ("cubic", 2)])
def test_polynomials_come_out_exactly_away_from_borders(coordinates: str, method: str, degree: int) -> None:
    n, m = 12, 31  # Keys 1981: a = -1/2 is exact for parabolas
    how = Resampling(method, coordinates, coefficient=-0.5 if method == "cubic" else None)
    step, shift = n / m, 0.5 if coordinates == "half_pixel" else 0.0
    at = (
        np.arange(m) * (n - 1) / (m - 1)
        if coordinates == "corners"
        else step * (np.arange(m) + shift) - shift
    )
    found = np.array(how.bands(n, m).apply([float(i**degree) for i in range(n)]))
    inner = (at > degree) & (at < n - 1 - degree)
    assert np.allclose(found[inner], at[inner] ** degree)


@pytest.mark.parametrize("name", ["linear", "cubic", "lanczos2", "lanczos3", "gaussian"])
def test_a_scale_sets_the_step(name: str) -> None:
    given, free = Resampling(name, scale=(1.9,)), Resampling(name)
    assert given.bands(5, output_size(5, 1.9)) != free.bands(5, 9)
    assert Resampling(name, scale=(1.8,)).bands(5, 9) == free.bands(5, 9)


@pytest.mark.parametrize("name", ["linear", "cubic", "lanczos2", "lanczos3", "gaussian"])
def test_antialias_reads_every_input(name: str) -> None:
    bands = Resampling(name, antialias=True).bands(40, 5)
    assert np.all(np.abs(dense(bands)).sum(0) > 0)
    assert bands.most >= 16


@pytest.mark.parametrize(
    "how", [*SETTINGS, Resampling("cubic", scale=(0.3, 2.0)), Resampling("gaussian", None, True, 1.5)]
)
def test_settings_are_read_back_from_their_text(how: Resampling) -> None:
    assert Resampling.parse(how.text) == how


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "bilinaer"}, "no method is called 'bilinaer'.*try 'bilinear'"),
        ({"method": 3}, "no method is called 3"),
        ({"method": "nearest", "coordinates": "corners"}, "no coordinates 'corners'"),
        ({"method": "linear", "coordinates": "center"}, "no coordinates 'center'"),
        ({"method": "area", "coordinates": "corners"}, "no coordinates 'corners'"),
        ({"method": "nails", "coordinates": "half_pixel"}, "no coordinates 'half_pixel'"),
        ({"method": "nearest", "antialias": True}, "averages nothing"),
        ({"method": "nails", "antialias": True}, "averages nothing"),
        ({"method": "area", "antialias": True}, "averages already"),
        ({"method": "linear", "antialias": 1}, "antialias is not a bool"),
        ({"method": "linear", "coefficient": -0.5}, "has no coefficient"),
        ({"method": "cubic", "coefficient": math.inf}, "no finite number"),
        ({"method": "cubic", "coefficient": "a"}, "no finite number"),
        ({"method": "gaussian", "coefficient": 0.0}, "not positive"),
        ({"method": "linear", "scale": (0.0,)}, "not positive"),
    ],
)
def test_settings_that_mean_nothing_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Resampling(**arguments)


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (3, -1), (3, 2**24 + 1)])
def test_sizes_that_cannot_be_are_refused(n: int, m: int) -> None:
    with pytest.raises(ArgumentError):
        Resampling("linear").bands(n, m)
    with pytest.raises(ArgumentError, match=r"whole steps.*try 9"):
        Resampling("nails").bands(3, 10)
