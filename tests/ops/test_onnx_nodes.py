"""ONNX's own examples of the window operators: each is run here, or said why it cannot be."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import cnnatomy as ca
from cnnatomy import nn
from cnnatomy.reducers import Lp, Max, Mean, Reducer

pytest.importorskip("onnx")

REFUSED = {
    "crop_and_resize": "a crop of fractional coordinates, which is not resizing alone",
    "half_pixel_symmetric": "coordinates of no other library",
    "exclude_outside": "cubic weights are renormalised only with antialias, as in Pillow and torch",
    "linear_pytorch_half_pixel": "of a single output ONNX takes cell 0, torch itself the middle",
    "nearest_floor_align_corners": "nearest has one rounding for each kind of coordinates",
    "nearest_round_prefer_ceil_asymmetric": "nearest has one rounding for each kind of coordinates",
    "nearest_ceil_half_pixel": "nearest has one rounding for each kind of coordinates",
    "sizes_nearest($|_axes|_not_larger)": "ties go up, as in Pillow and torch; ONNX lets them go down",
    "downsample_sizes_nearest_not_smaller": "ties go up, as in Pillow and torch; ONNX lets them go down",
    "downsample_scales_linear_align_corners": "the corners of n * scale cells, not of floor(n * scale)",
    "downsample_scales_cubic_align_corners": "the corners of n * scale cells, not of floor(n * scale)",
    "antialias": "beyond the border lies nothing, as in Pillow and torch, where ONNX repeats the last cell",
    "maxpool_with_argmax_2d_precomputed_strides": "indices count down columns",
}
Attributes = dict[str, Any]
Run = Callable[[Attributes, Sequence[Any]], Any]


def sides(a: Attributes, rank: int) -> Any:
    """The padding of every axis as a rule."""
    if a.get("auto_pad", "NOTSET") != "NOTSET":
        return a["auto_pad"]
    pads = a.get("pads", [0] * (2 * rank))
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def rule(a: Attributes, shape: Sequence[int], kernel: Sequence[int]) -> Any:
    """The same, with SAME_LOWER, whose odd cell comes first, as pairs."""
    found, rank = sides(a, len(kernel)), len(kernel)
    if found == "SAME_UPPER":
        return "same"
    if found != "SAME_LOWER":
        return found
    steps, apart = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    axes = zip(shape, kernel, steps, apart, strict=True)
    return tuple(ca.geometry.resolve("same", n, k, s, d)[::-1] for n, k, s, d in axes)


def convolution(a: Attributes, given: Sequence[Any]) -> Tensor:
    x, weight = given[:2]
    options = {"stride": a.get("strides", 1), "dilation": a.get("dilations", 1), "groups": a.get("group", 1)}
    return ca.convolve(x, weight, padding=rule(a, x.shape[2:], weight.shape[2:]), **options)


def transposed(a: Attributes, given: Sequence[Any]) -> Tensor:
    x, weight = given[:2]
    rank = x.dim() - 2
    steps = a.get("strides", [1] * rank)
    options = {"stride": steps, "dilation": a.get("dilations", 1), "groups": a.get("group", 1)}
    if "output_shape" in a:
        options["output_size"] = a["output_shape"]
    elif sides(a, rank) == "SAME_UPPER":
        options["output_size"] = [n * s for n, s in zip(x.shape[2:], steps, strict=True)]
    else:
        options["output_padding"] = a.get("output_padding", 0)
    padding: Any = "same" if sides(a, rank) == "SAME_UPPER" else sides(a, rank)
    return ca.convolve_transposed(x, weight, padding=padding, **options)


def pooling(make: Callable[[Attributes], Reducer]) -> Run:
    def run(a: Attributes, given: Sequence[Any]) -> Any:
        x, kernel = given[0], a["kernel_shape"]
        window = (a.get("strides", 1), rule(a, x.shape[2:], kernel), a.get("dilations", 1))
        region = ca.Sliding(kernel, *window, bool(a.get("ceil_mode", 0)))
        if a["outputs"] == 2:
            y, indices = ca.pool(x, make(a), region, return_indices=True)
            return y, indices
        return ca.pool(x, make(a), region)

    return run


def resize(a: Attributes, given: Sequence[Any]) -> Tensor:
    x, _, scales, sizes = (*given, None, None, None)[:4]
    axes = [axis % x.dim() for axis in a.get("axes", range(x.dim()))]
    kinds = {"half_pixel": "half_pixel", "align_corners": "corners", "asymmetric": "asymmetric"}
    how: dict[str, Any] = {"coordinates": kinds[a.get("coordinate_transformation_mode", "half_pixel")]}
    if a["mode"] != "nearest":
        how["antialias"] = bool(a.get("antialias", 0))
    if a["mode"] == "cubic":
        how["coefficient"] = a.get("cubic_coeff_a", -0.75)
    numbers = (scales if sizes is None else sizes).tolist()
    wanted = {axis: number for axis, number in zip(axes, numbers, strict=True) if axis > 1}
    policy = a.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        ratios = [number / x.shape[axis] for axis, number in wanted.items()]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        wanted = {axis: int(x.shape[axis] * ratio + 0.5) for axis in wanted}
    found = [wanted[axis] for axis in (2, 3)]
    name: Attributes = {"output_size": found} if sizes is not None else {"scale_factor": found}
    return ca.resample(x, method=a["mode"], **name, **how)


def padded(a: Attributes, given: Sequence[Any]) -> Tensor:
    x, pads, value, axes = (*given, None, None)[:4]
    half = len(pads) // 2
    pairs = tuple(zip(pads[:half].tolist(), pads[half:].tolist(), strict=True))
    options: Attributes = {} if value is None else {"constant_values": value.item()}
    return ca.pad(x, pairs, a["mode"], axes=None if axes is None else axes.tolist(), **options)


def unpooled(a: Attributes, given: Sequence[Any]) -> Tensor:
    y, indices, *shape = given
    if not shape:
        return ca.unpool(y, indices, region=ca.Sliding(a["kernel_shape"], a["strides"]), output_size=(4, 4))
    size = shape[0].tolist()[2:]
    whole = [n * s for n, s in zip(y.shape[2:], a["strides"], strict=True)]
    rows, columns = indices // whole[1], indices % whole[1]  # ONNX counts in the smaller map
    return ca.unpool(y, rows * size[1] + columns, size)


def response(a: Attributes, given: Sequence[Any]) -> Tensor:
    norm = nn.LocalResponseNorm(a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0))
    y: Tensor = norm(given[0])
    return y


RUNS: dict[str, Run] = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "Resize": resize,
    "Pad": padded,
    "MaxUnpool": unpooled,
    "LRN": response,
    "DepthToSpace": lambda a, given: nn.depth_to_space(given[0], a["blocksize"], a["mode"].lower()),
    "SpaceToDepth": lambda a, given: nn.space_to_depth(
        given[0], a["blocksize"], a.get("mode", "DCR").lower()
    ),
    "MaxPool": pooling(lambda _: Max()),
    "AveragePool": pooling(lambda a: Mean(count_include_pad=bool(a.get("count_include_pad", 0)))),
    "LpPool": pooling(lambda a: Lp(float(a["p"]))),
    "GlobalMaxPool": lambda _, given: ca.pool(given[0], "max", ca.Whole()),
    "GlobalAveragePool": lambda _, given: ca.pool(given[0], "mean", ca.Whole()),
}


def examples() -> Iterator[Any]:
    """ONNX's test cases of these operators."""
    from onnx.backend.test.case import node

    def import_these(package: Any) -> None:
        """ONNX computes examples as it imports their modules: those of all operators take long."""
        for name in RUNS:
            importlib.import_module(f"{package.__name__}.{name.lower()}")

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # some with casts that NumPy warns of
        patch.setattr(node, "import_recursive", import_these)
        found: list[Any] = node.collect_testcases(None)
    for case in found:
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in RUNS:
            yield case


def attributes(node: Any) -> Attributes:
    import onnx

    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    texts = {name: value.decode() for name, value in found.items() if isinstance(value, bytes)}
    return found | texts | {"outputs": len(node.output)}


Examples = dict[str, list[Any]]
COUNTS = {
    **{"Conv": 6, "ConvTranspose": 11, "Resize": 14, "Pad": 6, "MaxUnpool": 2, "LRN": 2},
    **{"DepthToSpace": 2, "SpaceToDepth": 4, "MaxPool": 18, "AveragePool": 20, "LpPool": 8},
    **{"GlobalMaxPool": 2, "GlobalAveragePool": 2, "refused": 26},
}


@pytest.fixture(scope="module")
def sorted_examples() -> Examples:
    """By operator, or as refused."""
    found: Examples = {}
    for case in examples():
        refused = any(re.search(part, case.name) for part in REFUSED)
        found.setdefault("refused" if refused else case.model.graph.node[0].op_type, []).append(case)
    return found


def test_all_examples_are_run_or_refused_for_a_reason(sorted_examples: Examples) -> None:
    assert {name: len(cases) for name, cases in sorted_examples.items()} == COUNTS


@pytest.mark.costly(4)
@pytest.mark.parametrize("operator", RUNS)
def test_every_example_is_met(operator: str, sorted_examples: Examples) -> None:
    for case in sorted_examples[operator]:
        (node,) = case.model.graph.node
        for given, wanted in case.data_sets:
            names = iter(given)
            tensors = [torch.tensor(next(names)) if name else None for name in node.input]
            y = RUNS[operator](attributes(node), tensors)
            found = y if isinstance(y, tuple) else (y,)
            for one, other in zip(found, wanted, strict=True):
                about = f"{case.name}: {{}}".format
                torch.testing.assert_close(one, torch.tensor(other), rtol=5e-4, atol=1e-5, msg=about)
