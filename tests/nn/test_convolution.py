"""The convolution modules against torch's own, and their tables of connections."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from support import close, last, random
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.nn import convolution_modules as ours
from cnnatomy.ops.convolution import convolve
from cnnatomy.ops.transposed import convolve_transposed

NAMES = [f"{name}{rank}d" for name in ("Conv", "ConvTranspose") for rank in (1, 2, 3)]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1, "groups": 2, "bias": False},
    {"dilation": 2, "padding": 2, "dtype": torch.float64},
]
CONV_OPTIONS: list[dict[str, Any]] = [
    {"padding": "same", "dilation": 2},
    {"padding": "valid"},
    *({"padding": 1, "padding_mode": mode, "stride": 2} for mode in ("reflect", "replicate", "circular")),
]
TABLE = [[1, 0, 1], [0, 1, 1]]


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Our module and torch's, from the same seed."""
    made = []
    for home in (ours, nn):
        torch.manual_seed(7)
        made.append(getattr(home, name)(*args, **options))
    return made[0], made[1]


def cases() -> list[Any]:
    return [
        *((name, options) for name in NAMES for options in OPTIONS),
        *((name, options) for name in NAMES[:3] for options in CONV_OPTIONS),
    ]


@pytest.mark.parametrize(("name", "options"), cases(), ids=str)
def test_equals_torchs_module_to_the_bit(name: str, options: dict[str, Any]) -> None:
    mine, theirs = pair(name, 4, 6, 3, **options)
    assert isinstance(mine, type(theirs))
    assert [*mine.state_dict()] == [*theirs.state_dict()]
    assert repr(mine) == repr(theirs)
    dtype = options.get("dtype", torch.float32)
    shape = (4, *(7, 6, 8)[: int(name[-2])])
    for x in (random((2, *shape), dtype), random(shape, dtype), random((0, *shape), dtype)):
        inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
        results = [layer(leaf) for layer, leaf in zip((mine, theirs), inputs, strict=True)]
        assert torch.equal(*results)
        cotangent = torch.randn_like(results[0])
        grads = [
            torch.autograd.grad(y, [leaf, *layer.parameters()], cotangent)
            for layer, leaf, y in zip((mine, theirs), inputs, results, strict=True)
        ]
        if "padding_mode" in options:  # whose borders add up in an order of their own
            for both in zip(*grads, strict=True):
                close(*both)
        else:
            assert all(torch.equal(*both) for both in zip(*grads, strict=True))
    mine.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(mine.state_dict())


@pytest.mark.parametrize("name", NAMES[3:])
def test_transposed_reaches_every_size_that_torch_does(name: str) -> None:
    mine, theirs = pair(name, 4, 6, 3, stride=2, padding=1)
    rank = int(name[-2])
    x = random((2, 4, *(4, 5, 3)[:rank]))
    for sizes in ([7, 9, 5], [8, 10, 6], [8, 9, 6]):
        assert torch.equal(mine(x, output_size=sizes[:rank]), theirs(x, output_size=sizes[:rank]))
    with pytest.raises(ArgumentError, match=r"expected 7 \.\. 8, got 9"):
        mine(x, output_size=[9, 9, 5][:rank])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("rule", ["same", "keep", "full", "causal", "pairs"])
def test_every_rule_at_any_stride_is_that_of_the_function(rank: int, rule: Any) -> None:
    padding = ((0, 2), (1, 0), (2, 1))[:rank] if rule == "pairs" else rule
    x = random((2, 3, *(6, 7, 5)[:rank]))
    for name, function in (("Conv", convolve), ("ConvTranspose", convolve_transposed)):
        layer = getattr(ours, f"{name}{rank}d")(3, 4, 3, stride=2, padding=padding)
        assert torch.equal(layer(x), function(x, layer.weight, layer.bias, stride=2, padding=padding))
        assert ("padding=same" in repr(layer)) == (rule == "same")
        again = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
        assert torch.equal(again(x), layer(x))


def test_a_module_compiles_exports_and_is_traced() -> None:
    x = random((2, 2, 7, 8))
    layers: list[Any] = [
        ours.Conv2d(2, 3, 3, stride=2, padding="same", padding_mode="symmetric"),
        ours.Conv2d(2, 3, 3, padding=1, connections=TABLE),
        ours.ConvTranspose2d(2, 3, 3, stride=2, padding="same"),
    ]
    for layer in layers:
        truth = layer(x)
        close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), truth)  # type: ignore[no-untyped-call]
        batch = torch.export.Dim("batch", min=2, max=9)
        exported = torch.export.export(layer, (x,), dynamic_shapes=({0: batch},)).module()
        close(exported(torch.cat([x, x]))[2:], truth)
        close(layer.to(memory_format=torch.channels_last)(last(x)), truth)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
    plain: Any = torch.fx.symbolic_trace(
        nn.Sequential(ours.Conv2d(2, 3, 3, padding=1), ours.ConvTranspose2d(3, 2, 2))
    )
    assert plain(x).shape == (2, 2, 8, 9)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("kind", [torch.tensor, torch.BoolTensor, list])
def test_connections_equal_a_masked_dense_layer(name: str, rank: int, kind: Any) -> None:
    """Results, gradients of the input, and gradients of the rows that exist."""
    torch.manual_seed(1)
    layer = getattr(ours, f"{name}{rank}d")(2, 3, 2, stride=2, connections=kind(TABLE), dtype=torch.float64)
    transposed = name != "Conv"
    mask = torch.tensor(TABLE, dtype=torch.float64)
    mask = (mask if transposed else mask.t()).reshape(-1, *(1,) * rank)
    assert {key: tuple(value.shape) for key, value in layer.state_dict().items()} == {
        "weight": (4, *(2,) * rank),
        "bias": (3,),
    }
    assert sum(p.numel() for p in layer.parameters()) == 4 * 2**rank + 3
    assert layer.table.tolist() == TABLE
    x = random((2, 2, *(5, 4, 6)[:rank]), torch.float64).requires_grad_()
    free = random((6, *(2,) * rank), torch.float64)
    free[mask.flatten() == 1] = layer.weight.detach()
    free.requires_grad_()
    dense = (free * mask).view(*((2, 3) if transposed else (3, 2)), *(2,) * rank)
    function = convolve_transposed if transposed else convolve
    y, truth = layer(x), function(x, dense, layer.bias, stride=2)
    close(y, truth)
    cotangent = torch.randn_like(y)
    gx, gw = torch.autograd.grad(y, [x, layer.weight], cotangent)
    ex, ew = torch.autograd.grad(truth, [x, free], cotangent)
    close(gx, ex)
    close(gw, ew[mask.flatten() == 1])


def test_connections_move_copy_and_load() -> None:
    layer = ours.Conv2d(2, 3, 3, connections=TABLE)
    other = ours.Conv2d(2, 3, 3, connections=TABLE)
    other.load_state_dict(pickle.loads(pickle.dumps(layer)).state_dict())
    x = random((1, 2, 5, 5))
    assert torch.equal(other(x), layer(x))
    assert "connections=4" in repr(layer)
    assert ours.Conv2d(2, 3, 3, connections=TABLE, device="meta").to("meta")(x.to("meta")).shape == (
        1,
        3,
        3,
        3,
    )
    assert layer.double()(x.double()).dtype == torch.float64


def test_a_layer_without_connections_has_the_table_of_its_groups() -> None:
    assert ours.Conv1d(4, 2, 1, groups=2).table.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    with pytest.raises(ArgumentError, match="no table of connections"):
        ours.Conv1d(4, 2, 1).uniform_(torch.ones(2))


def test_a_parametrized_and_a_weight_normed_layer_work() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(ours.Conv2d(2, 3, 3, padding="same", stride=2))
    dense = layer.weight.detach()
    x = random((1, 2, 5, 6))
    close(layer(x), convolve(x, dense, layer.bias, 2, "same"))


def test_fusing_with_a_batch_norm_keeps_the_rule() -> None:
    layer, norm = ours.Conv2d(2, 3, 3, padding="same", stride=2), nn.BatchNorm2d(3)
    layer.eval(), norm.eval()
    x: Tensor = random((1, 2, 5, 6))
    close(torch.nn.utils.fuse_conv_bn_eval(layer, norm)(x), norm(layer(x)))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((3, 4, 3), {"groups": 2}, "groups do not divide in_channels: expected a multiple of 2, got 3"),
        ((4, 3, 3), {"groups": 2}, "groups do not divide out_channels"),
        ((4, 3, 3), {"groups": 0}, "groups is out of range"),
        ((4.0, 3, 3), {}, "in_channels is not a whole number"),
        ((4, 3, 0), {}, "kernel_size is out of range"),
        ((4, 3, (3, 3, 3)), {}, "kernel_size has the wrong length"),
        ((4, 3, 3), {"stride": -1}, "stride is out of range"),
        ((4, 3, 3), {"padding": "sme"}, "padding 'sme' is unknown"),
        ((4, 3, 3), {"padding_mode": "mirror"}, "padding_mode 'mirror' is unknown"),
        ((4, 3, 3), {"padding_mode": "circula"}, "try 'circular'"),
        ((2, 3, 3), {"connections": [[1, 0], [1]]}, "cannot be read"),
        ((2, 3, 3), {"connections": [1, 0]}, "shape"),
        ((2, 3, 3), {"connections": [[1, 2, 0], [1, 1, 1]]}, "other values"),
        (
            (2, 3, 3),
            {"connections": [[1, 0, 1], [1, 0, 1]]},
            "output map 1 of the connection table reads nothing",
        ),
        ((3, 2, 3), {"connections": TABLE}, "expected 3 rows, 2 columns and groups=1, got 2 rows, 3 columns"),
        ((2, 4, 3), {"connections": torch.ones(2, 4), "groups": 2}, "does not fit the layer"),
    ],
)
def test_arguments_that_mean_nothing(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ours.Conv2d(*args, **options)


def test_a_transposed_layer_has_no_padding_mode() -> None:
    with pytest.raises(ArgumentError, match="takes its padding away"):
        ours.ConvTranspose2d(2, 2, 3, padding_mode="reflect")
    with pytest.raises(ArgumentError, match="output_padding is out of range"):
        ours.ConvTranspose2d(2, 2, 3, output_padding=-1)
