"""Exponentials, logarithms and powers of two of traced vectors, against NumPy's long double."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from vectors import vectors_of

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vectors import Lanes
from cnnatomy.backends.cpu.runtime import jit

Array = NDArray[Any]
FORMATS = {"float32": np.float32, "float64": np.float64}
WIDTHS = (jit.vector_bytes() // 4, 1)  # whole vectors, and what is left over one by one
every_format = pytest.mark.parametrize("dtype", list(FORMATS))


def number(m: Lanes, k: Lanes) -> Lanes:
    """m 2^k, where 2^k alone may be out of range."""
    half = (k * 0.5).floor()
    return m.scale(half).scale(k - half)


FUNCTIONS: dict[str, Callable[[Lanes], Any]] = {
    "decay": lambda v: v.decay(),
    "exp": lambda v: v.exp(),
    "log": lambda v: v.log(),
    "exponential": lambda v: number(*v.exponential()),
    "mantissa": lambda v: v.exponential()[0],
    "over itself": lambda v: v.over(v.floor(), v.like(1.0)),
    "over more": lambda v: v.over(v.floor() + 20.0, v.like(1.0)),
    "split": lambda v: v.split()[0],
    "exponent": lambda v: v.split()[1],
    "scale": lambda v: v.like(3.0).scale(v),
    "ordered": lambda v: v.ordered().unordered(),
    "above": lambda v: (v.ordered() > v.like(-0.5).ordered()).select(v.like(1.0), 0.0),
}


def text(dtype: str, name: str, widths: tuple[int, ...] = WIDTHS) -> str:
    """A kernel that makes y = f(x) of every element."""
    e = Emitter("kernel", ("x", "y"), dtype)

    def body(i: Any, width: int) -> None:
        e.store(FUNCTIONS[name](e.load(e.pointers["x"], i, width)), e.pointers["y"], i, width)

    e.sweep(e.hi, widths, body)
    return e.finish()


@lru_cache
def kernel(dtype: str, name: str) -> jit.Kernel:
    return jit.kernel("kernel", text(dtype, name), 2)


@pytest.fixture(params=[32, 64], ids=["table", "no table"])
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """As with vectors of so many bytes: with a table of powers of two, if the processor can, and without."""
    kernel.cache_clear()
    with vectors_of(request.param):
        for name in ("decay", "over itself"):
            assert ("permps" in text("float32", name)) == jit.looks_up()
            assert "permps" not in text("float64", name)
        yield
    kernel.cache_clear()


def run(name: str, x: Array) -> Array:
    y = np.full_like(x, 7)
    kernel(x.dtype.name, name).run(0, x.ctypes.data, y.ctypes.data, 0, x.size)
    return y


def units(y: Array, truth: Array) -> float:
    """The largest error in units in the last place."""
    rounded = truth.astype(y.dtype)
    return float(np.max(np.abs(y - truth) / np.spacing(np.abs(rounded)).astype(np.longdouble)))


def numbers(dtype: str, low: float, high: float) -> Array:
    return np.random.default_rng(0).uniform(low, high, 300_007).astype(FORMATS[dtype])


def like(dtype: str, *values: float) -> Array:
    """Values often enough that vectors see them as well as single lanes."""
    return np.tile(np.array(values, FORMATS[dtype]), 2 * WIDTHS[0] + 1)


def same(y: Array, truth: Array) -> None:
    np.testing.assert_array_equal(y, truth.astype(y.dtype))


@every_format
def test_exp_to_one_unit(dtype: str) -> None:
    low, high = (-87.3, 88.7) if dtype == "float32" else (-708.3, 709.7)
    for x in (numbers(dtype, low, high), numbers(dtype, -1, 1), numbers(dtype, -1e-4, 1e-4)):
        assert units(run("exp", x), np.exp(x.astype(np.longdouble))) < 1
        assert units(run("exponential", x), np.exp(x.astype(np.longdouble))) < 1
        m = run("mantissa", x)
        assert 0.7 < m.min() < m.max() < 1.42


@every_format
@pytest.mark.usefixtures("table")
def test_decay_to_two_units(dtype: str) -> None:
    least = -87.25 if dtype == "float32" else -708.25
    for low, high in ((least, 0), (-1, 0), (-1e-4, 0), (0, 88)):
        x = numbers(dtype, low, high)
        assert units(run("decay", x), np.exp(x.astype(np.longdouble))) < 1.25
    x = like(dtype, 0.0, -0.0, -np.inf, np.nan, -1e30)
    y = run("decay", x)[:5]
    same(y[[0, 1, 3]], like(dtype, 1, 1, np.nan)[:3])
    assert np.all((y[[2, 4]] >= 0) & (y[[2, 4]] < 2 * np.finfo(dtype).tiny))


def test_entries_of_a_table_in_vectors_of_any_width() -> None:
    x, found = numbers("float32", -80, 0), []
    with vectors_of(32):
        for width in (8, 2, 4, 16, 24, 40):
            code = jit.kernel("kernel", text("float32", "decay", (width, 1)), 2)
            found.append(np.full_like(x, 7))
            code.run(0, x.ctypes.data, found[-1].ctypes.data, 0, x.size)
    for y in found[1:]:
        np.testing.assert_array_equal(y, found[0])


@every_format
@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(("name", "more"), [("over itself", 0), ("over more", 20)])
def test_exp_over_a_power_loses_a_unit_for_every_halving(dtype: str, name: str, more: int) -> None:
    for x in (numbers(dtype, -1, 2.2), numbers(dtype, -40, 2.2), numbers(dtype, -1e-4, 1e-4)):
        truth = np.ldexp(np.exp(x.astype(np.longdouble)), -np.floor(x).astype(int) - more)
        for least, allowed in ((0.5, 3), (2.0**-8, 11), (0, 40)):
            far = truth >= least
            if far.any():
                assert units(run(name, x)[far], truth[far]) < allowed
    inf, nan = np.inf, np.nan
    same(run(name, like(dtype, 0.0, -inf, nan))[:3], like(dtype, 2.0**-more, nan, nan)[:3])


@every_format
def test_log_to_three_units(dtype: str) -> None:
    most = 38 if dtype == "float32" else 308
    for low, high in ((-most, most), (-1, 1), (-0.05, 0.05)):
        x = (10 ** numbers("float64", low, high)).astype(FORMATS[dtype])
        assert units(run("log", x), np.log(x.astype(np.longdouble))) < 3


@every_format
def test_log_of_numbers_below_every_normal_one(dtype: str) -> None:
    x = (numbers("float64", 1e-3, 1) * float(torch.finfo(getattr(torch, dtype)).tiny)).astype(FORMATS[dtype])
    assert units(run("log", x), np.log(x.astype(np.longdouble))) < 3


@every_format
def test_split_is_exact(dtype: str) -> None:
    most = 44 if dtype == "float32" else 320
    x = (10 ** numbers("float64", -most, 38 if dtype == "float32" else 308)).astype(FORMATS[dtype])
    x = x[x > 0]
    m, k = run("split", x), run("exponent", x)
    assert np.all(k == np.floor(k))
    assert np.all((m > 0.7071) & (m < 1.4143))
    same(np.ldexp(m.astype(np.longdouble), k.astype(int)), x)


@every_format
def test_corners(dtype: str) -> None:
    inf, nan = np.inf, np.nan
    x = like(dtype, 0.0, -0.0, inf, -inf, nan, 1.0, 1e30, -1e30)
    same(run("exp", x), like(dtype, 1, 1, inf, 0, nan, np.exp(np.longdouble(1)), inf, 0))
    m = run("mantissa", x)
    same(m[1:5], like(dtype, 1, inf, 0, nan)[:4])
    assert 0 < m[6:8].min() < m[6:8].max() < np.inf  # of exponents that have lost their last digits
    x = like(dtype, 0.0, -0.0, inf, -inf, nan, 1.0, -1.0)
    same(run("log", x), like(dtype, -inf, -inf, inf, nan, nan, 0, nan))
    x = like(dtype, 0.0, inf, nan, 1.0, 2.0)
    same(run("split", x), like(dtype, 0, inf, nan, 1, 1))
    k = run("exponent", x)
    assert k[0] < -1000 < 1000 < k[1]
    same(k[3:5], like(dtype, 0, 1)[:2])


@every_format
def test_scale_by_any_power(dtype: str) -> None:
    tiny, most = (-126, 127) if dtype == "float32" else (-1022, 1023)
    powers = (-1e9, -np.inf, np.nan, tiny - 1, tiny, -1, 0, 1, most - 1, 1e9, np.inf)
    truth = [0, 0, 0, 0, 3 * 2.0**tiny, 1.5, 3, 6, 3 * 2.0 ** (most - 1), np.inf, np.inf]
    same(run("scale", like(dtype, *powers)), like(dtype, *truth))


@every_format
def test_order_is_kept_and_read_back(dtype: str) -> None:
    x = np.concatenate([numbers(dtype, -3, 3), like(dtype, 0, -0.0, np.inf, -np.inf, 1e-40, 3e38)])
    same(run("ordered", x), x)
    same(run("above", x), x > -0.5)
