"""ptflops and FlopCounterMode: operators as torch hands them to the CPU, some of which are whole layers."""

from __future__ import annotations

from collections.abc import Iterable

from cnnatomy.anatomy.ask.counters.seen import Part, Seen

_PTFLOPS = ("convolution", "_convolution", "mm", "addmm", "bmm", "matmul")
_TORCHS = ("convolution", "_convolution", "mm", "addmm", "bmm", "baddbmm", "_scaled_mm")


def ptflops(seen: Seen) -> list[Part]:
    """By `ptflops.aten_ops`; gradients are recorded."""
    unseen = _unseen(seen, _PTFLOPS, gradients=True)
    counted = _others(seen, unseen)
    return [
        (seen.biases(counted), "biases, 1 per output"),
        (seen.connections(counted), "connections that a table leaves out"),
        *seen.missing(*unseen),
    ]


def flop_counter(seen: Seen) -> list[Part]:
    """By `torch.utils.flop_counter.flop_registry`; no gradients are recorded."""
    unseen = _unseen(seen, _TORCHS, gradients=False)
    return [
        (seen.connections(_others(seen, unseen)), "connections that a table leaves out"),
        *seen.missing(*unseen),
    ]


def _unseen(seen: Seen, known: tuple[str, ...], *, gradients: bool) -> list[tuple[set[int], str]]:
    lstms = [i for i in seen.torchs("LSTM") if "weight_hr_l0" not in seen.owned(seen.layers[i])]
    return [
        (
            seen.within(seen.quick(gradients=gradients)),
            "attention layers run as one operator in evaluation mode, which it does not know",
        ),
        (seen.within(lstms), "an LSTM runs as one operator, which it does not know"),
        (seen.fused(), "fused attention is not known to it"),
        (seen.but(*known), "products that it has no formula for"),
    ]


def _others(seen: Seen, unseen: Iterable[tuple[set[int], str]]) -> set[int]:
    return set(range(len(seen.calls))).difference(*(calls for calls, _ in unseen))
