"""ONNX files of standard operators, held against torch before they take their place."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.export.written import (
    Written,
    beside,
    check_names,
    compared,
    doubled,
    examples,
    metadata_of,
    open_batch,
    tensors,
    traceable,
)
from cnnatomy.nn.modes import evaluating
from cnnatomy.ops.lowering import lowered

OPSET = 18
"""The version of ONNX's operators that is written unless another is asked for."""


def onnx(
    model: nn.Module,
    path: str | Path,
    *inputs: Tensor,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_shapes: Any = None,
    preprocessing: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    opset: int = OPSET,
) -> Written:
    """Write a network as an ONNX file that any runtime reads: standard operators alone, poolings included.

    The model is exported as it evaluates, and stays in the mode it is in. The file is checked, and where
    onnxruntime is installed run on the inputs, and on the first of them, before it takes its place: a
    failure leaves what was there.

    Args:
        model: any module that `torch.export` takes.
        path: the file.
        inputs: examples of what its forward takes, in order.
        input_names, output_names: their names in the file, by default of the forward's arguments and torch's.
        dynamic_shapes: as `torch.export.export` takes them. By default the first axis of all inputs is open,
            as one batch; `()` for none.
        preprocessing: what is told of how pictures become inputs, as JSON in the metadata.
        classes: the names of the classes, as a JSON list in the metadata.
        opset: the version of ONNX's operators, at least 18.

    Raises:
        ArgumentError: onnx or onnxscript is missing; an argument is of another kind; the model cannot be
            traced, or has no standard form; or the file gives other results than torch.

    Example:
        >>> import cnnatomy.nn as nn
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.Pool2d("soft", 2))
        >>> written = onnx(net, "net.onnx", torch.rand(1, 1, 8, 8), classes=["cat", "dog"])
        >>> written.opset, written.metadata["classes"]
        (18, '["cat", "dog"]')
    """
    _demand_extra()
    model = traceable(checks.module(model))
    whole_number("opset", opset, least=OPSET)
    target, fixed, given = checks.path(path, "the file"), dynamic_shapes == (), examples(inputs)
    given = given if fixed or dynamic_shapes is not None else doubled(given)
    metadata = metadata_of(preprocessing, classes)
    names = {"input_names": input_names, "output_names": output_names}
    wanted_names = {what: checks.words(some, what) for what, some in names.items() if some is not None}
    shapes = (
        None if fixed else _shapes(model, open_batch(given)) if dynamic_shapes is None else dynamic_shapes
    )
    with evaluating(model), torch.no_grad(), beside(target) as place:
        made = _translated(model, given, shapes, opset)
        _unfused(made.model.graph)
        _call_ends(made.model.graph, wanted_names)
        made.model.metadata_props.update(metadata)
        made.save(str(place))
        truths = [(given, tensors(model(*given)))]
        if dynamic_shapes is None and not fixed:
            one = tuple(t[:1] if t.dim() else t for t in given)
            truths.append((one, tensors(model(*one))))
        error = _checked(place, truths)
    graph = made.model.graph
    ends = [tuple(value.name or "" for value in values) for values in (graph.inputs, graph.outputs)]
    said = dict(made.model.metadata_props)
    return Written(target, target.stat().st_size, opset, ends[0], ends[1], said, error)


_POOLS = {"MaxPool", "AveragePool", "LpPool"}


def _demand_extra() -> None:
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ArgumentError(f"ONNX needs {' and '.join(missing)}", hint="pip install 'cnnatomy[onnx]'")


def _shapes(model: nn.Module, each: tuple[Any, ...]) -> Any:
    """One entry for each input, also where the forward takes them as *inputs."""
    import inspect

    kinds = [p.kind for p in inspect.signature(model.forward).parameters.values()]
    return (each,) if inspect.Parameter.VAR_POSITIONAL in kinds[:1] else each


def _translated(model: nn.Module, inputs: Sequence[Tensor], shapes: Any, opset: int) -> Any:
    from cnnatomy.export.translations import table

    with _quietly():
        try:
            program = lowered(model, inputs, dynamic_shapes=shapes)
            return torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                custom_translation_table=table(),
            )
        except (ArgumentError, MemoryError):
            raise
        except Exception as error:  # whatever torch's exporters raise
            raise ArgumentError(f"{type(model).__name__} cannot be exported", got=_reason(error)) from error


def _call_ends(graph: Any, wanted_names: Mapping[str, Sequence[str]]) -> None:
    """Give the inputs and outputs of a graph the names that are asked for."""
    ends = {"input_names": graph.inputs, "output_names": graph.outputs}
    renamed = {id(value) for what in wanted_names for value in ends[what]}
    made = (value for node in graph.all_nodes() for value in node.outputs)
    values = [*graph.inputs, *graph.initializers.values(), *made]
    taken = {value.name for value in values if id(value) not in renamed}
    for what, names in wanted_names.items():
        check_names(what, names, len(ends[what]), taken)
        taken.update(names)
    for what, names in wanted_names.items():
        for value, name in zip(ends[what], names, strict=True):
            value.name = name


def _unfused(graph: Any) -> None:
    """Put an operator that changes nothing between a padding and a pooling.

    onnxruntime takes a border of zeros in front of a pooling for the pooling's own padding, which holds none.
    """
    from onnx_ir import node as make

    for node in list(graph):
        source = node.inputs[0].producer() if node.op_type in _POOLS and node.inputs[0] is not None else None
        if source is not None and source.op_type == "Pad":
            kept = make("Max", inputs=[node.inputs[0]])
            kept.outputs[0].shape, kept.outputs[0].type = node.inputs[0].shape, node.inputs[0].type
            graph.insert_before(node, kept)
            node.replace_input_with(0, kept.outputs[0])


def _reason(error: BaseException) -> str:
    """The innermost of an error's causes, its first lines."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(line.strip() for line in str(error).splitlines()[:3] if line.strip())
    return f"{type(error).__name__}: {said[:300]}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's own chatter, which is about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _checked(place: Path, truths: Sequence[tuple[Sequence[Tensor], Sequence[Tensor]]]) -> float | None:
    import onnx as format

    format.checker.check_model(str(place), full_check=True)
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(place), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever it raises at a graph
        raise ArgumentError("onnxruntime refuses the graph", got=_reason(error)) from error

    def run(*inputs: Tensor) -> list[Tensor]:
        named = {slot.name: tensor.numpy() for slot, tensor in zip(session.get_inputs(), inputs, strict=True)}
        return [torch.as_tensor(array) for array in session.run(None, named)]

    return max(compared(run, truth, inputs) for inputs, truth in truths)
