"""The window of every axis of a recorded operator that slides one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from cnnatomy.anatomy.record.graph import Call, Value
from cnnatomy.geometry import Window, per_axis

POOLS = tuple(
    f"aten.{kind}_pool{rank}d{end}"
    for kind in ("max", "avg")
    for rank in "123"
    for end in ("", "_with_indices")
)
"""The poolings of torch that slide a window."""


def windows_of(call: Call, kernel: Sequence[int]) -> list[Window]:
    """The window of every spatial axis of a convolution or pooling."""
    rank = len(kernel)
    columns = []
    for name, default in (("stride", kernel), ("padding", [0] * rank), ("dilation", [1] * rank)):
        value = call.argument(name) if call.takes(name) else None
        columns.append(list(value) * (rank if len(value) == 1 else 1) if value else default)
    ceil_mode = call.takes("ceil_mode") and bool(call.argument("ceil_mode"))
    axes = zip(kernel, *columns, strict=True)
    return [_window(k, s, p, d, ceil_mode) for k, s, p, d in axes]


@lru_cache(maxsize=1024)
def _window(kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Window:
    return Window(kernel, stride, (padding, padding), dilation, ceil_mode)


def pool_windows(call: Call) -> list[Window]:
    """The window of every spatial axis of one of torch's poolings."""
    kernel, rank = list(call.argument("kernel_size")), int(call.name.split("pool")[1][0])
    return windows_of(call, per_axis(kernel * (rank if len(kernel) == 1 else 1), rank, "kernel_size"))


def slid(call: Call) -> tuple[Window, ...]:
    """The windows that an operator slides over its first input, one per spatial axis (.., y, x).

    A transposed convolution slides its window over its output. Empty for every other operator.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> graph = trace(torch.nn.Conv2d(1, 6, 5, padding=2), (torch.empty(1, 1, 32, 32),))
        >>> slid(graph.calls[0])[0]
        Window(kernel=5, stride=1, padding=(2, 2), dilation=1, ceil_mode=False)
    """
    if call.convolves:
        return tuple(windows_of(call, call.argument("weight").shape[2:]))
    if call.name in POOLS:
        return tuple(pool_windows(call))
    if call.name == "cnnatomy.pool":
        from cnnatomy.regions import Region, Sliding

        region = Region.parse(call.argument("region"))
        return region.windows(call.inputs[0].shape[2:]) if isinstance(region, Sliding) else ()
    return ()


def transposes(call: Call) -> bool:
    """Whether the operator is a transposed convolution."""
    return call.convolves and bool(call.argument("transposed"))


def spatial(value: Value, windows: Sequence[Window]) -> tuple[int, ...]:
    """The sizes of the axes that windows slide over, the last ones of a tensor."""
    return value.shape[len(value.shape) - len(windows) :]


@lru_cache(maxsize=4096)
def lost(window: Window, n: int) -> range:
    """The cells at the end of an axis that no window reaches, beyond the gaps that strides leave anywhere.

    Example:
        >>> lost(Window(3, stride=3), 8), lost(Window(1, stride=2), 8)
        (range(6, 8), range(0, 0))
    """
    unread = window.unread(n)
    if not unread or unread[-1].stop != n:
        return range(0)
    rest = range(min(unread[-1].start + _gap(window), n), n)
    return rest or range(0)


@lru_cache(maxsize=1024)
def _gap(window: Window) -> int:
    """The longest run of cells between two windows, or between two taps, that nothing reads."""
    bare = replace(window, padding=(0, 0), ceil_mode=False)
    long = 3 * window.extent + 3 * window.stride * window.dilation
    return max((len(run) for run in bare.unread(long) if run.stop < long), default=0)
