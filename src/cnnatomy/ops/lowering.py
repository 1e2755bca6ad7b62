"""The package's operators in torch's own, for runtimes that know nothing else.

`lowered` exports a module and writes each of its `torch.ops.cnnatomy` nodes out: as torch's pooling or
interpolation where that computes the same, else as the plain-torch definition over windows that are gathered
by constant indices. What stands in the graph is for running forward: derivatives are not carried over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from cnnatomy.backends import linear_maps as resampler
from cnnatomy.backends import reference
from cnnatomy.backends.layout import saved_dtypes
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import AxisTable, Window
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.ops import library, resampling
from cnnatomy.ops.eigen import eigh
from cnnatomy.reducers import Mean, Reducer
from cnnatomy.reducers.contract import NO_TAP, TorchOperator, Windows
from cnnatomy.regions import Adaptive, Axis, Region, Sliding, Whole

Lowering = Callable[..., Any]

_MAX: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_SUM = Mean(divisor=1.0)


def lowered(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
) -> ExportedProgram:
    """Export a module with none of the package's operators left in its graph.

    Args:
        model: in evaluation mode; a module in training mode may draw, and what it draws would be a constant.
        args, kwargs: what its forward takes.
        dynamic_shapes: as `torch.export.export` takes them. Spatial sizes may be open where torch's own
            operator takes over: max, min and mean over sliding windows and whole maps, and resampling by a
            method of torch's.

    Raises:
        ArgumentError: the graph draws random numbers, or needs a size that is left open.

    Example:
        >>> import cnnatomy.nn as nn
        >>> program = lowered(nn.Pool2d("soft", 3, 2).eval(), [torch.rand(1, 3, 9, 9)])
        >>> any("cnnatomy" in str(node.target) for node in program.graph.nodes)
        False
    """
    with torch.no_grad():
        given = tuple(args), dict(kwargs or {})
        program = torch.export.export(model, *given, dynamic_shapes=dynamic_shapes)
        if not any(node.target in LOWERINGS for node in program.graph.nodes):
            return program
        plain = program.module()
        assert isinstance(plain, GraphModule), "torch.export gives graphs"
        written_out(plain)
        return torch.export.export(plain, *given, dynamic_shapes=dynamic_shapes)


def written_out(graph: GraphModule) -> None:
    """Let every node of a graph that is one of the package's operators call its definition instead."""
    for node in list(graph.graph.nodes):
        if node.op == "get_attr" and str(node.target).startswith("lifted_tensor"):
            name = f"constant_{node.target}"  # another export gives its own constants the same names
            graph.register_buffer(name, getattr(graph, str(node.target)), persistent=False)
            node.target = name
        if node.target in LOWERINGS:
            node.target, node.kwargs = LOWERINGS[node.target], {**node.kwargs, "keeps": _keeps(node)}
    graph.recompile()


def _keeps(node: Node) -> bool:
    """True if anything reads more than a node's first result; that it is taken apart is no reading."""
    return any(user.args[1:] != (0,) and bool(user.users) for user in node.users)


def pool(
    inputs: Sequence[Tensor],
    seed: Tensor | None,
    region: str,
    reducer: str,
    indices: bool = False,
    *,
    keeps: bool = False,
) -> list[Tensor]:
    """`cnnatomy::pool`: y, and where it is read the taps that won; other savings are zeros."""
    where, what, x = Region.parse(region), Reducer.parse(reducer), inputs[0]
    if seed is not None:
        hint = "model.eval(), where the expectation stands for a draw"
        raise ArgumentError(f"{what.name} pooling draws, and a graph would always draw alike", hint=hint)
    y = None if keeps or indices else standard(x, where, what)
    if y is not None:
        return [y] + [x.new_zeros(())] * len(what.saves)
    size = tuple(x.shape[2:])
    if not all(type(n) is int for n in size):
        what_, expected = f"{what.name} pooling over {where} cannot be written out for open sizes", "sizes"
        raise ArgumentError(what_, expected=expected, got=str(size), hint="a fixed height and width")
    wide = [tensor.to(reference.computed_in(x.dtype, what)) for tensor in inputs]
    y, winner = what.define(_laid_out(wide, where.axes(size), what))
    y = reference.rounded(y, x.dtype)
    kinds = saved_dtypes(where, what, len(size), x.dtype)
    saved = [x.new_zeros(y.shape, dtype=kind) for kind in kinds]
    if winner is not None:
        saved[0] = torch.where(winner < 0, 255 if kinds[0] is torch.uint8 else NO_TAP, winner).to(kinds[0])
    return [y, *saved]


def standard(x: Tensor, region: Region, reducer: Reducer) -> Tensor | None:
    """The pooling by torch's own operator of the same result, if there is one."""
    rank = x.dim() - 2
    operator = reducer.fast.torch
    if operator is None or operator.power is not None or not x.is_floating_point():
        return None
    if isinstance(region, Adaptive) and not all(type(n) is int for n in x.shape[2:]):
        bins = region.outputs(tuple(x.shape[2:]))
        if all(type(n) is int and n == 1 for n in bins):
            region = Whole()
    if operator.family == "avg":
        return _average(x, region, reducer, operator, rank)
    turned = -x if operator.negated else x
    if isinstance(region, Whole):
        y = turned.amax(tuple(range(2, 2 + rank)), keepdim=True)
        return -y if operator.negated else y
    windows = _windows(region, tuple(x.shape[2:]))
    if windows is None:
        return None
    turned, widths = _bordered(turned, windows, -math.inf)
    kernel, stride, dilation = _numbers(windows, "kernel", "stride", "dilation")
    best: Tensor = _MAX[rank](turned, kernel, stride, widths, dilation)
    return -best if operator.negated else best


def _average(
    x: Tensor, region: Region, reducer: Reducer, operator: TorchOperator, rank: int
) -> Tensor | None:
    plain = operator.whole is not None
    if isinstance(region, Whole) and plain:
        return x.mean(tuple(range(2, 2 + rank)), keepdim=True)
    windows = _windows(region, tuple(x.shape[2:]))
    if windows is None or any(window.dilation > 1 for window in windows):
        return None
    kernel, stride = _numbers(windows, "kernel", "stride")
    if plain and all(map(_torchs, windows)):
        widths = [window.padding[0] for window in windows]
        return MEAN[rank](x, kernel, stride, widths, False, operator.counts_padding)  # type: ignore[no-any-return]
    if not all(type(n) is int for n in x.shape[2:]):
        return None
    if any(max(window.padding) >= window.kernel for window in windows):
        return None  # onnxruntime fuses zeros before AveragePool into it, and then refuses such pads
    wider, widths = _bordered(x, windows, 0)
    total: Tensor = MEAN[rank](wider, kernel, stride, widths) * math.prod(kernel)
    axes = tuple(Axis(n, window) for n, window in zip(x.shape[2:], windows, strict=True))
    for i, factors in enumerate(reducer.divisors(axes)):
        shape = [-1 if axis == i else 1 for axis in range(rank)]
        total = total / torch.tensor(factors, dtype=x.dtype).view(shape)
    return total


def _windows(region: Region, size: tuple[int, ...]) -> list[Window] | None:
    """The region as regular windows, if it is one on every axis."""
    if isinstance(region, Sliding):
        return list(region.windows(size))
    if not all(type(n) is int for n in size):
        return None
    found = [axis.window for axis in region.axes(size)]
    return [window for window in found if window] if all(found) else None


def _numbers(windows: Sequence[Window], *names: str) -> list[tuple[int, ...]]:
    return [tuple(getattr(window, name) for window in windows) for name in names]


def _torchs(window: Window) -> bool:
    """True if torch's pooling takes the window's padding."""
    before, after = window.padding
    return before == after and 2 * before <= window.kernel and not window.ceil_mode


def _bordered(x: Tensor, windows: Sequence[Window], value: float) -> tuple[Tensor, list[int]]:
    """x, and the widths that torch's pooling adds; what it would not add is written."""
    if all(map(_torchs, windows)):
        return x, [window.padding[0] for window in windows]
    widths: list[int] = []
    for n, window in zip(x.shape[2:], windows, strict=True):
        read = replace(window, padding=(0, 0), ceil_mode=False).transposed_size(window.output_size(n))
        widths[:0] = window.padding[0], read - n - window.padding[0]
    return F.pad(x, widths, value=value), [0] * len(windows)


def _laid_out(tensors: Sequence[Tensor], axes: Sequence[Axis], reducer: Reducer) -> Windows:
    """Every window, gathered by one constant index into the flat map."""
    cells, inside, count = [0], [True], [1.0]  # of the outputs and taps of the axes so far, taps last
    outs, taps = 1, 1
    for axis, factors in zip(axes, reducer.divisors(axes), strict=True):
        table = axis.table
        more = [(table.origin(o) + j * table.step, j) for o in range(table.outputs) for j in range(axis.taps)]
        here = [
            0 <= j - table.skip[i // axis.taps] < table.count[i // axis.taps] for i, (_, j) in enumerate(more)
        ]
        walk = list(product(range(outs), range(table.outputs), range(taps), range(axis.taps)))
        old, new = [o * taps + t for o, _, t, _ in walk], [p * axis.taps + j for _, p, _, j in walk]
        inside = [inside[a] and here[b] for a, b in zip(old, new, strict=True)]
        cells = [cells[a] * axis.size + more[b][0] for a, b in zip(old, new, strict=True)]
        count = [before * factor for before in count for factor in factors]
        outs, taps = outs * table.outputs, taps * axis.taps
    out, device = tuple(axis.outputs for axis in axes), tensors[0].device
    index = torch.tensor(
        [cell if real else 0 for cell, real in zip(cells, inside, strict=True)], device=device
    )
    flat = [tensor.flatten(2).index_select(2, index) for tensor in tensors]
    values = [cut.reshape(*cut.shape[:2], *out, taps) for cut in flat]
    whole = torch.tensor(inside, device=device).view(*out, taps)
    divisor = torch.tensor(count, dtype=tensors[0].dtype, device=device).view(out)
    return Windows(values[0], whole, divisor, tuple(values[1:]))


def pool_indices(saved: Tensor, region: str, size: Sequence[int], *, keeps: bool = False) -> Tensor:
    """`cnnatomy::pool_indices`."""
    return reference.cells(saved, Region.parse(region), tuple(size))


def spread(
    grad: Tensor,
    inputs: Sequence[Tensor],
    y: Tensor | None,
    saved: Sequence[Tensor],
    region: str,
    reducer: str,
    size: Sequence[int],
    last: bool,
    *,
    keeps: bool = False,
) -> list[Tensor]:
    """`cnnatomy::pool_backward` of a mean: every cell sums the shares of the outputs that read it."""
    what, axes = Reducer.parse(reducer), Region.parse(region).axes(tuple(size))
    if not what.linear:
        raise ArgumentError(
            f"the gradient of {what.name} pooling stands in the graph", hint="the forward pass alone"
        )
    for i, factors in enumerate(what.divisors(axes)):
        shape = [-1 if axis == i else 1 for axis in range(len(axes))]
        grad = grad / torch.tensor(factors, dtype=grad.dtype).view(shape)
    covers = [axis.table.cover() for axis in axes]
    readers = tuple(Axis.of(AxisTable(c.outputs, c.first, c.count, c.step)) for c in covers)
    return [_SUM.define(_laid_out([grad], readers, _SUM))[0]]


def is_torchs(x: Tensor, how: str, transposed: bool) -> bool:
    """True if torch's interpolation computes a resampling, in every runtime alike."""
    return not transposed and x.is_floating_point() and _mode(Resampling.parse(how), x.dim() - 2) is not None


def resample(x: Tensor, size: Sequence[int], how: str, transposed: bool, *, keeps: bool = False) -> Tensor:
    """`cnnatomy::resample`: torch's interpolation, or sums of gathered cells."""
    rule = Resampling.parse(how)
    mode = _mode(rule, x.dim() - 2) if is_torchs(x, how, transposed) else None
    if mode is not None:
        corners = rule.coordinates == "corners" if rule.method == "linear" or rule.method == "cubic" else None
        given: dict[str, Any] = {"size": list(size)} if rule.scale is None else {"scale_factor": rule.scale}
        return F.interpolate(x, **given, mode=mode, align_corners=corners)
    if not all(type(n) is int for n in (*size, *x.shape[2:])):
        what = f"{rule.method} resampling cannot be written out for open sizes"
        raise ArgumentError(
            what, expected="sizes", got=str(tuple(x.shape[2:])), hint="a fixed height and width"
        )
    sizes = (size, x.shape[2:]) if transposed else (x.shape[2:], size)
    bands = [rule.bands(n, out, i) for i, (n, out) in enumerate(zip(*sizes, strict=True))]
    return resampler.plain(x, tuple(one.transposed() for one in bands) if transposed else tuple(bands))


def _mode(how: Resampling, rank: int) -> str | None:
    """torch's name of a resampling that every runtime computes alike, if it has one."""
    if how.antialias or (how.coordinates == "asymmetric" and how.method != "nearest"):
        return None
    if how.method == "linear":
        return _LINEAR[rank]
    if how.method == "cubic" and rank == 2 and how.coefficient == -0.75:
        return "bicubic"
    whole = how.scale is not None and all(scale == int(scale) for scale in how.scale)
    return "nearest" if how.method == "nearest" and whole and how.coordinates == "asymmetric" else None


def eigen(
    m: Tensor, uplo: str = "L", compute_v: bool = True, *, keeps: bool = False
) -> tuple[Tensor, Tensor]:
    """`aten::linalg_eigh`."""
    return eigh(m)


LOWERINGS: Mapping[Any, Lowering] = {
    library.pool._opoverload: pool,
    library.indices._opoverload: pool_indices,
    library.gather._opoverload: spread,
    resampling.operator._opoverload: resample,
    torch.ops.aten.linalg_eigh.default: eigen,
    torch.ops.aten._linalg_eigh.default: eigen,
}
"""What stands for each operator; eigenvalues are torch's, but no standard runtime's."""
