"""Remarks on single windows: what they do not reach, what they see nothing of, and where they drift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from math import prod

from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts, Site
from cnnatomy.anatomy.ask.advice.remark import Advice
from cnnatomy.anatomy.record.call_windows import lost
from cnnatomy.geometry import AxisTable, Mend
from cnnatomy.geometry.window_fit import listed

ZHANG = "Zhang 2019, 'Making Convolutional Networks Shift-Invariant Again'"
MUCH_PADDING = 0.4
"""The share of padding among a window's taps from which it is remarked on; 3x3 on 3x3 cells has 0.4."""


def _once(remarks: Iterable[Advice]) -> Iterator[Advice]:
    """The first of the remarks of each level, which names the layers of the others."""
    for _, group in groupby(sorted(remarks, key=lambda one: one.level), key=lambda one: one.level):
        first, *others = group
        yield replace(first, also=tuple(dict.fromkeys(one.layer for one in others)))


def untiled(facts: Facts) -> Iterator[Advice]:
    """Windows that leave cells at the end unread: a remainder in floor((n + lo + hi - f*) / s) + 1."""
    for site in facts.sites:
        if site.transposed:
            continue
        for name, window, n in site.axes:
            if not (cells := lost(window, n)):
                continue
            fixes = window.mend(n)
            gone = (
                f"the last {len(cells)} of {n} cells on {_axis(name)} are"
                if len(cells) > 1
                else (f"the last of {n} cells on {_axis(name)} is")
            )
            yield Advice(
                "warning",
                site.layer,
                f"its windows do not tile: {gone} never read",
                window.explain(n).split("; ")[0] + ", a remainder (Dumoulin and Visin 2016, relationship 6)",
                _mended(facts, site, fixes),
                {
                    "n": n,
                    "lost": len(cells),
                    "sizes": fixes.sizes,
                    "paddings": fixes.paddings,
                    "strides": fixes.strides,
                },
            )


def _mended(facts: Facts, site: Site, fixes: Mend) -> str:
    """What makes a window tile; and, where the network can take other inputs, which of them do."""
    said = f"give it {fixes}" if fixes else "another kernel or stride"
    inputs = facts.clean_sizes
    return said + (f"; on inputs of {listed(inputs)} no window loses a cell" if inputs else "")


def blind(facts: Facts) -> Iterator[Advice]:
    """Outputs whose whole window lies in the padding: constants, and -inf from a max pooling."""
    for site in facts.sites:
        if site.transposed:
            continue
        for name, window, n in site.axes:
            counts = window.table(n).count
            if empty := counts.count(0):
                yield Advice(
                    "error",
                    site.layer,
                    f"{empty} of {len(counts)} outputs on {_axis(name)} read nothing but padding",
                    "they hold a constant whatever the input is, in a max pooling -inf",
                    f"padding below the extent of the window, {window.extent}",
                    {"outputs": len(counts), "empty": empty, "padding": window.padding},
                )


def idle_taps(facts: Facts) -> Iterator[Advice]:
    """Taps that meet padding wherever the window stands: weights that never see data."""
    for site in facts.sites:
        if site.transposed or site.pools:
            continue
        pairs = list(zip(site.windows, site.sizes, strict=True))
        used = [_used(window.table(n)) for window, n in pairs]
        taps, busy = prod(site.call.argument("weight").shape[2:]), prod(used)
        if busy == taps:
            continue
        rows = site.call.argument("weight").numel // taps
        yield Advice(
            "warning",
            site.layer,
            f"{taps - busy} of {taps} taps only ever meet padding on a map of {_sizes(site.sizes)}",
            f"{(taps - busy) * rows:,} weights never see data (Chen et al. 2017, arXiv 1706.05587, 3.3)",
            f"a kernel of {_sizes(used)}, a larger input, or a smaller dilation",
            {"taps": taps, "idle": taps - busy, "weights": (taps - busy) * rows},
        )


def padded(facts: Facts) -> Iterator[Advice]:
    """Windows much of whose work is on padding; told of the worst."""
    found = []
    for site in facts.sites:
        share = None if site.transposed else facts.anatomy.fields.padding(site.index)
        if share is not None and share >= MUCH_PADDING and prod(site.sizes) > 1:
            found.append((share, site))
    if not found:
        return
    found.sort(key=lambda one: -one[0])
    share, site = found[0]
    yield Advice(
        "note",
        site.layer,
        f"{share:.0%} of its taps fall into padding on a map of {_sizes(site.sizes)}",
        "its outputs are made of constants as much as of the picture, more so towards the border",
        "a larger input, fewer strides before it, or a smaller window",
        {"share": share},
        tuple(dict.fromkeys(site.layer for _, site in found[1:])),
    )


def skipping(facts: Facts) -> Iterator[Advice]:
    """Strides beyond the window, so that cells between windows are dropped: aliasing; told of the first."""
    yield from _once(_skips(facts))


def _skips(facts: Facts) -> Iterator[Advice]:
    for site in facts.sites:
        pairs = list(zip(site.windows, site.sizes, strict=True))
        if site.transposed or not any(window.stride > window.extent < n for window, n in pairs):
            continue
        ignored = 1 - prod(1 - sum(map(len, window.unread(n))) / n for window, n in pairs)
        storage = site.call.inputs[0].storage
        elsewhere = any(i != site.index and i in facts.alive for i in facts.readers.get(storage, []))
        yield Advice(
            "note" if elsewhere else "warning",
            site.layer,
            f"windows of {_sizes([w.extent for w in site.windows])} at stride "
            f"{_sizes([w.stride for w in site.windows])} ignore {ignored:.0%} of their input",
            f"subsampling without a filter aliases ({ZHANG})"
            + ("; another branch reads the rest" if elsewhere else "; nothing else reads it"),
            "average pooling by the stride before it, as in ResNet-D (He et al. 2019, 'Bag of Tricks')",
            {"ignored": ignored, "stride": tuple(window.stride for window in site.windows)},
        )


def drifting(facts: Facts) -> Iterator[Advice]:
    """Even windows that keep a map's size: centred between cells, they move the map by half a cell."""
    for site in facts.sites:
        if site.transposed:
            continue
        for _, window, n, before in zip(*zip(*site.axes, strict=True), facts.unpadded(site), strict=False):
            if window.stride > 1 or window.extent % 2 or abs(window.output_size(n) - before) > 1:
                continue
            if not any(window.padding) and n == before:  # nothing is meant to keep the size
                continue
            yield Advice(
                "note",
                site.layer,
                f"an even window of {window.extent} at stride 1 moves the map by half a cell",
                f"its centre is {(window.extent - 1) / 2:g} cells from its first tap; padding is whole cells",
                f"kernel {window.kernel + 1}, or a second such layer padded on the other side",
                {"extent": window.extent, "drift": 0.5},
            )
            break


def checkered(facts: Facts) -> Iterator[Advice]:
    """Transposed windows whose kernel is no multiple of the stride: outputs overlap unevenly."""
    for site in facts.sites:
        uneven = [w for w in site.windows if site.transposed and w.stride > 1 and w.kernel % w.stride]
        if uneven:
            window = uneven[0]
            most = -(-window.kernel // window.stride)
            yield Advice(
                "warning",
                site.layer,
                f"a transposed kernel of {window.kernel} at stride {window.stride} overlaps unevenly",
                f"on each axis some outputs sum {most} taps and others {most - 1}: a checkerboard "
                "(Odena et al. 2016, 'Deconvolution and Checkerboard Artifacts')",
                f"kernel {most * window.stride}, or resizing and a convolution",
                {"kernel": window.kernel, "stride": window.stride},
            )


def stretched(facts: Facts) -> Iterator[Advice]:
    """Adaptive poolings with more outputs than cells: they copy cells."""
    for index, call in enumerate(facts.graph.calls):
        if "adaptive" not in call.name or "pool" not in call.name or "backward" in call.name:
            continue
        given, out = call.inputs[0].shape, call.outputs[0].shape
        rank = len(call.argument("output_size"))
        before, after = prod(given[-rank:]), prod(out[-rank:])
        if any(m > n for n, m in zip(given[-rank:], out[-rank:], strict=True)) and after > before:
            yield Advice(
                "warning",
                facts.layer(index),
                f"its adaptive pooling copies cells: {_sizes(out[-rank:])} of {_sizes(given[-rank:])}",
                f"what reads it gets {after} numbers a channel, of which {before} differ",
                "a larger input, or a smaller output size",
                {"before": before, "after": after},
            )


def pooled_away(facts: Facts) -> Iterator[Advice]:
    """Windows of more than one tap over a map of one cell: nothing is left to combine."""
    for site in facts.sites:
        if (
            site.pools
            and not site.transposed
            and prod(site.sizes) == 1
            and prod(w.kernel for w in site.windows) > 1
        ):
            yield Advice(
                "warning",
                site.layer,
                "pools a map of one cell",
                "there is a single value to combine: the map was pooled away before",
                "leave it out, or a larger input",
                {"kernel": tuple(window.kernel for window in site.windows)},
            )


def _used(table: AxisTable) -> int:
    """Taps that read a cell for at least one output."""
    used: set[int] = set()
    for skip, count in dict.fromkeys(zip(table.skip, table.count, strict=True)):
        used |= set(range(skip, skip + count))
    return len(used)


def _axis(name: str) -> str:
    return "each axis" if name == "axis" else f"its {name}"


def _sizes(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
