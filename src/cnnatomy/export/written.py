"""What an export tells of itself, and how its file comes to be whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

import cnnatomy
from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.foreign_classifier import Adopted

TOLERANCE = 1e-4
"""How far a runtime's results may lie from torch's, relative to each and to the largest of all."""


@dataclass(frozen=True)
class Written:
    """A file that was written, and what was seen of it.

    Args:
        path: the file.
        size: its bytes.
        opset: the version of ONNX's operators; None for a file of torch.export.
        inputs, outputs: their names.
        metadata: what the file says of itself.
        error: the largest difference from torch, relative to the largest result; None if nothing ran it.
    """

    path: Path
    size: int
    opset: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]
    error: float | None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return {**asdict(self), "path": str(self.path), "metadata": dict(self.metadata)}

    def __str__(self) -> str:
        kind = "torch.export" if self.opset is None else f"ONNX, opset {self.opset}"
        seen = (
            "not run: onnxruntime is not installed"
            if self.error is None
            else f"run: within {self.error:.1e} of torch"
        )
        return f"{self.path}  {self.size:,} bytes, {kind}; {seen}"


def metadata_of(preprocessing: Mapping[str, Any] | None, classes: Sequence[str] | None) -> dict[str, str]:
    """What a file says of itself: texts, of which "classes" and "preprocessing" are JSON."""
    found = {"cnnatomy": cnnatomy.__version__, "torch": torch.__version__}
    if preprocessing is not None:
        held = checks.of_kind("preprocessing", preprocessing, Mapping, "what JSON holds, by name")
        try:
            found["preprocessing"] = json.dumps(dict(held))
        except (TypeError, ValueError) as error:
            raise ArgumentError("preprocessing", expected="what JSON holds", got=str(error)) from error
    if classes is not None:
        found["classes"] = json.dumps(checks.words(classes, "classes"), ensure_ascii=False)
    return found


def check_names(what: str, names: Sequence[str], count: int, taken: Collection[str]) -> None:
    """Hold the names of a graph's inputs or outputs to what a graph can have.

    Raises:
        ArgumentError: they are more or fewer than there are; one is empty, given twice, or taken by something
            else in the graph.
    """
    if len(names) != count:
        raise ArgumentError(what, expected=f"{count} name{'s' * (count != 1)}", got=str(len(names)))
    for name in names:
        if not name or name in taken or names.count(name) > 1:
            expected = "names, all different, that nothing else in the graph has"
            raise ArgumentError(what, expected=expected, got=repr(name))


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place to write to that becomes `path` when all has gone well, and else nothing."""
    if path.is_dir() or not path.parent.is_dir():
        raise ArgumentError(f"cannot write {path}", expected="a file in a folder that exists")
    place = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield place
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


class Nested(nn.Module):
    """A network within a module, where every tensor has the path that torch's exporters follow."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """What the network returns."""
        return self.network(x)


def traceable(model: nn.Module) -> nn.Module:
    """The model itself, or around it what tells torch's exporters where its tensors are.

    An `Adopted` network calls them by the names of the module that it wraps.
    """
    return Nested(model) if isinstance(model, Adopted) else model


def examples(inputs: Sequence[object]) -> tuple[Tensor, ...]:
    """What a network is traced with, held to tensors.

    Raises:
        ArgumentError: there is none, or something else is among them.
    """
    expected = "tensors that its forward takes, such as torch.rand(1, 3, 224, 224)"
    if not inputs:
        raise ArgumentError("an example of the input is missing", expected=expected)
    return tuple(checks.of_kind("an example of the input", one, Tensor, expected) for one in inputs)


def open_batch(inputs: Sequence[Tensor]) -> tuple[Any, ...]:
    """The first axis of every input left open; an example of one is repeated by `doubled`."""
    batch = Dim("batch", min=1, max=2**16)
    return tuple({0: batch} if tensor.dim() else None for tensor in inputs)


def doubled(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Examples of at least two: what is one in an example is taken for a constant."""
    return tuple(torch.cat([t, t]) if t.dim() and len(t) == 1 else t for t in inputs)


def compared(
    run: Callable[..., Sequence[Tensor]], truth: Sequence[Tensor], inputs: Sequence[Tensor]
) -> float:
    """The largest difference of what `run` gives from the truth, relative to the largest finite value.

    Raises:
        ArgumentError: some value lies further away than `TOLERANCE`, or is NaN in one alone.
    """
    most = 0.0
    for i, (found, wanted) in enumerate(zip(run(*inputs), truth, strict=True)):
        if found.shape != wanted.shape:
            raise ArgumentError(
                f"output {i} differs", expected=str(tuple(wanted.shape)), got=str(tuple(found.shape))
            )
        if not wanted.is_floating_point():
            wanted, found = wanted.double(), found.double()
        finite = wanted[wanted.isfinite()].abs()
        scale = max(float(finite.max()), 1e-30) if finite.numel() else 1.0
        same = torch.isclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
        gap = (
            torch.where((found == wanted) | (found.isnan() & wanted.isnan()), 0, (found - wanted).abs())
            / scale
        )
        most = max(most, float(gap.max())) if gap.numel() else most
        if not same.all():
            expected, got = f"a runtime within {TOLERANCE:g} of torch", f"{most:.1e}"
            raise ArgumentError(f"output {i} differs, so nothing is written", expected=expected, got=got)
    return most


def tensors(result: Any) -> list[Tensor]:
    """The tensors of nested tuples, lists and dicts, in order."""
    leaves = torch.utils._pytree.tree_leaves(result)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
