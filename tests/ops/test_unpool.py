"""Unpooling against a loop over cells, torch's own, and the adjoint and average that define it."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import close, distinct, last, random
from torch import Tensor
from torch.nn import functional as F

import cnnatomy
from cnnatomy import Adaptive, Bins, Boxes, Fractional, Kth, Mean, Pyramid, Region, Sliding, Whole
from cnnatomy.errors import ArgumentError
from cnnatomy.nn import unpooling_modules
from cnnatomy.ops.unpooling import choices, unpool, unpool_mean

pytestmark = pytest.mark.costly(2)  # each compiles kernels

SIZES = {1: (13,), 2: (9, 11), 3: (5, 6, 7)}
REGIONS: list[Region] = [
    *(Sliding(2), Sliding(3, 2, 1), Sliding(3, 1, 1), Sliding(2, 1, 0, 2), Sliding(2, 3, ceil_mode=True)),
    *(
        Sliding(3, 2, "same"),
        Sliding(2, 2, 3),
        Adaptive(3),
        Whole(),
        Fractional(0.6),
        Fractional(0.6, overlapping=True),
    ),
]
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def truth(y: Tensor, indices: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The definition, an output after the other; and which outputs are left in the result."""
    x = torch.zeros(*y.shape[:2], math.prod(size), dtype=y.dtype)
    owner = torch.full_like(x, -1, dtype=torch.int64)
    flat, where = y.flatten(2), indices.flatten(2)
    for n, c, o in itertools.product(*map(range, flat.shape)):
        if (i := int(where[n, c, o])) >= 0:
            x[n, c, i], owner[n, c, i] = flat[n, c, o], o
    kept = torch.zeros_like(flat, dtype=torch.bool)
    for n, c, i in owner.ge(0).nonzero().tolist():
        kept[n, c, owner[n, c, i]] = True
    return x.view(*y.shape[:2], *size), kept.view(y.shape)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("region", REGIONS, ids=repr)
@pytest.mark.parametrize("reducer", ["max", "min", "median", Kth(1)], ids=str)
def test_what_a_pooling_selected_returns_to_its_cells(rank: int, region: Region, reducer: Any) -> None:
    x = random((2, 3, *SIZES[rank]))
    _, indices = cnnatomy.pool(x, reducer, region, rank=rank, return_indices=True)
    y = random(tuple(indices.shape), seed=1).requires_grad_()  # other values, so that collisions tell
    found = unpool(y, indices, SIZES[rank], region=region)
    wanted, kept = truth(y.detach(), indices, SIZES[rank])
    assert torch.equal(found, wanted)
    assert torch.equal(unpool(y.detach(), indices, SIZES[rank]), wanted)
    pull = random(tuple(found.shape), seed=2)
    (grad,) = torch.autograd.grad(found, y, pull)
    at = pull.flatten(2).gather(2, indices.clamp(min=0).flatten(2)).view(y.shape)
    assert torch.equal(grad, torch.where(kept, at, 0.0))


def test_boxes_return_to_a_map_for_each_box() -> None:
    x = random((2, 3, 9, 11))
    region = Boxes([(0, 0, 0, 5, 3), (1, 1, 1, 30, 8), (1, 40, 40, 50, 50)], 3)
    y, indices = cnnatomy.pool(x, "max", region, return_indices=True)
    found = unpool(y, indices, (9, 11), region=region)
    assert torch.equal(found, truth(y, indices, (9, 11))[0])
    assert found.shape == (3, 3, 9, 11)
    assert not found[2].any()  # outside of the map


@given(st.data())
def test_any_indices_go_where_they_say_and_the_last_stays(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    size = tuple(data.draw(st.integers(1, 4)) for _ in range(rank))
    shape = tuple(data.draw(st.integers(0 if i == 0 else 1, 3)) for i in range(2 + rank))
    seed = data.draw(st.integers(0, 10**6))
    cells = math.prod(size)
    indices = torch.randint(-1, cells, shape, generator=torch.Generator().manual_seed(seed))
    y = random(shape, seed=seed)
    wanted, kept = truth(y, indices, size)
    assert torch.equal(unpool(y, indices, size), wanted)
    z = y.clone().requires_grad_()
    (grad,) = torch.autograd.grad(unpool(z, indices, size).sum(), z)
    assert torch.equal(grad, kept.float())
    if rank > 1:
        found = unpool(last(y), last(indices), size)
        assert torch.equal(found, wanted)


def test_in_one_row_the_last_output_stays_with_and_without_gradients() -> None:
    indices = torch.zeros(4, 2, 5000, dtype=torch.int64)
    y = random((4, 2, 5000))
    for values in (y, y.clone().requires_grad_()):
        assert torch.equal(unpool(values, indices, 1, rank=1)[..., 0], y[..., -1])


def samples(name: str) -> list[Any]:
    pytest.importorskip("expecttest")  # torch's own tests need it
    from torch.testing._internal.common_methods_invocations import op_db

    (record,) = [one for one in op_db if one.name == name and not one.variant_test_name]
    find: Any = record.sample_inputs
    return list(find("cpu", torch.float64, requires_grad=True))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.filterwarnings("ignore")
def test_torchs_own_samples(rank: int) -> None:
    """Values of every sample are torch's; gradients where no cell is named twice (torch counts it twice)."""

    cases = samples(f"nn.functional.max_unpool{rank}d")
    assert len(cases) > 10
    for case in cases:
        z, w = (case.input.detach().clone().requires_grad_() for _ in range(2))
        indices, options = case.args[0], {**case.kwargs}
        wanted = getattr(F, f"max_unpool{rank}d")(w, indices, *case.args[1:], **options)
        size = options.pop("output_size", None)
        module = getattr(unpooling_modules, f"MaxUnpool{rank}d")(*case.args[1:], **options)
        found = module(z, indices, size)
        assert torch.equal(found, wanted)
        flat = indices.flatten(0, -rank - 1).flatten(1)
        if all(len(set(row)) == len(row) for row in flat.tolist()):
            pull = random(tuple(found.shape), torch.float64)
            for ours, theirs in zip(
                *(torch.autograd.grad(y, v, pull) for y, v in ((found, z), (wanted, w))), strict=True
            ):
                assert torch.equal(ours, theirs)


@pytest.mark.parametrize("format", ["contiguous", "last"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_dtype_and_memory_format_stay(format: str, dtype: torch.dtype) -> None:
    x = random((2, 3, 8, 10), dtype)
    x = last(x) if format == "last" else x
    y, indices = cnnatomy.pool(x, "max", Sliding(3, 2, 1), return_indices=True)
    found = unpool(y, indices, (8, 10))
    assert found.dtype is dtype
    assert torch.equal(found, F.max_unpool2d(y.double(), indices, [3, 3], [2, 2], [1, 1], [8, 10]).to(dtype))
    spread = unpool_mean(y, Sliding(3, 2, 1), (8, 10))
    assert spread.dtype is dtype
    for result in (found, spread):
        assert result.is_contiguous(
            memory_format=torch.channels_last if format == "last" else torch.contiguous_format
        )


def test_signs_and_conjugates_that_torch_has_put_off() -> None:
    y, w = torch.randn(1, 2, 3, dtype=torch.complex64), torch.tensor([[0, 3, 1], [2, 1, 0]])[None]
    real, pull = y.real.contiguous(), torch.randn(1, 2, 4, dtype=torch.complex64)
    assert torch.equal(unpool(y.conj(), w, 4, rank=1), unpool(y, w, 4, rank=1).conj())
    assert torch.equal(unpool(torch._neg_view(real), w, 4, rank=1), -unpool(real, w, 4, rank=1))
    (ours,) = torch.autograd.grad(unpool(y.requires_grad_(), w, 4, rank=1), y, pull.conj())
    assert torch.equal(ours, pull.conj().gather(-1, w))


def test_integers_and_unbatched_maps() -> None:
    y, indices = torch.tensor([[5, 4]]), torch.tensor([[1, 3]])
    assert unpool(y, indices, 5, rank=1).tolist() == [[0, 5, 0, 4, 0]]
    assert unpool_mean(torch.tensor([[2.0]]), Sliding(2), 3, rank=1).tolist() == [[1, 1, 0]]


def spread(y: Tensor, region: Region, size: tuple[int, ...], normalize: bool) -> Tensor:
    """The definition: every output over the cells of its region."""
    rank, axes = len(size), region.axes(size)
    x, count = torch.zeros(*y.shape[:2], *size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    outputs: list[tuple[int, ...]] = list(itertools.product(*map(range, y.shape[2:])))
    for o in outputs:
        tables = [axis.table for axis in axes]
        taps = [
            range(t.start[i], t.start[i] + t.count[i] * t.step, t.step)
            for t, i in zip(tables, o, strict=True)
        ]
        cells: list[tuple[int, ...]] = list(itertools.product(*taps))
        source: Any = (..., *o)
        for cell in cells:
            count[cell] += 1
            value = y[source].double() / (1 if normalize else math.prod(map(len, taps)))
            at: Any = (slice(None), slice(None), *cell)
            x[at] += value
    assert rank == y.dim() - 2
    return x / count.clamp(min=1) if normalize else x


@pytest.mark.parametrize(
    ("rank", "region"), [*itertools.product([1, 2, 3], REGIONS), (2, Bins([[(0, 2), (1, 4)]] * 2))], ids=repr
)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_means_are_spread_by_their_definition(
    rank: int, region: Region, normalize: bool, dtype: torch.dtype
) -> None:
    y = random((2, 2, *region.outputs(SIZES[rank])), dtype)
    close(unpool_mean(y, region, SIZES[rank], normalize=normalize), spread(y, region, SIZES[rank], normalize))


@pytest.mark.parametrize("region", REGIONS, ids=repr)
def test_spreading_means_is_the_adjoint_of_mean_pooling(region: Region) -> None:
    x = random((2, 3, 9, 11), torch.float64)
    pooled = cnnatomy.pool(x, Mean(), region).nan_to_num()
    y = random(tuple(pooled.shape), torch.float64, seed=1)
    close((pooled * y).sum(), (x * unpool_mean(y, region, (9, 11))).sum())


@pytest.mark.parametrize("region", REGIONS[:6], ids=repr)
def test_a_normalised_constant_comes_back_where_it_is_covered(region: Region) -> None:
    ones = torch.ones(1, 1, *region.outputs((9, 11)))
    found = unpool_mean(ones, region, (9, 11), normalize=True)
    covered = unpool_mean(ones, region, (9, 11)) > 0
    assert torch.equal(found, covered.float())


def both(region: Region) -> list[Callable[[Tensor], Tensor]]:
    x = distinct(2, 2, 5, 6)
    _, indices = cnnatomy.pool(x, "max", region, return_indices=True)
    return [
        lambda y: unpool(y, indices, (5, 6)),
        lambda y: unpool_mean(y, region, (5, 6)),
        lambda y: unpool_mean(y, region, (5, 6), normalize=True),
    ]


@pytest.mark.parametrize("region", [Sliding(2), Sliding(3, 2, 1), Sliding(2, 2, 3)], ids=repr)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_derivatives_of_both_orders_and_modes(region: Region, which: int) -> None:
    run = both(region)[which]
    y = distinct(2, 2, *region.outputs((5, 6))).requires_grad_()
    assert torch.autograd.gradcheck(run, y, check_forward_ad=True, check_batched_grad=which == 0)
    assert torch.autograd.gradgradcheck(run, y)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_transforms(which: int) -> None:
    region = Sliding(3, 2, 1)
    run = both(region)[which]
    y = distinct(4, 2, 2, *region.outputs((5, 6)))
    each = torch.stack([run(part) for part in y])
    close(torch.func.vmap(run)(y), each)
    pull = torch.func.grad(lambda part: (run(part) ** 2).sum())
    close(torch.func.vmap(pull)(y), torch.stack([pull(part) for part in y]))
    pushed: Any = torch.func.jvp
    value, tangent = pushed(run, (y[0],), (y[1],))
    close(value, each[0])
    close(tangent, run(y[1]))


def test_vmap_over_indices_alone() -> None:
    y, indices = (
        random((1, 2, 3)),
        torch.randint(-1, 5, (4, 1, 2, 3), generator=torch.Generator().manual_seed(0)),
    )
    found = torch.func.vmap(lambda i: unpool(y, i, 5, rank=1))(indices)
    assert torch.equal(found, torch.stack([unpool(y, i, 5, rank=1) for i in indices]))


@pytest.mark.parametrize("format", ["contiguous", "last"])
@pytest.mark.parametrize("normalize", [None, False, True])
def test_compiled_whole_with_gradients(normalize: bool | None, format: str) -> None:
    def run(y: Tensor, indices: Tensor) -> Tensor:
        if normalize is None:
            return unpool(y, indices, (8, 9))
        return unpool_mean(y, Sliding(3, 2, 1), (8, 9), normalize=normalize)

    x = random((2, 3, 8, 9))
    x = last(x) if format == "last" else x
    y, indices = cnnatomy.pool(x, "max", Sliding(3, 2, 1), return_indices=True)
    a, b = y.clone().requires_grad_(), y.clone().requires_grad_()
    found, wanted = torch.compile(run, fullgraph=True, backend="aot_eager")(a, indices), run(b, indices)
    close(found, wanted)
    assert found.stride() == wanted.stride()
    pull = random(tuple(found.shape), seed=3)
    for ours, theirs in zip(
        torch.autograd.grad(found, a, pull), torch.autograd.grad(wanted, b, pull), strict=True
    ):
        close(ours, theirs)


@pytest.mark.slow
def test_inductor_agrees() -> None:
    _, indices = cnnatomy.pool(random((2, 3, 8, 9)), "max", Sliding(3, 2, 1), return_indices=True)
    y = random(tuple(indices.shape), seed=1)  # colliding values that differ
    found = torch.compile(lambda a, b: unpool(a, b, (8, 9)), fullgraph=True)(y, indices)
    assert torch.equal(found, unpool(y, indices, (8, 9)))


def test_exported_with_a_dynamic_batch() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y, indices = cnnatomy.pool(x, "max", Sliding(2), return_indices=True)
            return unpool(y, indices, (8, 9)), unpool_mean(y, Sliding(2), (8, 9))

    x = random((3, 2, 8, 9))
    batch = torch.export.Dim("batch")
    graph = torch.export.export(Net(), (x,), dynamic_shapes=({0: batch},)).module()
    other = random((5, 2, 8, 9), seed=1)
    for ours, theirs in zip(graph(other), Net()(other), strict=True):
        assert torch.equal(ours, theirs)


def test_sizes_that_pool_to_the_outputs_are_all_named() -> None:
    rules: list[Any] = [0, 1, (0, 2), "same", "keep", "full", "valid", "causal"]
    for k, s, d, rule, ceil in itertools.product((1, 2, 3), (1, 2, 3), (1, 2), rules, (False, True)):
        region = Sliding(k, s, (rule,), d, ceil)

        def outputs(n: int, region: Region = region) -> int:
            try:
                return region.outputs((n,))[0]
            except ArgumentError:
                return 0

        for out in range(1, 7):
            wanted = [n for n in range(1, 40) if outputs(n) == out]
            assert list(choices(region, (out,))[0]) == wanted, (region, out)


def test_a_size_that_strides_do_not_forget_need_not_be_given() -> None:
    x = random((2, 3, 8, 8))
    region = Sliding(3, 1, 1)
    y, indices = cnnatomy.pool(x, "max", region, return_indices=True)
    assert torch.equal(unpool(y, indices, region=region), unpool(y, indices, 8))
    assert torch.equal(unpool_mean(y, region), unpool_mean(y, region, 8))


Y, AT = torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3, dtype=torch.int64)
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "an index beyond": (lambda: unpool(Y, AT + 36, 6), "out of range: expected -1 .. 35.*36 cells, got 36"),
    "a negative index": (lambda: unpool(Y, AT - 2, 6), "out of range: expected -1 .. 35.*got -2"),
    "no tensor": (lambda: unpool([1.0], AT, 6), "wants a tensor"),  # type: ignore[arg-type]
    "indices of floats": (lambda: unpool(Y, Y, 6), "no indices: expected an int64.*float32"),
    "indices of int32": (lambda: unpool(Y, AT.int(), 6), "no indices.*try indices.long"),
    "no indices": (lambda: unpool(Y, None, 6), "no indices.*NoneType"),  # type: ignore[arg-type]
    "other shapes": (lambda: unpool(Y, AT[:, :1], 6), r"do not fit.*\(1, 2, 3, 3\).*\(1, 1, 3, 3\)"),
    "other devices": (lambda: unpool(Y, AT.to("meta"), 6), "do not fit.*cpu.*meta"),
    "no axes": (lambda: unpool(Y[0, 0], AT[0, 0], 6), "try x\\[None, None\\]"),
    "too many axes": (lambda: unpool(Y[None, None], AT[None, None], 6), "one to three"),
    "another rank": (lambda: unpool(Y, AT, 6, rank=1), "rank=1"),
    "a rank of nothing": (lambda: unpool(Y, AT, 6, rank=0), "rank=0"),
    "no size": (lambda: unpool(Y, AT), "open: no region.*size="),
    "a silent region": (lambda: unpool(Y, AT, region=Adaptive(3)), "open: this region does not tell"),
    "several sizes": (
        lambda: unpool(Y, AT, region=Sliding(2)),
        r"size= of 6 or 7 by 6 or 7; try size=\(6, 6\)",
    ),
    "no size at all": (lambda: unpool(Y, AT, region=Sliding(1, 1, 2)), "no sizes pool"),
    "another size": (
        lambda: unpool(Y, AT, 9, region=Sliding(2)),
        r"size \(9, 9\) does not pool.*size=\(6, 6\)",
    ),
    "too small": (lambda: unpool(Y, AT, 9, region=Sliding(12)), "12"),
    "a pyramid": (lambda: unpool(Y, AT, 6, region=Pyramid((1, 2))), "Pyramid is made of several"),
    "boxes, no size": (lambda: unpool(Y, AT, region=Boxes([(0, 0, 0, 1, 1)], 3)), "Boxes is made of several"),
    "a size of 0": (lambda: unpool(Y, AT, 0), "size is out of range"),
    "a negative size": (lambda: unpool(Y, AT, (6, -6)), "size is out of range"),
    "a size of floats": (lambda: unpool(Y, AT, 6.0), "not a whole number"),  # type: ignore[arg-type]
    "three sizes": (lambda: unpool(Y, AT, (6, 6, 6)), "wrong length"),
    "means of integers": (lambda: unpool_mean(AT, Sliding(2), 6), "expected float32"),
    "means of no region": (lambda: unpool_mean(Y, 2, 6), "no region"),  # type: ignore[arg-type]
    "means of pyramids": (lambda: unpool_mean(Y, Pyramid((1, 2)), 6), "Pyramid is made of several"),
    "means, no size": (lambda: unpool_mean(Y, Whole()), "this region does not tell"),
    "means, several": (lambda: unpool_mean(Y, Sliding(3, 2)), "size= of 7 or 8 by 7 or 8"),
    "means, another": (lambda: unpool_mean(Y, Adaptive(2), 6), "does not pool"),
    "means of boxes": (lambda: unpool_mean(Y, Boxes([(0, 0, 0, 1, 1)], 3), 6), "Boxes is made of several"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_told(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize("outputs", [1, 7, 8, 21])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gradients_are_taken_back_several_at_a_time(outputs: int, dtype: torch.dtype) -> None:
    indices = torch.randint(-1, 13, (2, 11, outputs, 1), generator=torch.Generator().manual_seed(0))
    y = random((2, 11, outputs, 1), dtype)
    for form in (torch.contiguous_format, torch.channels_last):
        z, at = (t.contiguous(memory_format=form).clone() for t in (y, indices))
        found = unpool(z.requires_grad_(), at, (13, 1))
        pull = random((2, 11, 13, 1), dtype, seed=1)
        (grad,) = torch.autograd.grad(found, z, pull)
        wanted, kept = truth(y, indices, (13, 1))
        assert torch.equal(found, wanted)
        assert torch.equal(grad, torch.where(kept, pull.gather(2, indices.clamp(min=0)), 0))


def test_four_axes_without_a_batch_have_no_channels_last() -> None:
    indices = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5) % 60
    y = random((2, 3, 4, 5))
    assert torch.equal(
        unpool(last(y), last(indices), (3, 4, 5), rank=3), unpool(y, indices, (3, 4, 5), rank=3)
    )


def test_the_default_device_is_not_asked() -> None:
    y, indices = random((1, 2, 3)).requires_grad_(), torch.tensor([[[0, 2, 4], [4, 4, 1]]])
    with torch.device("meta"):
        x = unpool(y, indices, 5, rank=1)
        (grad,) = torch.autograd.grad(x, y, x.detach())
    assert torch.equal(x, unpool(y, indices, 5, rank=1))
    assert grad.is_cpu


def test_a_trace_unpools_with_torchs_own_operators() -> None:
    y, indices = random((1, 2, 3)), torch.tensor([[[0, 2, 4], [4, 3, 1]]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its tracer deprecated
        traced: Any = torch.jit.trace(lambda t: unpool(t, indices, 5, rank=1), y)  # type: ignore[no-untyped-call]
    other = random((1, 2, 3), seed=1)
    assert torch.equal(traced(other), unpool(other, indices, 5, rank=1))
