"""Pooling against its peers: torch eager, torch.compile, onnxruntime, and a copy of the same bytes.

    python -m benchmarks.pooling                 # every reducer that torch has, the usual windows
    python -m benchmarks.pooling --threads 1 --clock cpu --rounds 11

Rows go to benchmarks/results/pooling.csv. A candidate whose result differs is refused a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import cnnatomy
from benchmarks.harness import Candidate, Row, compare, keep_memory, save, show
from cnnatomy import Sliding

OURS = "cnnatomy"
WINDOWS = {"2x2 s2": Sliding(2), "3x3 s2 p1": Sliding(3, 2, 1), "3x3 s1 p1": Sliding(3, 1, 1)}


def peer(reducer: str, region: Sliding) -> Callable[[Tensor], Tensor]:
    """torch's own function for the same pooling."""
    k, s, p = region.kernel, region.stride, region.padding
    if reducer == "max":
        return lambda x: F.max_pool2d(x, k, s, p)  # type: ignore[arg-type]
    if reducer == "min":
        return lambda x: -F.max_pool2d(-x, k, s, p)  # type: ignore[arg-type]
    return lambda x: F.avg_pool2d(x, k, s, p, count_include_pad=False)  # type: ignore[arg-type]


def copy_of(count: int) -> Candidate:
    """The yardstick: copy as many bytes as the operator reads and writes."""
    source, target = torch.rand(count // 2), torch.empty(count // 2)
    return Candidate("copy of the same bytes", lambda: target.copy_(source), check=False)


def onnx_session(reducer: str, region: Sliding, x: Tensor, y: Tensor) -> Callable[[], Any] | None:
    """onnxruntime on the same window, if it is installed and has the operator."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper
    except ImportError:
        return None
    kind = {"max": "MaxPool", "mean": "AveragePool"}.get(reducer)
    if kind is None:
        return None
    (window, _) = region.windows((x.shape[2], x.shape[3]))
    node = helper.make_node(
        kind,
        ["x"],
        ["y"],
        kernel_shape=[window.kernel] * 2,
        strides=[window.stride] * 2,
        pads=[window.padding[0]] * 4,
    )
    info = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(tensor.shape))
        for name, tensor in (("x", x), ("y", y))
    ]
    graph = helper.make_graph([node], "pooling", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    feed = {"x": x.numpy()}
    return lambda: session.run(["y"], feed)[0]


def forward(reducer: str, label: str, region: Sliding, x: Tensor, settings: argparse.Namespace) -> list[Row]:
    """Forward, without a gradient."""
    torch_way = peer(reducer, region)
    torch.compiler.reset()
    compiled = torch.compile(torch_way)
    y = torch_way(x)
    candidates = [
        Candidate("torch eager", lambda: torch_way(x)),
        Candidate("torch.compile", lambda: compiled(x)),
        Candidate(OURS, lambda: cnnatomy.pool(x, region, reducer)),
        copy_of(x.numel() + y.numel()),
    ]
    session = onnx_session(reducer, region, x, y) if x.is_contiguous() else None
    if session is not None:
        candidates.insert(2, Candidate("onnxruntime", session))
    return compare(f"{reducer} forward {label}", candidates, settings.rounds, settings.clock)


def backward(reducer: str, label: str, region: Sliding, x: Tensor, settings: argparse.Namespace) -> list[Row]:
    """Backward alone, from one cotangent."""
    leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
    theirs, ours = peer(reducer, region)(leaf), cnnatomy.pool(leaf, region, reducer)
    grad = torch.randn_like(theirs)

    def pull(y: Tensor) -> Callable[[], Tensor]:
        return lambda: torch.autograd.grad(y, leaf, grad, retain_graph=True)[0]

    candidates = [
        Candidate("torch eager", pull(theirs)),
        Candidate(OURS, pull(ours)),
        copy_of(x.numel() + grad.numel()),
    ]
    return compare(f"{reducer} backward {label}", candidates, settings.rounds, settings.clock)


def main() -> None:
    """Run every case, print it, and save the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reducers", nargs="+", default=["max", "mean"], choices=["max", "min", "mean"])
    parser.add_argument("--windows", nargs="+", default=list(WINDOWS), choices=list(WINDOWS))
    parser.add_argument("--layouts", nargs="+", default=["NCHW", "NHWC"], choices=["NCHW", "NHWC"])
    parser.add_argument("--shape", type=int, nargs=4, default=[32, 64, 56, 56])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pooling.csv")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    keep_memory()
    rows: list[Row] = []
    for reducer in settings.reducers:
        for window in settings.windows:
            for layout in settings.layouts:
                x = torch.randn(settings.shape)
                x = x.contiguous(memory_format=torch.channels_last) if layout == "NHWC" else x
                label = f"{window} {'x'.join(map(str, settings.shape))} float32 {layout}"
                for measure in (forward, backward):
                    found = measure(reducer, label, WINDOWS[window], x, settings)
                    show(found, OURS)
                    rows += found
    save(rows, settings.out)
    print(f"\n{len(rows)} rows saved to {settings.out}")


if __name__ == "__main__":
    main()
