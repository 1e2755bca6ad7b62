"""Covariance pooling against NumPy and SciPy, and its derivatives, at repeated eigenvalues above all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from support import close, last, random
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Reducer, Windows
from cnnatomy.reducers.covariance import Covariance
from cnnatomy.reducers.shared import spectral
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

pytestmark = pytest.mark.costly(2)  # each compiles kernels

linalg: Any = pytest.importorskip("scipy.linalg")
derivatives: Any = torch.autograd.functional

REGIONS: list[Region] = [Whole(), Adaptive(2), Sliding(3, 2, 1), Sliding(2, 1, 0, 2)]
KINDS = [
    Covariance(),
    Covariance("power", alpha=0.3, scaled=True),
    Covariance("newton-schulz"),
    Covariance("log"),
    Covariance("top", k=2),
    Covariance("none", centred=False),
]
SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "root": lambda m: spectral.power(m, 0.5),
    "power 0.3": lambda m: spectral.power(m, 0.3),
    "power 1": lambda m: spectral.power(m, 1.0),
    "power 1.7": lambda m: spectral.power(m, 1.7),
    "log": lambda m: spectral.log(m, 1e-3),
}
every_region = pytest.mark.parametrize("region", REGIONS, ids=str)
every_kind = pytest.mark.parametrize("what", KINDS, ids=lambda what: f"{what.function} {what.alpha}")
every_smooth = pytest.mark.parametrize("f", list(SMOOTH.values()), ids=list(SMOOTH))


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def matrix(*spectrum: float, seed: int = 0) -> Tensor:
    """A symmetric matrix of these eigenvalues in a random basis."""
    basis: Tensor = torch.linalg.qr(random((len(spectrum), len(spectrum)), torch.float64, seed))[0]
    return (basis * torch.tensor(spectrum, dtype=torch.float64)) @ basis.mT


def taps(region: Region, x: Tensor) -> dict[Any, list[Any]]:
    """For every output, by its place, the places of the cells that it reads."""
    tables = [axis.table for axis in region.axes(tuple(x.shape[2:]))]
    return {
        o: list(itertools.product(*(table.taps(i) for table, i in zip(tables, o, strict=True))))
        for o in itertools.product(*(range(table.outputs) for table in tables))
    }


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("centred", [True, False])
@every_region
def test_moments_are_numpys(region: Region, centred: bool, rank: int) -> None:
    x = random((2, 3, 6, 5, 4)[: 2 + rank], torch.float64)
    y = Covariance("none", centred=centred).across(x, region)
    upper = np.triu_indices(3)
    read = taps(region, x)
    assert y.shape == (2, 6, *(1 + max(column) for column in zip(*read, strict=True)))
    for n, (o, cells) in itertools.product(range(2), read.items()):
        vectors = np.array([[float(x[(n, c, *cell)]) for cell in cells] for c in range(3)])
        moments = np.cov(vectors, bias=True) if centred else vectors @ vectors.T / len(cells)
        np.testing.assert_allclose(y[(n, slice(None), *o)], moments[upper], rtol=1e-12, atol=1e-12)


@every_kind
@every_region
def test_definition_and_regions_agree(what: Covariance, region: Region) -> None:
    x = random((2, 3, 6, 5), torch.float64)
    read = taps(region, x)
    out, most = tuple(1 + max(column) for column in zip(*read, strict=True)), max(map(len, read.values()))
    values = torch.full((2, 3, *out, most), math.nan, dtype=torch.float64)
    inside = torch.zeros(*out, most, dtype=torch.bool)
    for o, cells in read.items():
        for tap, cell in enumerate(cells):
            values[(..., *o, tap)] = x[(..., *cell)]
            inside[(*o, tap)] = True
    defined, winner = what.define(Windows(values, inside, inside.sum(-1)))
    assert winner is None
    close(what.across(x, region), defined, sums=100)


def test_functions_are_scipys() -> None:
    m = torch.stack([matrix(0.2, 0.7, 1.5, 4.0, seed=seed) for seed in range(3)])
    for n, one in enumerate(m.numpy()):
        np.testing.assert_allclose(spectral.power(m, 0.5)[n], linalg.sqrtm(one), atol=1e-12)
        power = linalg.fractional_matrix_power(one, 0.3)
        np.testing.assert_allclose(spectral.power(m, 0.3)[n], power, atol=1e-12)
        np.testing.assert_allclose(spectral.log(m, 0.1)[n], linalg.logm(one + 0.1 * np.eye(4)), atol=1e-12)
        np.testing.assert_allclose(spectral.top(m, 3)[n], linalg.eigvalsh(one)[:0:-1], atol=1e-12)
        np.testing.assert_allclose(spectral.newton_schulz(m, 20)[n], linalg.sqrtm(one), atol=1e-12)


def test_newton_schulz_takes_the_steps_of_the_paper() -> None:
    m, unit = matrix(0.2, 0.7, 1.5, 4.0), torch.eye(4, dtype=torch.float64)
    a = m / m.trace()
    once = a @ (3 * unit - a) / 2
    close(spectral.newton_schulz(m, 1), m.trace().sqrt() * once)
    z = (3 * unit - a) / 2
    close(spectral.newton_schulz(m, 2), m.trace().sqrt() * once @ (3 * unit - z @ once) / 2)
    root = torch.as_tensor(linalg.sqrtm(m.numpy()))
    errors = [float((spectral.newton_schulz(m, steps) - root).norm()) for steps in range(1, 10)]
    assert all(later < earlier / 1.4 for earlier, later in itertools.pairwise(errors))


@every_smooth
@pytest.mark.parametrize(
    "spectrum",
    [
        *[(0.5, 1.0, 2.0, 4.0), (1.0, 1.0, 1.0, 3.0), (2.0, 2.0, 2.0, 2.0)],
        *[(1.0, 1 + 1e-13, 1 + 1e-9, 3.0), (1.0, 1 + 1e-6, 1 + 1e-5, 1 + 1e-4)],
    ],
)
def test_matrix_derivatives(f: Callable[[Tensor], Tensor], spectrum: tuple[float, ...]) -> None:
    m = matrix(*spectrum).requires_grad_()

    def run(m: Tensor) -> Tensor:
        return f((m + m.mT) / 2)

    assert torch.autograd.gradcheck(run, m, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, m)


def test_spectrum_derivatives() -> None:
    m = matrix(0.5, 1.0, 2.0, 4.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: spectral.top((m + m.mT) / 2, 3), m, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda m: spectral.top((m + m.mT) / 2, 3), m)


def test_distinct_eigenvalues_have_the_derivative_of_the_decomposition() -> None:
    m, grad = matrix(0.1, 0.5, 1.0, 2.0, 4.0).requires_grad_(), random((5, 5), torch.float64, 1)
    values, vectors = torch.linalg.eigh((m + m.mT) / 2)
    (truth,) = torch.autograd.grad((vectors * values**0.3) @ vectors.mT, m, grad)
    (ours,) = torch.autograd.grad(spectral.power(m, 0.3), m, grad)
    close(ours, truth)  # the cotangent is not symmetric, the gradient is
    close(ours, ours.mT)


@every_smooth
def test_without_gradients_the_value_is_the_same(f: Callable[[Tensor], Tensor]) -> None:
    m = matrix(0.5, 1.0, 1.0, 4.0)
    with torch.no_grad():
        plain = f(m)
    close(plain, f(m))


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 2.0])
def test_derivatives_at_a_constant_rank_are_exact(alpha: float) -> None:
    """Two directions in four channels: finite differences stay among matrices of rank two."""
    mix = random((4, 2), torch.float64, 1)
    x = random((1, 2, 7), torch.float64, 2).requires_grad_()

    def run(x: Tensor) -> Tensor:
        return Covariance("power", alpha=alpha).across(mix @ x, Whole())

    assert torch.autograd.gradcheck(run, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, x)


def test_the_slope_between_zeros_is_zero() -> None:
    m = torch.diag(torch.tensor([4.0, 0.0, 0.0])).requires_grad_()
    (grad,) = torch.autograd.grad(spectral.power(m, 0.5).sum(), m)
    close(grad, torch.tensor([[0.25, 0.5, 0.5], [0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]))


@every_kind
@pytest.mark.parametrize("region", [Whole(), Sliding(3, 2, 1)], ids=str)
def test_pooling_derivatives(what: Covariance, region: Region) -> None:
    x = random((1, 2, 4, 4), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: what.across(x, region), x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: what.across(x, region), x)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(1, 3, 8),
        torch.full((1, 3, 8), 0.7),
        random((1, 12, 4)),
        random((1, 1, 8)).expand(1, 3, 8),
        random((1, 3, 8)) * 1e-16,
        random((1, 3, 8)) * 1e12,
        torch.eye(3).unsqueeze(0),
        random((1, 3, 1)),
    ],
    ids=["zero", "constant", "few positions", "equal", "tiny", "huge", "repeated", "single"],
)
def test_gradients_are_finite(what: Covariance, dtype: torch.dtype, x: Tensor) -> None:
    x = x.to(dtype).clone().requires_grad_()
    y = what.across(x, Whole())
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)
    assert y.isfinite().all()
    assert grad.isfinite().all()
    if grad.requires_grad:
        (again,) = torch.autograd.grad(grad.sin().sum(), x, allow_unused=True, materialize_grads=True)
        assert again.isfinite().all()


@every_kind
def test_rounding_does_not_reach_constant_inputs(what: Covariance) -> None:
    x = torch.full((1, 3, 1000), 0.1, requires_grad=True)
    (grad,) = torch.autograd.grad(what.across(x, Whole()).sum(), x)
    if what.centred:
        close(grad, torch.zeros_like(x), sums=0.1)


@every_kind
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_where_it_is(what: Covariance, bad: float) -> None:
    x = random((2, 3, 6, 6), torch.float64)
    clean = what.across(x, Sliding(3))
    x[1, 0, 0, 0] = bad
    y = what.across(x, Sliding(3))
    assert not y[1, :, 0, 0].isfinite().all()
    if what.function != "none":
        assert y[1, :, 0, 0].isnan().all()
    y[1, :, 0, 0] = clean[1, :, 0, 0]
    close(y, clean)


@every_kind
def test_a_region_without_taps_is_nan(what: Covariance) -> None:
    x = random((1, 3, 4), torch.float64).requires_grad_()
    y = what.across(x, Sliding(2, 2, 2))
    assert y[..., [0, -1]].isnan().all()
    assert y[..., 1:-1].isfinite().all()
    (grad,) = torch.autograd.grad(y[..., 1:-1].sum(), x)
    assert grad.isfinite().all()


@every_kind
def test_positions_have_no_order(what: Covariance) -> None:
    x = random((2, 3, 30), torch.float64)
    shuffled = x[..., torch.randperm(30, generator=torch.Generator().manual_seed(0))]
    close(what.across(shuffled, Whole()), what.across(x, Whole()))


def test_scaled_vectors_have_the_length_of_the_matrix() -> None:
    m = matrix(0.5, 1.0, 2.0, 4.0)
    close(spectral.upper(m, scaled=True).norm(), m.norm())
    close(spectral.upper(m, scaled=False), m[tuple(torch.triu_indices(4, 4))])


@every_kind
@every_region
def test_shapes(what: Covariance, region: Region) -> None:
    y = what.across(random((2, 3, 6, 5)), region)
    assert y.shape == (2, what.width(3), *region.outputs((6, 5)))
    assert what.across(random((0, 3, 6, 5)), region).shape == (0, *y.shape[1:])


@every_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_dtypes_and_layouts(what: Covariance, dtype: torch.dtype) -> None:
    x = random((2, 3, 7, 6), dtype)
    y = what.across(x, Whole())
    assert y.dtype == dtype
    close(y, what.across(x.double(), Whole()), sums=10)
    close(what.across(last(x), Whole()), y)
    with torch.autocast("cpu", torch.bfloat16):
        close(what.across(x, Whole()), y)


@every_kind
@pytest.mark.parametrize("region", [Whole(), Sliding(3, 2, 1)], ids=str)
def test_function_transforms(what: Covariance, region: Region) -> None:
    x = random((2, 3, 4, 4), torch.float64)

    def run(x: Tensor) -> Tensor:
        return what.across(x, region)

    close(torch.func.vmap(lambda one: run(one.unsqueeze(0)).squeeze(0))(x), run(x))
    truth = derivatives.jacobian(run, x)
    close(torch.func.jacrev(run)(x), truth)
    close(torch.func.jacfwd(run)(x), truth)


@every_smooth
def test_every_way_to_a_hessian_is_the_same(f: Callable[[Tensor], Tensor]) -> None:
    m = matrix(1.0, 1.0, 2.0)

    def run(m: Tensor) -> Tensor:
        return f(m).sin().sum()

    truth = derivatives.hessian(run, m)
    modes: list[Any] = [torch.func.jacrev, torch.func.jacfwd]
    for outer, inner in itertools.product(modes, repeat=2):
        close(outer(inner(run))(m), truth)


@every_kind
@pytest.mark.parametrize("region", [Whole(), Adaptive(2)], ids=str)
def test_compiled_and_exported(what: Covariance, region: Region) -> None:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return what.across(x, region)

    module = Module()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for size in ((6, 5), (7, 8)):
        x = random((2, 3, *size), torch.float64).requires_grad_()
        y = module(x)
        grad = random(tuple(y.shape), torch.float64, 1)
        close(compiled(x), y)
        ours, truth = (torch.autograd.grad(run(x), x, grad)[0] for run in (compiled, module))
        close(ours, truth)
    exported = torch.export.export(module, (x.detach(),))
    close(exported.module()(x.detach()), y)


def test_global_pooling_is_exported_for_any_size() -> None:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Covariance().across(x, Whole())

    sizes = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    exported = torch.export.export(Module(), (random((2, 3, 6, 5)),), dynamic_shapes=(sizes,))
    x = random((5, 3, 9, 8))
    close(exported.module()(x), Covariance().across(x, Whole()))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"function": "root"}, "function"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": math.inf}, "alpha"),
        ({"alpha": True}, "alpha"),
        ({"function": "log", "epsilon": 0.0}, "epsilon"),
        ({"function": "top", "k": 0}, "k"),
        ({"function": "top", "k": 1.5}, "k"),
        ({"function": "newton-schulz", "iterations": 0}, "iterations"),
        ({"centred": 1}, "centred"),
        ({"scaled": "yes"}, "scaled"),
        ({"function": "log", "alpha": 0.3}, "alpha means nothing to function='log'"),
        ({"function": "top", "scaled": True}, "scaled means nothing"),
        ({"k": 3}, "k means nothing"),
    ],
)
def test_bad_parameters_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        Covariance(**arguments)


def test_bad_inputs_are_refused() -> None:
    with pytest.raises(ArgumentError, match="k <= 3, got 4"):
        Covariance("top", k=4).across(random((1, 3, 5)), Whole())
    with pytest.raises(ArgumentError, match=r"x\.float\(\)"):
        Covariance().across(torch.ones(1, 3, 5, dtype=torch.int64), Whole())


@every_kind
def test_printed_form_is_read_back(what: Covariance) -> None:
    assert Reducer.parse(what.text) == what
