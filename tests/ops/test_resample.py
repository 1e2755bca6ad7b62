"""`resample` against torch, Pillow and its own tables, with every derivative, dtype, layout and compiler."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import PIL
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import close, last, random
from torch import Tensor

from cnnatomy.backends import linear_maps as backend
from cnnatomy.backends.layout import memory_format
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.geometry.kernels import METHODS
from cnnatomy.ops.resampling import operator, resample

pytestmark = pytest.mark.costly(2)  # each compiles kernels

MODES = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
KERNELS = [name for name, method in METHODS.items() if method.kernel]
SIZES = st.integers(1, 24)


def truth(x: Tensor, how: Resampling, size: tuple[int, ...]) -> Tensor:
    """Dense matrices in float64."""
    y = x.double()
    for axis, (n, m) in enumerate(zip(x.shape[2:], size, strict=True)):
        columns = [how.bands(n, m, axis).apply([float(i == j) for i in range(n)]) for j in range(n)]
        y = torch.tensordot(y, torch.tensor(columns, dtype=torch.float64), ([axis + 2], [0])).movedim(
            -1, axis + 2
        )
    return y


def wanted(method: str, sizes: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n * (m % 3 + 1) for n, m in zip(sizes, to, strict=True)) if method == "nails" else to


@given(
    rank=st.integers(1, 3),
    data=st.data(),
    corners=st.booleans(),
    scaled=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=settings().max_examples // 2)
def test_values_and_gradients_are_torchs(
    rank: int, data: Any, corners: bool, scaled: bool, seed: int
) -> None:
    mode = data.draw(st.sampled_from([*MODES[rank], "area"]))
    size = data.draw(st.tuples(*[SIZES if rank < 3 else st.integers(1, 9)] * rank))
    x = random((2, 2, *size), torch.float64, seed).requires_grad_()
    corners = corners and mode != "area"
    if scaled:
        scale = data.draw(st.tuples(*[st.floats(1.0 / min(size), 3.1).map(lambda s: max(s, 0.05))] * rank))
        scale = tuple(max(s, 1.0 / n) for s, n in zip(scale, size, strict=True))
        asked: dict[str, Any] = {"scale_factor": scale}
        mine: dict[str, Any] = {"scale_factor": scale}
    else:
        out = data.draw(st.tuples(*[SIZES if rank < 3 else st.integers(1, 9)] * rank))
        asked, mine = {"size": out}, {"output_size": out}
    where = "corners" if corners else None
    method = {"bicubic": "cubic", "area": "area"}.get(mode, "linear")
    try:
        expected = F.interpolate(x, mode=mode, align_corners=None if mode == "area" else corners, **asked)
    except RuntimeError:  # no output at all
        return
    found = resample(x, method=method, coordinates=where, **mine)
    pull = random(tuple(found.shape), torch.float64, seed + 1)
    close(found, expected, 10)
    (dx,), (expected_dx,) = torch.autograd.grad(found, x, pull), torch.autograd.grad(expected, x, pull)
    close(dx, expected_dx, 100)


@given(
    rank=st.integers(1, 3),
    data=st.data(),
    exact=st.booleans(),
    scaled=st.sampled_from(["", "fitting", "free"]),
    flat=st.booleans(),
)
@settings(max_examples=3 * settings().max_examples)
def test_nearest_picks_torchs_cells(rank: int, data: Any, exact: bool, scaled: str, flat: bool) -> None:
    sides = st.integers(1, 9) if rank == 3 else st.integers(1, 60)
    size, out = data.draw(st.tuples(*[sides] * rank)), data.draw(st.tuples(*[sides] * rank))
    scale = tuple(m / n for n, m in zip(size, out, strict=True))
    if scaled == "free":
        scale = data.draw(st.tuples(*[st.floats(0.3, 2.6)] * rank))
        flat = flat or rank == 3  # there torch's two layouts have two rules
    x = random((1, 2, *size))
    x = x if flat or rank == 1 else last(x)
    mode, where = ("nearest-exact", "half_pixel") if exact else ("nearest", "asymmetric")
    if scaled:
        try:
            expected = F.interpolate(x, scale_factor=scale, mode=mode)
        except RuntimeError:
            return
        found = resample(x, scale_factor=scale, method="nearest", coordinates=where)
    else:
        expected = F.interpolate(x, out, mode=mode)
        found = resample(x, out, method="nearest", coordinates=where)
    if rank == 1 and exact:  # there torch rounds once less: a cell apart where an output lies between two
        return
    assert torch.equal(found, expected)


@given(data=st.data(), mode=st.sampled_from(["bilinear", "bicubic", "lanczos"]))
def test_antialias_is_torchs(data: Any, mode: str) -> None:
    size, out = data.draw(st.tuples(SIZES, SIZES)), data.draw(st.tuples(SIZES, SIZES))
    if 1 in (size[1], out[1]):  # of a single column torch repeats the first cell
        return
    x = random((1, 2, *size), torch.float64).requires_grad_()
    expected = F.interpolate(x, out, mode=mode, antialias=True)
    found = resample(x, out, method=mode, antialias=True)
    close(found, expected, 100)
    pull = random(tuple(found.shape), torch.float64, 1)
    close(torch.autograd.grad(found, x, pull)[0], torch.autograd.grad(expected, x, pull)[0], 100)


FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "linear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


@given(method=st.sampled_from(sorted(FILTERS)), data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=3 * settings().max_examples)
def test_pictures_are_pillows(method: str, data: Any, seed: int) -> None:
    sides = st.tuples(st.integers(1, 70), st.integers(1, 70))
    size, out = data.draw(sides), data.draw(sides)
    if size[0] - out[0] > max(0, 2 * (size[1] - out[1])) and int(PIL.__version__.split(".")[0]) < 13:
        return  # older ones do not turn to the height first
    if method == "nearest" and any(
        (2 * o + 1) * n % (2 * m) == 0 for n, m in zip(size, out, strict=True) for o in range(m)
    ):
        return  # an output between two cells: Pillow takes either, as its running sum happens to be rounded
    picture = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize(out[::-1], FILTERS[method]))
    x = torch.from_numpy(picture).permute(2, 0, 1)[None]
    found = resample(x, out, method=method, antialias=method != "nearest")
    assert found.dtype is torch.uint8
    assert np.array_equal(found[0].permute(1, 2, 0).numpy(), expected)
    how = Resampling(method, antialias=method != "nearest")
    bands = tuple(how.bands(n, m) for n, m in zip(size, out, strict=True))
    assert torch.equal(found, backend.plain(x, bands))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_kernels_and_plain_torch_give_what_the_tables_say(method: str, rank: int, dtype: torch.dtype) -> None:
    how = Resampling(method)
    size = (5, 9, 7)[:rank]
    for to in ((7, 4, 11)[:rank], (2, 9, 3)[:rank]):
        out = wanted(method, size, to)
        bands = tuple(how.bands(n, m) for n, m in zip(size, out, strict=True))
        x = random((2, 3, *size), dtype)
        for entry in (x, last(x)) if rank > 1 else (x,):
            for y in (resample(entry, out, method=method), backend.plain(entry, bands)):
                close(y, truth(x, how, out))
                assert y.stride() == torch.empty_like(entry, memory_format=torch.preserve_format).new_empty(
                    0
                ).stride() or y.is_contiguous(memory_format=memory_format(rank, entry is not x))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_derivatives_of_first_and_second_order(method: str, antialias: bool) -> None:
    antialias = antialias and METHODS[method].kernel is not None
    x = random((2, 1, 4, 5), torch.float64).requires_grad_()
    for out in (wanted(method, (4, 5), (7, 3)), wanted(method, (4, 5), (2, 11))):

        def run(x: Tensor, out: tuple[int, ...] = out) -> Tensor:
            return resample(x, out, method=method, antialias=antialias)

        assert torch.autograd.gradcheck(run, x, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(run, x)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8])
def test_whole_numbers_are_picked_exactly(dtype: torch.dtype) -> None:
    x = torch.iinfo(dtype).max - torch.arange(12).to(dtype).view(1, 1, 3, 4)
    assert torch.equal(
        resample(x, scale_factor=2, method="nearest"), x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    nails = resample(x, scale_factor=2, method="nails")
    assert torch.equal(nails[..., ::2, ::2], x)
    assert nails.sum() == x.sum()
    assert nails.dtype is dtype


def test_nearest_reads_nothing_but_its_cell() -> None:
    x = torch.tensor([[[1.0, math.inf, 3.0]]])
    assert resample(x, scale_factor=2, rank=1, method="nearest").tolist() == [
        [[1, 1, math.inf, math.inf, 3, 3]]
    ]
    assert resample(x, scale_factor=2, rank=1, method="nails").tolist() == [[[1, 0, math.inf, 0, 3, 0]]]


def test_unbatched_and_empty_inputs() -> None:
    x = random((3, 5, 6))
    assert torch.equal(resample(x, (7, 4), rank=2), resample(x[None], (7, 4))[0])
    for shape in ((0, 3, 5, 6), (2, 0, 5, 6)):
        x = torch.zeros(shape, requires_grad=True)
        y = resample(x, (7, 4), method="cubic")
        torch.autograd.backward(y.sum())
        assert y.shape == (*shape[:2], 7, 4)
        assert x.grad is not None
        assert x.grad.shape == shape


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # opcheck, torch 2.14
@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_operator_is_sound(method: str) -> None:
    how, x = Resampling(method), random((2, 3, 4, 5))
    out = wanted(method, (4, 5), (7, 3))
    arguments = (list(out), how.text)
    for entry in (x, last(x), random((2, 3, 4, 5), torch.float64).requires_grad_()):
        torch.library.opcheck(operator, (entry, *arguments, False))
    torch.library.opcheck(operator, (random((2, 3, *out)).requires_grad_(), [4, 5], how.text, True))
    torch.library.opcheck(operator, (x, [4, 5], Resampling("linear").text, False))


@pytest.mark.parametrize(
    "options", [{"output_size": (7, 3)}, {"scale_factor": 2}, {"scale_factor": (0.5, 1.7)}]
)
def test_compiled_and_exported_graphs(options: dict[str, Any]) -> None:
    def run(x: Tensor) -> Tensor:
        return resample(x, method="cubic", **options) * 2

    torch._dynamo.reset()
    x = random((2, 3, 4, 5)).requires_grad_()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    found, expected = compiled(x), run(x)
    assert torch.equal(found, expected)
    pull = random(tuple(found.shape))
    assert torch.equal(torch.autograd.grad(found, x, pull)[0], torch.autograd.grad(expected, x, pull)[0])

    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return run(x)

    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(Module(), (x.detach(),), dynamic_shapes=shapes)
    more = random((5, 3, 4, 5), seed=1)
    assert torch.equal(program.module()(more), run(more))


def test_sizes_that_change_need_one_graph() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: resample(x, scale_factor=2), fullgraph=True, backend="aot_eager", dynamic=True
    )
    for n in (4, 6, 9):
        x = random((2, 3, n, n + 1))
        assert torch.equal(compiled(x), resample(x, scale_factor=2))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_transforms(method: str) -> None:
    x, tangent = random((3, 2, 1, 4, 5), torch.float64), random((3, 2, 1, 4, 5), torch.float64, 1)
    out = wanted(method, (4, 5), (7, 3))

    def run(x: Tensor) -> Tensor:
        return resample(x, out, method=method)

    each = torch.stack([run(entry) for entry in x])
    close(torch.vmap(run)(x), each)
    close(torch.vmap(run, in_dims=1, out_dims=1)(x.movedim(0, 1)), each.movedim(0, 1))
    value, moved, *_ = torch.func.jvp(run, (x[0],), (tangent[0],))
    close(value, each[0])
    close(moved, run(tangent[0]))
    slope = torch.func.vmap(torch.func.grad(lambda x: run(x).pow(2).sum()))(x)
    leaf = x.clone().requires_grad_()
    for entry in leaf:
        torch.autograd.backward(run(entry).pow(2).sum())
    assert leaf.grad is not None
    close(slope, leaf.grad)


def test_gradients_stay_the_same_from_run_to_run_and_thread_to_thread() -> None:
    x, pull = random((3, 5, 40, 37)).requires_grad_(), random((3, 5, 61, 18))
    threads, found = torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(torch.autograd.grad(resample(x, (61, 18), method="lanczos"), x, pull)[0])
    torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "neither"),
    ({"output_size": 4, "scale_factor": 2}, "both"),
    ({"scale_factor": 0}, "not positive"),
    ({"scale_factor": -2.0}, "not positive"),
    ({"scale_factor": math.nan}, "no finite number"),
    ({"scale_factor": math.inf}, "no finite number"),
    ({"scale_factor": "2"}, "wrong length|no finite number"),
    ({"scale_factor": True}, "no finite number"),
    ({"scale_factor": (2, 2, 2), "rank": 2}, "wrong length"),
    ({"scale_factor": 0.01}, "cannot become 0"),
    ({"scale_factor": 1e300}, "cannot become"),
    ({"output_size": 0}, "out of range"),
    ({"output_size": -3}, "out of range"),
    ({"output_size": 2.5}, "not a whole number"),
    ({"output_size": (4, 4, 4), "rank": 2}, "wrong length"),
    ({"output_size": 2**40}, "out of range"),
    ({"output_size": 2**24}, "too large"),
    ({"output_size": 4, "method": "lanzcos"}, "no method.*try 'lanczos"),
    ({"output_size": 4, "method": "nearest", "antialias": True}, "averages nothing"),
    ({"output_size": 4, "method": "nearest", "coordinates": "corners"}, "no coordinates"),
    ({"output_size": 8, "method": "nails", "antialias": True}, "averages nothing"),
    ({"output_size": 9, "method": "nails"}, "whole steps"),
    ({"scale_factor": 0.5, "method": "nails"}, "whole steps"),
    ({"output_size": 4, "coefficient": -0.5}, "no coefficient"),
    ({"output_size": 4, "rank": 1}, "wants"),
    ({"output_size": 4, "rank": 4}, "wants"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments_are_told_of(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        resample(random((1, 2, 4, 4)), **options)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (random((4, 4)), "one to three spatial axes"),
        (random((1, 1, 2, 2, 2, 2)), "one to three spatial axes"),
        (random((1, 1, 0, 3)), "nothing to resample"),
        (torch.zeros(1, 1, 3, 3, dtype=torch.int64), "dtype.*try method='nearest'"),
        (torch.zeros(1, 1, 3, 3, dtype=torch.bool), "dtype"),
        (torch.zeros(1, 1, 3, 3, dtype=torch.complex64), "dtype"),
        ([[1.0]], "wants a tensor"),
    ],
)
def test_bad_inputs_are_told_of(x: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        resample(x, 2 if getattr(x, "ndim", 2) < 4 else (2,) * (x.ndim - 2))
