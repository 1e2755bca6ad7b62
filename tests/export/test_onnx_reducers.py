"""Every pooling as standard ONNX operators: onnxruntime's results against the kernels'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from support import examples, label, random
from torch import Tensor, nn

import cnnatomy
from cnnatomy.export import onnx
from cnnatomy.reducers import REGISTRY, Reducer, Soft, reducer
from cnnatomy.regions import Adaptive, Fractional, Pyramid, Region, Sliding, Whole

pytest.importorskip("onnxscript")
ort = pytest.importorskip("onnxruntime")

REGIONS: dict[str, Region] = {
    "overlapping and padded": Sliding(3, 2, 1),
    "dilated": Sliding(2, 1, (1, 2), 2),
    "overhanging": Sliding(4, 3, 1, 1, True),
    "a grid that divides": Adaptive((3, 4)),
    "a grid that does not": Adaptive(4),
    "the whole map": Whole(),
    "a pyramid": Pyramid((1, 2)),
    "fractional": Fractional(0.6),
}
SPATIAL = (9, 8)
POSITIVE = {"GeM(clamp=None)"}


class Every(nn.Module):
    """Many poolings of one map, so that one file tests them all."""

    def __init__(self, cases: Sequence[tuple[Reducer, Region]]) -> None:
        super().__init__()
        self.cases = cases

    def forward(self, x: Tensor, beside: Tensor) -> list[Tensor]:
        return [self.one(x, beside, *case).clone() for case in self.cases]

    def one(self, x: Tensor, beside: Tensor, what: Reducer, region: Region) -> Tensor:
        given: dict[str, Any] = dict.fromkeys(what.companions, beside)
        given |= {name: torch.tensor(start) for name, start in what.learns.items()}
        found: Tensor = cnnatomy.pool(x, what, region, **given)
        return found


def run(path: Path, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    named = {slot.name: tensor.numpy() for slot, tensor in zip(session.get_inputs(), inputs, strict=True)}
    return [torch.from_numpy(array) for array in session.run(None, named)]


def wrong(cases: Sequence[tuple[Reducer, Region]], path: Path, dynamic: bool) -> list[str]:
    """The cases in which onnxruntime differs by more than 1e-4, on numbers that the export never saw."""
    net = Every(cases)
    example = [random((2, 3, *SPATIAL), seed=seed) for seed in (0, 1)]
    onnx(net, path, *example, dynamic_shapes=None if dynamic else ())
    text = path.read_bytes()
    assert b"cnnatomy::" not in text
    found = []
    for batch, seed in ((5, 4), (1, 6)) if dynamic else ((2, 4),):
        x, beside = (random((batch, 3, *SPATIAL), seed=seed + i) for i in range(2))
        for (what, region), ours, theirs in zip(cases, run(path, (x, beside)), net(x, beside), strict=True):
            if not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4, equal_nan=True):
                found.append(f"{label(what)} over {region}: {(ours - theirs).abs().max()}")
    return found


@pytest.mark.costly(1)
@pytest.mark.parametrize("part", range(3))
def test_every_reducer_runs_elsewhere_to_1e_4(part: int, tmp_path: Path) -> None:
    """Of sliding, adaptive and global regions in turn, a third of the poolings in a file."""
    regions = [REGIONS[name] for name in ("overlapping and padded", "a grid that does not", "the whole map")]
    cases: list[tuple[Reducer, Region]] = [
        (reducer(name), regions[i // 3 % 3]) for i, name in enumerate(sorted(REGISTRY)) if i % 3 == part
    ]
    cases += [(Soft(learned=3), regions[0])]  # with a constant of the forward's own
    assert wrong(cases, tmp_path / "all.onnx", dynamic=False) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_reducer_over_every_region(name: str, tmp_path: Path) -> None:
    """With every telling parameter too, over all of `REGIONS`, of any batch."""
    whats = [what for what in examples() if what.name == name and label(what) not in POSITIVE]
    cases = [(what, region) for what in whats for region in REGIONS.values()]
    if REGISTRY[name].mixes:  # an eigendecomposition is a long graph, and many in one far longer to write
        found = [wrong([case], tmp_path / f"{i}.onnx", dynamic=False) for i, case in enumerate(cases)]
        assert not any(found), found
    else:
        assert wrong(cases, tmp_path / "all.onnx", dynamic=True) == []


def test_standard_operators_stand_where_they_are_equal(tmp_path: Path) -> None:
    """One operator each, and no gathering."""
    import onnx as format

    regions: tuple[Region, ...] = (
        Sliding(3, 2, 1),
        Sliding(3, 2, ((1, 0), (2, 1))),
        Adaptive((3, 4)),
        Whole(),
    )
    cases = [(reducer(name), region) for name in ("max", "min", "mean") for region in regions]
    assert wrong(cases, tmp_path / "net.onnx", dynamic=False) == []
    kinds = [node.op_type for node in format.load(tmp_path / "net.onnx").graph.node]
    assert not {"Gather", "ScatterElements", "TopK"} & set(kinds)
    assert kinds.count("MaxPool") == 6
    assert kinds.count("AveragePool") == 3


def test_a_drawing_network_is_exported_as_it_evaluates(tmp_path: Path) -> None:
    net: Any = cnnatomy.nn.Pool2d("stochastic", 2).train()
    x = random((2, 3, 4, 6))
    onnx(net, tmp_path / "net.onnx", x)
    assert net.training
    torch.testing.assert_close(run(tmp_path / "net.onnx", (x,))[0], net.eval()(x))
