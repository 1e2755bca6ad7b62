"""Lifetimes on meta tensors against those of the same networks run on real tensors, and published figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from anatomy.random_chains import Chain
from anatomy.real_run import really
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

from cnnatomy.anatomy.memory import memory, peak, saved_by_call
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.nn import MaxPool2d


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y += x
        return F.relu(y, inplace=True)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 4 * k, 4, 3, padding=1) for k in range(5))

    def forward(self, x: Tensor) -> Tensor:
        parts = [x]
        for layer in self.layers:
            parts.append(F.relu(layer(torch.cat(parts, 1))))
        return torch.cat(parts, 1)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.mid = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up, self.end = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.down(x))
        low = F.relu(self.mid(F.max_pool2d(skip, 2)))
        return self.end(torch.cat([self.up(low), skip], 1))  # type: ignore[no-any-return]


class Squeeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.stem(x))
        x = x * torch.sigmoid(self.b(F.silu(self.a(x.mean((2, 3), keepdim=True)))))
        return F.hardswish(self.depthwise(x))


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 8, 3), Residual(8)

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.block, self.stem(x), use_reentrant=False)  # type: ignore[no-any-return]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Sequential(
        *(nn.Conv2d(3, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6 * 14 * 14, 9)),
        *(nn.Dropout(), nn.Linear(9, 4)),
    ),
    "residual": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), Residual(8), Residual(8), nn.MaxPool2d(2)),
    "residual, channels last": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), Residual(8)).to(
        memory_format=torch.channels_last  # type: ignore[call-overload]
    ),
    "dense": Dense,
    "u-net": UNet,
    "squeeze": Squeeze,
    "half": lambda: Squeeze().to(torch.bfloat16),
    "double": lambda: UNet().double(),
    "own pooling": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), MaxPool2d(2), nn.ReLU(), MaxPool2d(3, 1)),
    "norms": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.GELU(), nn.InstanceNorm2d(8)),
    "checkpointed": Checkpointed,
}


def picture(model: nn.Module, batch: int) -> Tensor:
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    return torch.randn(batch, 3, 32, 32, dtype=dtype)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", [2, 3])
def test_saved_bytes_and_peaks_are_those_of_a_real_run(name: str, batch: int) -> None:
    model = NETWORKS[name]()
    x = picture(model, batch)
    graph, taught = trace(model, [x]), trace(model, [x], training=True)
    assert (graph.reason, taught.reason, taught.notes) == (None, None, ())
    real, training = really(model, [x]), really(model, [x], backward=True, train=True)
    found = memory(graph, taught)
    assert found.inference == real.peak
    assert found.saved == training.saved
    assert found.training == training.peak
    tensors = (*model.parameters(), *model.buffers())
    assert found.weights == sum(t.numel() * t.itemsize for t in tensors)


@settings(max_examples=20)
@given(st.integers(0, 10**9))
def test_random_chains_hold_what_a_real_run_holds(seed: int) -> None:
    model = Chain(seed)
    try:
        real = really(model, [model.x])
        training = really(model, [model.x], backward=True, train=True)
    except (RuntimeError, ValueError):  # a window does not fit, or one value cannot be normalized
        assume(False)
        raise
    taught = trace(model, [model.x], training=True)
    assert peak(trace(model, [model.x])) == real.peak
    assert sum(saved_by_call(taught).values()) == training.saved
    assert peak(taught) == training.peak


@pytest.mark.parametrize("name", ["residual", "dense", "u-net", "squeeze"])
def test_the_inference_peak_is_the_profilers_where_operators_need_no_workspace(name: str) -> None:
    last = torch.channels_last  # the layout that oneDNN's convolutions need no other copy of
    model: nn.Module = NETWORKS[name]().eval().to(memory_format=last)  # type: ignore[call-overload]
    x = torch.randn(8, 3, 96, 96).to(memory_format=last)
    with torch.no_grad():
        model(x)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            model(x)
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    held = most = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    found = memory(trace(model, [x])).inference - x.numel() * x.itemsize  # it was there before
    assert most > 0
    assert abs(found - most) <= most / 10


def test_resnet50_saves_and_holds_what_was_measured() -> None:
    from anatomy.zoo import resnet50

    with torch.device("meta"):
        model = resnet50()
    mib = 2**20
    for batch, saved in ((1, 82.13), (2, 164.06)):
        x = torch.empty(batch, 3, 224, 224, device="meta")
        found = memory(trace(model, [x]), trace(model, [x], training=True))
        assert found.saved is not None
        assert found.inference is not None
        assert found.saved / mib == pytest.approx(saved, abs=0.01)
        assert 10 * batch < found.inference / mib < 11.5 * batch
    running = 53 * 8 + 2 * 26560 * 4  # batch norms: one counter each, and the statistics of 26,560 channels
    assert found.weights == 25_557_032 * 4 + running


def test_saved_bytes_by_layer_counted_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2))
    graph = trace(model, [torch.randn(1, 3, 4, 4)], training=True)
    found = {graph.visits[graph.calls[i].visit].path: size for i, size in saved_by_call(graph).items()}
    # the image; the map after the ReLU, once for it and the pooling; the winners (int64); what Linear reads
    assert found == {"0": 3 * 16 * 4, "1": 4 * 4 * 4, "2": 4 * 8, "4": 4 * 4}


def test_the_training_peak_counted_by_hand() -> None:
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Tanh())
    found = memory(trace(model, [torch.randn(1, 4)]), trace(model, [torch.randn(1, 4)], training=True))
    assert (found.weights, found.saved) == (128, 16 + 32)
    # x; output and its gradient; gradient after tanh; gradient of the weight
    assert found.training == 16 + 32 + 32 + 32 + 128
    assert found.inference == 16 + 32 + 32


def test_a_detached_part_a_tied_weight_and_an_unused_one() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.unused = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.a(x)
            return self.b(x)  # type: ignore[no-any-return]

    found = memory(trace(Odd(), [torch.randn(5, 8)]), trace(Odd(), [torch.randn(5, 8)], training=True))
    assert found.weights == (64 + 8 + 12) * 4
    assert found.saved == 5 * 8 * 4  # what b reads; nothing for a
