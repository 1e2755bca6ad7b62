"""What other counters print, foretold: the tools themselves are run on real tensors, on the CPU."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from anatomy import zoo
from anatomy.random_chains import Chain
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cnnatomy import nn as ours
from cnnatomy.anatomy import anatomy, explain_macs


class Given(nn.Module):
    """A function of an input and some modules."""

    def __init__(self, function: Callable[..., Any], *mods: nn.Module) -> None:
        super().__init__()
        self.function, self.mods = function, nn.ModuleList(mods)

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *self.mods)


def after(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers)


def after1(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv1d(3, 4, 3), *layers)


def after3(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 4, 3), *layers)


def itself(x: Tensor, layer: nn.Module) -> Any:
    return layer(x, x, x, need_weights=False)[0]


def weighed(x: Tensor, layer: nn.Module) -> Any:
    return layer(x, x, x)[0]


def first(x: Tensor, layer: nn.Module) -> Any:
    return layer(x)[0]


def heads(**how: Any) -> nn.Module:
    return nn.MultiheadAttention(8, 2, **({"batch_first": True} | how))


def encoder(**how: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 16, **({"batch_first": True} | how))


def grid(x: Tensor) -> Tensor:
    return F.grid_sample(x, flat(x, 4), align_corners=False)


def masked(x: Tensor, layer: nn.Module) -> Any:
    return layer(x, x, x, attn_mask=torch.zeros(7, 7, device=x.device))[0]


def both(x: Tensor, layer: nn.Module) -> Any:
    return layer(x, x[:, :3] * 2)


def time_first(x: Tensor, layer: Any) -> Tensor:
    return torch.conv_tbc(x.transpose(0, 1), layer.weight.permute(2, 1, 0), layer.bias)


def sdpa(x: Tensor, k: Tensor | None = None, v: Tensor | None = None, **how: Any) -> Tensor:
    k = x if k is None else k
    return F.scaled_dot_product_attention(x, k, k if v is None else v, **how)


def flat(x: Tensor, size: int) -> Tensor:
    return torch.zeros(1, *[size] * (x.dim() - 2), x.dim() - 2, device=x.device)


MAP, ROW, BLOCK, TOKENS, HEADS = (3, 8, 8), (3, 8), (3, 5, 5, 5), (7, 8), (2, 7, 4)
CASES: list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = [
    ("means", lambda: after(Given(lambda x: x.mean((2, 3))), nn.Linear(4, 5)), MAP),
    ("means, counted from the end", lambda: after(Given(lambda x: x.mean((-2, -1)))), MAP),
    ("squeeze-excite", lambda: after(Given(lambda x: x * x.mean((2, 3), True).sigmoid())), MAP),
    ("adaptive", lambda: after(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)), MAP),
    ("adaptive, uneven", lambda: after(nn.AdaptiveAvgPool2d((2, 3))), MAP),
    ("adaptive function", lambda: after(Given(lambda x: F.adaptive_avg_pool2d(x, 1))), MAP),
    ("adaptive rows", lambda: after1(nn.AdaptiveAvgPool1d(1)), ROW),
    ("adaptive rows, two", lambda: after1(nn.AdaptiveAvgPool1d(2)), ROW),
    ("adaptive block", lambda: after3(nn.AdaptiveAvgPool3d(1)), BLOCK),
    ("adaptive block, two", lambda: after3(nn.AdaptiveAvgPool3d(2)), BLOCK),
    ("area", lambda: after(Given(lambda x: F.interpolate(x, size=4, mode="area"))), MAP),
    ("mean pooling", lambda: after(nn.AvgPool2d(2), nn.MaxPool2d(2)), MAP),
    *(
        (
            f"batch norm {affine} {tracked}",
            lambda affine=affine, tracked=tracked: after(
                nn.BatchNorm2d(4, affine=affine, track_running_stats=tracked)
            ),
            MAP,
        )
        for affine in (True, False)
        for tracked in (True, False)
    ),
    *(
        (
            f"instance norm {affine} {tracked}",
            lambda affine=affine, tracked=tracked: after(
                nn.InstanceNorm2d(4, affine=affine, track_running_stats=tracked)
            ),
            MAP,
        )
        for affine in (True, False)
        for tracked in (True, False)
    ),
    ("batch norm of vectors", lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), (3,)),
    ("batch norm of blocks", lambda: after3(nn.BatchNorm3d(4)), BLOCK),
    ("layer norm", lambda: nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6)), ROW),
    ("layer norm, bare", lambda: nn.Sequential(nn.LayerNorm(8, elementwise_affine=False)), ROW),
    ("group norm", lambda: after(nn.GroupNorm(2, 4)), MAP),
    ("group norm, bare", lambda: after(nn.GroupNorm(2, 4, affine=False)), MAP),
    ("rms norm", lambda: nn.Sequential(nn.Linear(8, 6), nn.RMSNorm(6)), ROW),
    ("response norm", lambda: after(nn.LocalResponseNorm(3)), MAP),
    ("prelu", lambda: after(nn.PReLU(), nn.PReLU(4), nn.LeakyReLU()), MAP),
    ("softmax", lambda: nn.Sequential(nn.Linear(8, 6), nn.Softmax(-1)), ROW),
    ("softmax of channels", lambda: after(nn.Softmax(1), nn.Softmax2d(), nn.LogSoftmax(1)), MAP),
    *(
        (f"upsample {mode}", lambda mode=mode: after(nn.Upsample(scale_factor=2, mode=mode)), MAP)
        for mode in ("nearest", "bilinear", "bicubic", "nearest-exact")
    ),
    ("upsample a row", lambda: after1(nn.Upsample(scale_factor=2, mode="linear"), nn.Upsample(9)), ROW),
    ("upsample a block", lambda: after3(nn.Upsample(5, mode="trilinear"), nn.Upsample(6)), BLOCK),
    ("upsampling by name", lambda: after(nn.UpsamplingBilinear2d(9), nn.UpsamplingNearest2d(5)), MAP),
    ("interpolate", lambda: after(Given(lambda x: F.interpolate(x, size=5, mode="bilinear"))), MAP),
    (
        "interpolate, antialiased",
        lambda: after(Given(lambda x: F.interpolate(x, size=4, mode="bilinear", antialias=True))),
        MAP,
    ),
    ("grid", lambda: after(Given(grid)), MAP),
    ("grid of blocks", lambda: after3(Given(grid)), BLOCK),
    ("affine grid", lambda: Given(lambda x: F.affine_grid(x, [1, 2, 4, 5], align_corners=False)), (2, 3)),
    ("transposed", lambda: after(nn.ConvTranspose2d(4, 2, 3, 2, output_padding=1)), MAP),
    ("transposed in groups", lambda: after(nn.ConvTranspose2d(4, 4, 3, 2, groups=2, bias=False)), MAP),
    ("transposed row", lambda: nn.ConvTranspose1d(3, 2, 3, 2), ROW),
    ("depthwise", lambda: after(nn.Conv2d(4, 8, 3, groups=4, bias=False)), MAP),
    ("a block", lambda: nn.Conv3d(3, 4, 3), BLOCK),
    ("same", lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="same")), MAP),
    ("valid", lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="valid")), MAP),
    ("words and a mode", lambda: nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect"), MAP),
    ("circular", lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), MAP),
    ("no batch", lambda: Given(lambda x, c: c(x[0]), nn.Conv2d(3, 4, 3)), MAP),
    ("linear of a vector", lambda: nn.Linear(8, 5), (8,)),
    ("linear of tokens", lambda: nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 5, bias=False)), (3, 4, 8)),
    ("linear function", lambda: Given(lambda x, m: F.linear(x, m.weight, m.bias), nn.Linear(8, 5)), ROW),
    ("bilinear", lambda: Given(lambda x, m: m(x, x), nn.Bilinear(8, 8, 3)), (8,)),
    ("matmul", lambda: Given(lambda x: x @ x.transpose(-1, -2)), (3, 8, 5)),
    ("mv", lambda: Given(lambda x: torch.mv(x[0], x[0, 0])), (5, 5)),
    ("dot", lambda: Given(lambda x: torch.dot(x[0], x[0])), (5,)),
    ("einsum", lambda: Given(lambda x: torch.einsum("bcd,bce->bde", x, x)), (3, 5)),
    ("addmm", lambda: Given(lambda x: torch.addmm(x[0], x[0], x[0])), (5, 5)),
    ("baddbmm", lambda: Given(lambda x: torch.baddbmm(x, x, x)), (5, 5)),
    ("addbmm", lambda: Given(lambda x: torch.addbmm(x[0], x, x)), (5, 5)),
    ("conv_tbc", lambda: Given(time_first, nn.Conv1d(8, 4, 3)), TOKENS),
    ("attention", lambda: Given(sdpa), HEADS),
    ("attention, masked", lambda: Given(lambda x: sdpa(x, attn_mask=x.new_zeros(7, 7))), HEADS),
    ("attention, causal", lambda: Given(lambda x: sdpa(x, is_causal=True)), HEADS),
    ("attention, wide values", lambda: Given(lambda x: sdpa(x, x, torch.cat([x, x], -1))), HEADS),
    ("attention, few keys", lambda: Given(lambda x: sdpa(x, x[:, :, :3])), HEADS),
    ("attention, shared keys", lambda: Given(lambda x: sdpa(x, x[:, :1], enable_gqa=True)), HEADS),
    ("attention, across rows", lambda: Given(lambda x: sdpa(x.transpose(-1, -2))), HEADS),
    ("attention, three axes", lambda: Given(sdpa), (7, 4)),
    ("attention, five axes", lambda: Given(sdpa), (2, 2, 7, 4)),
    ("heads", lambda: Given(itself, heads()), TOKENS),
    ("heads, weights wanted", lambda: Given(weighed, heads()), TOKENS),
    ("heads, batch second", lambda: Given(itself, heads(batch_first=False)), TOKENS),
    ("heads, odd", lambda: Given(itself, nn.MultiheadAttention(9, 3, batch_first=True)), (7, 9)),
    ("heads, no bias", lambda: Given(itself, heads(bias=False)), TOKENS),
    ("heads, bias of keys", lambda: Given(weighed, heads(add_bias_kv=True)), TOKENS),
    ("heads, zeros", lambda: Given(weighed, heads(add_zero_attn=True)), TOKENS),
    ("heads, other keys", lambda: Given(lambda x, m: m(x, *[x[:, :3]] * 2)[0], heads()), TOKENS),
    (
        "heads, narrow keys",
        lambda: Given(lambda x, m: m(x, *[x[..., :6]] * 2)[0], heads(kdim=6, vdim=6)),
        TOKENS,
    ),
    ("heads, masked", lambda: Given(masked, heads()), TOKENS),
    ("heads, frozen", lambda: Given(itself, heads()).requires_grad_(False), TOKENS),
    *(
        (
            f"encoder layer {said}",
            lambda how=how: encoder(**how),
            TOKENS,
        )
        for said, how in (
            ("as it comes", {}),
            ("gelu, norm first", {"activation": "gelu", "norm_first": True}),
            ("silu", {"activation": F.silu}),
            ("no bias", {"bias": False}),
            ("batch second", {"batch_first": False}),
        )
    ),
    ("encoder", lambda: nn.TransformerEncoder(encoder(), 2, enable_nested_tensor=False), TOKENS),
    ("transformer", lambda: Given(both, nn.Transformer(8, 2, 1, 1, 16, batch_first=True)), TOKENS),
    *(
        (f"{kind.__name__} {how}", lambda kind=kind, how=how: Given(first, kind(8, 5, **how)), TOKENS)
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for how in ({"batch_first": True}, {"num_layers": 2, "bidirectional": True}, {"bias": False})
    ),
    ("LSTM, projected", lambda: Given(first, nn.LSTM(8, 5, 2, proj_size=3, bidirectional=True)), TOKENS),
    *((f"{kind.__name__}", lambda kind=kind: Given(first, kind(8, 5)), (8,)) for kind in (nn.LSTMCell,)),
    *((f"{kind.__name__}", lambda kind=kind: kind(8, 5), (8,)) for kind in (nn.RNNCell, nn.GRUCell)),
    ("weight norm", lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), MAP),
    ("spectral norm", lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), MAP),
    ("used twice", lambda: nn.Sequential(*[nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)] * 2), MAP),
    ("derived", lambda: type("Conv2d", (nn.Conv2d,), {})(3, 4, 3), MAP),
    ("im2col", lambda: Given(lambda x, c: c.weight.flatten(1) @ F.unfold(x, 3), nn.Conv2d(3, 4, 3)), MAP),
    ("drop-ins", lambda: nn.Sequential(ours.Conv2d(3, 4, 3), ours.MaxPool2d(2), ours.AvgPool2d(2)), MAP),
    ("drop-in adaptive", lambda: after(ours.AdaptiveAvgPool2d(1)), MAP),
    ("drop-in transposed", lambda: ours.ConvTranspose2d(3, 4, 3, 2), MAP),
    ("drop-in upsample", lambda: after(ours.Upsample(5, mode="bilinear"), ours.Upsample(6)), MAP),
    ("connections", lambda: ours.ConnectedConv2d([[1, 0, 1], [0, 1, 1], [1, 1, 0]], 3), MAP),
]
NETWORKS = (
    "resnet50",
    "efficientnet_b0",
    "convnext_tiny",
    "swin_t",
    "vit_b_16",
    "unet_transposed",
    "googlenet",
)


def printed(model: nn.Module, shape: tuple[int, ...], tool: str) -> int:
    """What a tool prints for one input of this shape."""
    model, x = copy.deepcopy(model), torch.randn(1, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they warn of Python, of torch and of what they do not know
        if tool == "FlopCounterMode":
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                model(x)
            return int(counter.get_total_flops()) // 2
        module = pytest.importorskip("fvcore.nn" if tool == "fvcore" else tool)
        if tool == "torchinfo":
            return int(module.summary(model, input_data=x, verbose=0).total_mult_adds)
        if tool == "fvcore":
            found = module.FlopCountAnalysis(model, x)
            return int(found.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())
        if tool == "thop":
            return int(module.profile(model, (x,), verbose=False)[0])
        how = {"backend": "aten", "as_strings": False, "print_per_layer_stat": False, "ost": io.StringIO()}
        return int(module.get_model_complexity_info(model, shape, **how)[0])


def foretold(model: nn.Module, shape: tuple[int, ...], tool: str) -> None:
    told = {peer.tool: peer for peer in explain_macs(anatomy(model, shape))}[tool]
    assert told.macs == printed(model, shape, tool), told.why


TOOLS = [
    "FlopCounterMode",
    *(pytest.param(tool, marks=pytest.mark.slow) for tool in ("torchinfo", "fvcore", "thop", "ptflops")),
]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(("made", "shape"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_tools_number_is_the_one_it_prints(
    made: Callable[[], nn.Module], shape: tuple[int, ...], tool: str
) -> None:
    foretold(made().eval(), shape, tool)


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_tools_number_of_a_published_network_is_the_one_it_prints(name: str, tool: str) -> None:
    foretold(getattr(zoo, name)().eval(), (3, 224, 224), tool)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tools_number_of_random_chains_is_the_one_it_prints(tool: str) -> None:
    tried = 0
    for seed in range(0, 120, 3):  # float32
        model = Chain(seed).eval()
        shape = tuple(model.x.shape[1:])
        try:
            model(model.x[:1].contiguous())
        except (RuntimeError, ValueError):  # a window does not fit
            continue
        foretold(model, shape, tool)
        tried += 1
    assert tried > 30
