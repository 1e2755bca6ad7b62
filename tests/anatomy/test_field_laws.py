"""Laws of receptive fields: what they predict is what units far from borders see."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
import torch
from anatomy import zoo
from anatomy.laws import all_mispredicted, by_place, mispredicted
from anatomy.random_chains import Chain
from anatomy.random_nets import Op, random_net, truth
from torch import Tensor, nn
from torch.nn import functional as F

import cnnatomy
from cnnatomy.anatomy.field import Fields, law
from cnnatomy.anatomy.field.algebra import arrays
from cnnatomy.anatomy.field.axis_field import Place
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.models.model_catalog import NAMES
from cnnatomy.nn import depth_to_space


def blocks(x: Tensor) -> Tensor:
    """Channels to cells by hand."""
    n, c, h, w = x.shape
    return x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)


def copies(x: Tensor) -> Tensor:
    """Every cell two times, then all of a map's rows again."""
    wide = x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 3)
    return wide.reshape(*x.shape[:2], 2 * x.shape[2], 3 * x.shape[3])


Nets = Iterable[tuple[str, nn.Module, Any]]
pytestmark = pytest.mark.filterwarnings("ignore:TF32")
REPEATED: dict[str, Callable[[], nn.Module]] = {
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "pixel_shuffle": lambda: Op(lambda x: F.pixel_shuffle(x, 2)),
    "view, permute, reshape": lambda: Op(blocks),
    "depth_to_space": lambda: Op(lambda x: depth_to_space(x, 2)),
    "depth_to_space, dcr": lambda: Op(lambda x: depth_to_space(x, 2, "dcr")),
    "shuffle2": lambda: cnnatomy.network("shuffle2"),
    "repeat_interleave": lambda: Op(lambda x: x.repeat_interleave(2, 2).repeat_interleave(3, 3)),
    "expand, reshape": lambda: Op(copies),
    "repeat": lambda: Op(lambda x: x.repeat(1, 1, 2, 1)),
    "nearest": lambda: Op(lambda x: F.interpolate(x, scale_factor=2)),
    "nearest by 1.5": lambda: Op(lambda x: F.interpolate(x, scale_factor=1.5, mode="nearest-exact")),
    "bilinear": lambda: Op(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "transposed": lambda: nn.ConvTranspose2d(4, 4, 2, 2),
    "shuffled back": lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.PixelShuffle(2)),
}  # fmt: skip
"""Cells made of channels, or made several times; all take four channels."""
BEFORE: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(1, 4, 3, padding=1),
    "strided": lambda: nn.Conv2d(1, 4, 3, 2, 1),
    "pooled": lambda: nn.Sequential(nn.Conv2d(1, 4, 1), nn.MaxPool2d((2, 1))),
}
BEHIND: dict[str, Callable[[], list[nn.Module]]] = {
    "nothing": lambda: [],
    "conv": lambda: [nn.Conv2d(1, 2, 3, padding=1)],
    "pool": lambda: [nn.MaxPool2d(2)],
    "conv of stride 3": lambda: [nn.Conv2d(1, 2, 3, 3)],
    "conv and pool": lambda: [nn.Conv2d(1, 2, 3), nn.AvgPool2d(3, 2)],
    "nearest": lambda: [Op(lambda x: F.interpolate(x, scale_factor=2))],
    "tokens": lambda: [nn.Flatten(2)],
}
CASES = list(itertools.product(REPEATED, BEFORE, BEHIND))


def repeated(middle: str, before: str, behind: str) -> nn.Module:
    first = Op(lambda x: x[:, :1])
    return nn.Sequential(BEFORE[before](), REPEATED[middle](), first, *BEHIND[behind]())


def against_nan(cases: Iterable[tuple[str, str, str]]) -> None:
    nets, laws, units, bad = 0, 0, 0, []
    for case in cases:
        net, shape = repeated(*case).eval(), (1, 1, 36, 20)
        fields = Fields(trace(net, [torch.zeros(shape)]))
        last = str(len(list(net.children())) - 1)
        visit = next(i for i, one in enumerate(fields.graph.visits) if one.path == last)
        for field in fields.returned(visit):
            ((lo, hi),) = (v for path, v in truth(net, shape, field.axis).items() if path == last)
            count, wrong = mispredicted(field, lo, hi)
            if field.place and len(field.shape) == 4 and field.place.inner > 1:
                wrong.append(f"axis {field.axis}, units of one place on a map: {field.place}")
            laws, units = laws + (field.law.kind == "periodic"), units + count
            bad += [f"{case}: {line}" for line in wrong]
        nets += 1
    print(f"{nets} networks, {laws} laws, {units} units far from borders, {len(bad)} wrong")
    assert laws > 1.8 * nets
    assert not bad, "\n".join(bad[:10])


def test_laws_of_cells_made_of_channels_or_repeated_predict_what_nan_tells() -> None:
    against_nan(CASES[::8])


@pytest.mark.slow
def test_laws_of_all_such_cells_predict_what_nan_tells() -> None:
    against_nan(CASES)


@pytest.mark.parametrize(
    ("behind", "size", "jump", "start"),
    [("nothing", 3, Fraction(1, 2), -1), ("conv", 4, Fraction(1, 2), -2), ("pool", 3, Fraction(1), -1)],
)
@pytest.mark.parametrize(
    "middle", ["PixelShuffle", "view, permute, reshape", "shuffle2", "repeat_interleave"]
)
def test_two_units_that_share_a_cell_are_half_a_cell_apart(
    middle: str, behind: str, size: int, jump: Fraction, start: int
) -> None:
    """Worked out by hand: units 4..7 behind the shuffle see cells 1..3, 1..3, 2..4, 2..4."""
    net = repeated(middle, "conv", behind)
    rows = Fields(trace(net, [torch.zeros(1, 1, 24, 24)])).returned(0)[0]
    assert (rows.law.size, rows.law.jump, rows.law.start) == (size, jump, start)


def test_a_law_of_tokens_counts_rows_of_them() -> None:
    """Tokens (N, C, H·W): a unit's number is its row for one axis, its column for the other."""
    net = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.PixelShuffle(2), nn.Flatten(2))
    fields = Fields(trace(net, [torch.zeros(1, 1, 24, 40)])).returned(0)
    assert [field.place for field in fields] == [Place(2, 20, 12), Place(2, 1, 20)]
    assert [(field.law.jump, field.law.sizes) for field in fields] == [(Fraction(2), (4, 4))] * 2


def test_units_that_see_two_places_have_no_law() -> None:
    """Products of every row with every row, as in attention."""
    rows = Fields(trace(Op(lambda x: x @ x.transpose(2, 3)), [torch.zeros(1, 1, 9, 7)])).returned(0)[0]
    assert (rows.law.kind, rows.law.why, rows.place) == ("unknown", "units move along two axes", None)


def test_a_map_beside_itself_is_no_border() -> None:
    net = Op(lambda x: torch.cat([x, x], 2))
    rows = Fields(trace(net, [torch.zeros(1, 1, 9, 7)])).returned(0)[0]
    assert rows.law.kind == "unknown"


def predicted(nets: Nets, calls: bool = True) -> tuple[int, list[str]]:
    count, laws, units, bad = 0, 0, 0, []
    for name, net, shape in nets:
        given = shape if isinstance(shape, Tensor) else torch.zeros(tuple(shape))
        found = all_mispredicted(Fields(trace(net.eval(), [given])), calls)
        count, laws, units = count + 1, laws + found[0], units + found[1]
        bad += [f"{name}: {line}" for line in found[2]]
    print(f"{count} networks, {laws} laws, {units} units far from borders, {len(bad)} wrong")
    return units, bad


def random_nets(seeds: Iterable[int]) -> Nets:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on uneven "same" padding, and on copies it makes
        for seed in seeds:
            yield f"net {seed}", *random_net(seed)


def chains(seeds: Iterable[int]) -> Nets:
    for seed in seeds:
        try:
            chain = Chain(seed)
            with torch.no_grad():
                chain(chain.x)
        except (RuntimeError, ValueError):
            continue
        yield f"chain {seed}", chain, chain.x


def whole(names: Iterable[str]) -> Nets:
    """The published networks, on a picture so tall that most fields fit in."""
    for name in names:
        with torch.device("meta"):
            fixed = name in ("vit_b_16", "swin_t", "alexnet", "vgg16")
            yield name, getattr(zoo, name)(), torch.empty(1, 3, 224 if fixed else 641, 224 if fixed else 65)


def classics(names: Iterable[str]) -> Nets:
    for name in names:
        with torch.device("meta"):
            net = cnnatomy.network(name)
        yield name, net, torch.empty(1, *net.input_shape)


def test_laws_of_random_networks_predict_every_unit_far_from_borders() -> None:
    units, bad = predicted([*random_nets(range(6)), *chains(range(6))])
    assert units > 1000
    assert not bad, "\n".join(bad[:10])


def test_laws_of_published_networks_predict_every_unit_far_from_borders() -> None:
    units, bad = predicted(whole(["mobilenet_v1", "unet_transposed"]), calls=False)
    assert units > 1000
    assert not bad, "\n".join(bad[:10])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "chains", "published", "classics"])
def test_laws_of_all_networks_predict_every_unit_far_from_borders(kind: str) -> None:
    nets = {
        "random": lambda: random_nets(range(6, 400)),
        "chains": lambda: chains(range(6, 200)),
        "published": lambda: whole(zoo.__all__),
        "classics": lambda: classics(NAMES),
    }[kind]()
    units, bad = predicted(nets)
    assert units > 1000
    assert not bad, "\n".join(bad[:10])


def test_the_intervals_of_one_place_are_taken_together() -> None:
    field = Fields(trace(nn.Flatten(2), [torch.zeros(1, 2, 3, 4)])).returned(0)[0]
    lo, hi = by_place(field, field.lo, field.hi)
    assert lo.tolist() == hi.tolist() == [0, 1, 2]


def _not_compact(_right: Any) -> Any:
    return lambda term, _others: term


def _period_of_one_lost(right: Any) -> Any:
    return lambda array, axes, sizes, whole=False: right(array, axes, sizes)


@pytest.mark.parametrize(
    ("where", "name", "mutate"), [(law, "_compact", _not_compact), (arrays, "joined", _period_of_one_lost)]
)
def test_a_wrong_law_is_caught(where: Any, name: str, mutate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, name, mutate(getattr(where, name)))
    with pytest.raises(AssertionError, match="axis 2"):
        against_nan([("PixelShuffle", "conv", "conv"), ("PixelShuffle", "conv", "nothing")])
