"""Files of torch.export: the network as torch itself runs it, elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from cnnatomy import checks
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


def program(
    model: nn.Module,
    path: str | Path,
    *inputs: Tensor,
    output_names: Sequence[str] | None = None,
    dynamic_shapes: Any = None,
    preprocessing: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
) -> Written:
    """Write a network as a file of `torch.export`, in torch's own operators, to be run without this package.

    Arguments are those of `cnnatomy.export.onnx`. What is loaded gives its outputs in their order, and the
    graph's signature has their names, which are identifiers. The metadata are extra files of the archive:
    `torch.export.load(path, extra_files={"classes": ""})`.

    Raises:
        ArgumentError: an argument is of another kind; the model cannot be traced, or the file gives other
            results than the model.

    Example:
        >>> import cnnatomy.nn as nn
        >>> written = program(nn.Pool2d("median", 2), "net.pt2", torch.rand(1, 1, 8, 8))
        >>> torch.export.load("net.pt2").module()(torch.rand(3, 1, 8, 8)).shape
        torch.Size([3, 1, 4, 4])
    """
    model = traceable(checks.module(model))
    target, fixed, given = checks.path(path, "the file"), dynamic_shapes == (), examples(inputs)
    given = given if fixed or dynamic_shapes is not None else doubled(given)
    shapes = None if fixed else open_batch(given) if dynamic_shapes is None else dynamic_shapes
    metadata = metadata_of(preprocessing, classes)
    output_names = None if output_names is None else checks.words(output_names, "output_names")
    with evaluating(model), torch.no_grad(), beside(target) as place:
        try:
            made = lowered(model, given, dynamic_shapes=shapes)
        except (ArgumentError, MemoryError):
            raise
        except Exception as error:  # whatever torch.export raises
            reason = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
            raise ArgumentError(f"{type(model).__name__} cannot be exported", got=reason) from error
        if output_names is not None:
            _call_outputs(made, output_names)
        with place.open("wb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that are views; what is read back is compared
            torch.export.save(made, file, extra_files=metadata)
        with place.open("rb") as file:
            loaded = torch.export.load(file).module()
        gap = compared(lambda *x: tensors(loaded(*x)), tensors(model(*given)), given)
    names = made.graph_signature
    places = [tuple(map(str, ends)) for ends in (names.user_inputs, names.user_outputs)]
    return Written(target, target.stat().st_size, None, places[0], places[1], metadata, gap)


def _call_outputs(made: ExportedProgram, names: Sequence[str]) -> None:
    """Give the outputs of a program these names, in its graph and in its signature."""
    specs = [one for one in made.graph_signature.output_specs if one.kind is OutputKind.USER_OUTPUT]
    nodes = {node.name: node for node in made.graph.nodes}
    check_names("output_names", names, len(specs), nodes.keys() - {spec.arg.name for spec in specs})
    for spec, name in zip(specs, names, strict=True):
        node = nodes.pop(spec.arg.name, None)
        if node is None or node.op == "placeholder":
            expected = "outputs that the network computes, each for itself"
            raise ArgumentError("output_names", expected=expected, got=f"{name!r} for another")
        node._rename(name)
        if node.name != name or iskeyword(name):  # torch makes a variable of it
            expected = "identifiers that are free in the code of the graph"
            raise ArgumentError("output_names", expected=expected, got=repr(name))
        spec.arg.name = name
