"""What a network asks of values: computed where sizes tell it, assumed where the caller says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.anatomy.ask.sizing import sizes
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.cli import main
from cnnatomy.errors import ArgumentError

if not hasattr(torch.ops.torchvision, "nms"):
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    _LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]


class Asking(nn.Module):
    """Makes a tensor of sizes and constants, and asks something of it."""

    def __init__(self, made: Callable[[Tensor], Tensor], ask: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.made, self.ask = made, ask

    def forward(self, x: Tensor) -> Any:
        return self.ask(self.made(x), x)


def striped(x: Tensor) -> Tensor:
    mask = torch.zeros(x.shape[-2:])
    mask[1::2] = 1
    mask[:, 0].add_(2)
    return mask


def filled(x: Tensor) -> Tensor:
    made = torch.empty(5, 6, dtype=torch.int64).fill_(3)
    made[2:4, 1:3] = torch.tensor([[0, 1], [2, 0]])
    return made.t()


MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "range": lambda x: torch.arange(x.shape[-1]) % 3,
    "stripes": striped,
    "filled": filled,
    "positions": lambda x: torch.ones_like(x[0, 0]).cumsum(0) - 2,
    "new": lambda x: x.new_full((4, 3), 2.0).tril(),
    "steps": lambda x: torch.linspace(-1, 1, x.shape[-1]).outer(torch.tensor([1.0, 0.0, -2.0])),
    "padding": lambda x: torch.nn.functional.pad(x.new_ones(1, 3, 3), (1, 2)).bool().logical_not()[0],
}
ASKED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "bool": lambda m, x: x[..., :2] if m.sum() > 2 else x,
    "item": lambda m, x: x.new_zeros(int(m.max().item()) + 1, 2),
    "int": lambda m, x: x.new_zeros(int(m.float().mean() * 10) + 20),
    "list": lambda m, x: [x.new_zeros(int(n) + 5) for n in m.flatten().tolist()],
    "numpy": lambda m, x: torch.as_tensor(m.cpu().numpy()[:2]),
    "nonzero": lambda m, x: m.nonzero(),
    "where": lambda m, x: torch.where(m > 0),
    "picked": lambda m, x: m[m > 0],
    "picked of data": lambda m, x: x.new_zeros(2, *m.shape, 3)[:, m > 0],
    "selected": lambda m, x: x.new_zeros(2, *m.shape).masked_select(m > 0),
    "unique": lambda m, x: torch.unique(m, return_inverse=True, return_counts=True),
    "rows": lambda m, x: torch.unique(m, dim=0),
    "runs": lambda m, x: torch.unique_consecutive(m),
    "repeated": lambda m, x: m.flatten().repeat_interleave(m.flatten().long().abs()),
    "counted": lambda m, x: m.flatten().long().abs().bincount(),
    "equal": lambda m, x: x if torch.equal(m, m.clone()) else x[..., :1],
    "sorted": lambda m, x: x.new_zeros(int(m.flatten().float().sort(descending=True)[0][0]) + 7),
}


def shapes(found: Any) -> Any:
    return tuple(found.shape) if isinstance(found, Tensor) else tuple(map(shapes, found))


def flat(found: Any) -> list[tuple[int, ...]]:
    return (
        [found] if not found or isinstance(found[0], int) else [one for part in found for one in flat(part)]
    )


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("asked", ASKED)
def test_what_sizes_tell_is_computed_as_in_a_real_run(made: str, asked: str) -> None:
    model = Asking(MADE[made], ASKED[asked])
    real = flat(shapes(model(torch.zeros(1, 2, 6, 8))))
    known = anatomy(model, (2, 6, 8))
    assert known.reason is None
    assert list(known.outputs.values()) == real
    assert known.notes == ()


class Held(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.held = nn.Buffer(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x if self.held.sum() > 2 else x + 1


def overwritten(x: Tensor) -> Tensor:
    mask = torch.zeros(4)
    mask[1] = x[0, 0]
    return mask


@pytest.mark.parametrize(
    "model",
    [
        Asking(lambda x: x.sum(), ASKED["bool"]),
        Asking(lambda x: torch.rand(3), ASKED["bool"]),
        Asking(lambda x: torch.zeros(3).uniform_(), ASKED["bool"]),
        Asking(overwritten, ASKED["bool"]),
        Asking(lambda x: torch.zeros(1100, 1000, dtype=torch.float64), ASKED["bool"]),
        Asking(lambda x: x + torch.ones(4), ASKED["nonzero"]),
        Held(),
    ],
    ids=["input", "random", "random in place", "overwritten", "large", "mixed", "buffer"],
)
def test_what_depends_on_data_stops_the_pass(model: nn.Module) -> None:
    known = anatomy(model, (4,))
    assert not known.complete
    assert known.reason is not None
    assert "cannot run without data: " in known.reason
    assert "test_assumed.py:" in known.reason
    assert known.reason.endswith("to go on")


def test_a_constant_of_the_caller_keeps_its_values() -> None:
    ours = torch.tensor([1.0, 2.0])

    def made(x: Tensor) -> Tensor:
        return ours.mul_(3)

    known = anatomy(Asking(made, lambda m, x: x.new_zeros(int(m.sum()))), (4,))
    assert known.outputs == {"": (9,)}
    assert ours.tolist() == [1, 2]


class Detector(nn.Module):
    """Boxes on every cell of a map; those above a score, and of them those that stay, are classified."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.boxes, self.classes = nn.Conv2d(8, 4, 1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        rows = torch.arange(features.shape[2])
        inside = (rows > 0)[:, None].expand(features.shape[2:]).flatten()
        boxes = self.boxes(features).flatten(2)[0].T[inside]
        cells = features.flatten(2)[0].T[inside]
        kept = torch.where(boxes[:, 0] > 0.5)[0]
        stay = torch.ops.torchvision.nms(boxes[kept], boxes[kept, 0], 0.5)
        return boxes[kept][stay], self.classes(cells[kept][stay])


def test_a_detector_is_measured_up_to_where_the_picture_decides() -> None:
    known = anatomy(Detector(), (3, 16, 16))
    assert known.reason is not None
    assert "how many cells of a mask are true depends on values (" in known.reason
    assert "kept = torch.where(boxes[:, 0] > 0.5)[0])" in known.reason
    assert known.reason.endswith("; assume nonzero=all, or a count, to go on")
    assert known.layers[0].macs == 8 * 64 * 27 + 4 * 64 * 8
    further = anatomy(Detector(), (3, 16, 16), assume={"nonzero": "all"})
    assert further.reason is not None
    assert "which boxes are kept depends on values" in further.reason
    assert further.reason.endswith("; assume nms=all, or a count, to go on")


@pytest.mark.parametrize(
    ("assume", "boxes", "said"),
    [
        ({"nonzero": "all", "nms": "all"}, 56, ["nonzero gives all 56", "nms gives all 56"]),
        ("nonzero=all,nms=10", 10, ["nonzero gives all 56", "nms gives at most 10 of 56"]),
        ("nonzero=7, nms=all", 7, ["nonzero gives at most 7 of 56", "nms gives all 7"]),
        ({"nonzero": 99, "nms": 0}, 0, ["nonzero gives at most 99 of 56", "nms gives at most 0 of 56"]),
    ],
)
def test_what_the_caller_assumes_is_taken_and_said(assume: Any, boxes: int, said: list[str]) -> None:
    known = anatomy(Detector(), (3, 16, 16), assume=assume)
    assert known.reason is None
    assert list(known.outputs.values()) == [(boxes, 4), (boxes, 5)]
    assert list(known.notes) == [f"assumed: {line}" for line in said]
    assert known.macs == 8 * 64 * 27 + 4 * 64 * 8 + boxes * 8 * 5
    assert all(f"assumed: {line}" in known.to_markdown() for line in said)
    assert Anatomy.from_json(known.to_json()) == known


@pytest.mark.parametrize("count", ["all", 2])
def test_an_assumed_mask_is_one_that_real_data_could_have(count: int | str) -> None:
    """Shapes and strides are those of a real run whose mask has so many cells."""
    cases: list[Callable[[Tensor], Any]] = [
        lambda x: (x > 0).nonzero(),
        lambda x: torch.where(x > 0),
        lambda x: x[x > 0],
        lambda x: x.expand(3, 1, 4)[:, x > 0],
        lambda x: x.T.masked_select(x.T > 0),
        lambda x: x.expand(2, 4).masked_select(x[0] > 0)[: len(x[x > 0])],
    ]
    data = torch.ones(1, 4)
    data[:, 2 if count == 2 else 4 :] = -1
    for case in cases:
        graph = trace(Asking(lambda x: x, lambda m, x: case(x)), [data], assume={"nonzero": count})  # noqa: B023
        made = case(data)
        real = [made] if isinstance(made, Tensor) else list(made)
        assert graph.reason is None
        assert [(v.shape, v.strides, v.dtype) for v in graph.outputs.values()] == [
            (tuple(one.shape), one.stride(), one.dtype) for one in real
        ]


@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("consecutive", [False, True])
def test_an_assumed_number_of_different_values_is_that_of_real_data(
    dim: int | None, consecutive: bool
) -> None:
    function: Any = torch.unique_consecutive if consecutive else torch.unique

    def ask(_: Tensor, x: Tensor) -> Any:
        return function(x, return_inverse=True, return_counts=True, dim=dim)

    data = torch.arange(6.0).view(2, 3)
    graph = trace(Asking(lambda x: x, ask), [data], assume="unique=all")
    assert graph.reason is None
    assert [v.shape for v in graph.outputs.values()] == flat(shapes(ask(data, data)))


def test_a_number_may_be_assumed() -> None:
    model = Asking(lambda x: x.sum(), lambda m, x: (x[..., :2] if m > 0 else x).new_zeros(int(m) + 1))
    known = anatomy(model, (4,), assume={"item": 2})
    assert known.outputs == {"": (3,)}
    assert known.notes == ("assumed: item gives 2, 2 times",)
    assert anatomy(model, (4,), assume={"item": 0}).outputs == {"": (1,)}


def test_what_cannot_run_under_what_was_assumed_says_so() -> None:
    model = Asking(lambda x: x[x > 0], lambda m, x: m.view(2, 2))
    known = anatomy(model, (4,), assume={"nonzero": 3})
    assert known.reason is not None
    assert known.reason.startswith("the model (Asking) cannot run with what was assumed: ")
    assert anatomy(model, (4,), assume={"nonzero": 4}).complete


def test_training_and_other_sizes_are_measured_under_the_same() -> None:
    model = Asking(lambda x: x[x > 0], lambda m, x: m * 2)
    known = anatomy(model, (4,), training=True, assume="nonzero=3")
    assert known.notes == ("assumed: nonzero gives at most 3 of 4",)
    assert known.memory is not None
    assert known.memory.training is not None
    found = sizes(model, (1, 4), range(4, 6), assume="nonzero=3")
    assert [one.outputs for one in found] == [((3,),), ((3,),)]


@pytest.mark.parametrize(
    ("assume", "message"),
    [
        ({"masks": "all"}, "assume: expected one of nonzero, nms, unique, item, got 'masks'"),
        ("nonzero", "assume: nonzero: expected \"all\" or a whole number >= 0, got ''"),
        ("nonzero=-1", 'assume: nonzero: expected "all" or a whole number >= 0, got -1'),
        ({"nms": 0.5}, 'assume: nms: expected "all" or a whole number >= 0, got 0.5'),
        ({"nms": True}, 'assume: nms: expected "all" or a whole number >= 0, got True'),
        ("item=all", "assume: item: expected a number, got 'all'"),
    ],
)
def test_what_is_no_answer_is_refused(assume: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        anatomy(nn.ReLU(), (4,), assume=assume)
    assert str(caught.value).startswith(message)


def test_the_commands_take_it(capfd: pytest.CaptureFixture[str]) -> None:
    words = f"{__file__}:Detector --input 3x16x16 --assume"
    main(["inspect", *words.split(), "nonzero=all,nms=10"])
    shown = capfd.readouterr().out
    assert "assumed: nms gives at most 10 of 56" in shown
    assert "partial" not in shown
