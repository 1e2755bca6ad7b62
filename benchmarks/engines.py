"""Other programs that pool: onnxruntime and kornia, where they are installed and have the operator."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Candidate
from cnnatomy.regions import Region, Sliding, Whole

_OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "max": ("MaxPool", {}),
    "mean": ("AveragePool", {"count_include_pad": 0}),
    "l2": ("LpPool", {"p": 2}),
    "lp": ("LpPool", {"p": 3}),
}


def engines(name: str, region: Region, x: Tensor, out: torch.Size) -> list[Candidate]:
    """The other programs' candidates for a pooling of x, forward."""
    found = (onnxruntime(name, region, x, out), kornia(name, region, x))
    return [candidate for candidate in found if candidate is not None]


def onnxruntime(name: str, region: Region, x: Tensor, out: torch.Size) -> Candidate | None:
    """onnxruntime's operator, which reads NCHW."""
    if name not in _OPERATORS or not isinstance(region, Sliding | Whole) or not x.is_contiguous():
        return None
    try:
        import onnx
        import onnxruntime as ort
    except ImportError:
        return None
    if x.dtype not in (torch.float32, torch.float64):
        return None
    kind = onnx.TensorProto.FLOAT if x.dtype is torch.float32 else onnx.TensorProto.DOUBLE
    given, made = (
        onnx.helper.make_tensor_value_info(label, kind, list(shape))
        for label, shape in (("x", x.shape), ("y", out))
    )
    graph = onnx.helper.make_graph([_node(name, region, x)], "pooling", [given], [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        return None  # it has no such operator for this dtype
    feed = {"x": x.numpy()}
    return Candidate("onnxruntime", lambda: session.run(["y"], feed)[0])


def _node(name: str, region: Sliding | Whole, x: Tensor) -> Any:
    from onnx import helper

    operator, attributes = _OPERATORS[name]
    if isinstance(region, Whole):
        power = {key: value for key, value in attributes.items() if key == "p"}
        return helper.make_node("Global" + operator, ["x"], ["y"], **power)
    windows = region.windows((x.shape[2], x.shape[3]))
    return helper.make_node(
        operator,
        ["x"],
        ["y"],
        kernel_shape=[window.kernel for window in windows],
        strides=[window.stride for window in windows],
        pads=[window.padding[end] for end in (0, 1) for window in windows],
        **attributes,
    )


def kornia(name: str, region: Region, x: Tensor) -> Candidate | None:
    """kornia's median filter: windows of odd size at stride 1, with zeros around the map."""
    if name != "median" or not isinstance(region, Sliding):
        return None
    k = region.kernel_size
    if not isinstance(k, int) or (region.stride, region.padding) != (1, k // 2):
        return None
    try:
        median_blur = import_module("kornia.filters").median_blur
    except ImportError:
        return None
    note = "not compared: it takes zeros from the padding"
    return Candidate("kornia", lambda: median_blur(x, (k, k)), check=False, note=note)
