"""`cnnatomy window`: the arithmetic of one layer, or of several equal ones, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated

import tyro

from cnnatomy import checks
from cnnatomy.cli.argument_parsing import Command, Common, Switch
from cnnatomy.cli.input_shapes import Map, read_map
from cnnatomy.cli.size_arguments import size_of
from cnnatomy.cli.solve import read_padding
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window, per_axis, resolve

COMMAND = Command(
    "window",
    {
        "examples": {
            "cnnatomy window 3x32x32 --kernel 5 --padding 2 --maps 10": "a convolution",
            "cnnatomy window 64x32x32 --kernel 3 --padding 1 --maps 64 --repeat 3": "three of them",
            "cnnatomy window 64x224x224 --kernel 2 --stride 2": "a pooling",
            "cnnatomy window 7x7 --kernel 3 --stride 3": "one that does not fit",
        },
    },
)


MOST_MAPS, MOST_LAYERS = 1_000_000, 100


@dataclass(frozen=True)
class Arguments(Common):
    """What `window` is told."""

    input: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SHAPE")] = tyro.MISSING
    """Shape of the input: 7 is a signal, 7x7 a picture, 3x7x7 a picture with 3 channels, 1x7x7x7 a volume."""
    kernel: Annotated[str, tyro.conf.arg(metavar="SIZE")] = "3"
    """Taps of the window, on all axes or joined by x."""
    stride: Annotated[str, tyro.conf.arg(metavar="SIZE")] = "1"
    """Cells from one window to the next."""
    padding: Annotated[str, tyro.conf.arg(metavar="PADDING")] = "0"
    """Cells on both sides, before,after, or valid, same, keep or full."""
    dilation: Annotated[str, tyro.conf.arg(metavar="SIZE")] = "1"
    """Cells from one tap to the next."""
    maps: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Maps that a convolution makes. Left out: a window on each map by itself, as in pooling."""
    groups: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Groups of maps that are convolved by themselves."""
    no_bias: Switch = False
    """The convolution has no bias."""
    repeat: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """How many such layers follow each other."""
    axes: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Spatial axes of the input, where it is to be read otherwise: 1 reads 3x7 as 7 cells with 3 channels."""


@dataclass(frozen=True)
class Layer:
    """One layer with its numbers."""

    windows: tuple[Window, ...]
    given: tuple[int, ...]
    """(C, *spatial) of its input."""
    maps: int
    convolves: bool
    groups: int
    bias: bool

    @property
    def made(self) -> tuple[int, ...]:
        """(maps, *spatial) of its output."""
        return self.maps, *(w.output_size(n) for w, n in zip(self.windows, self.given[1:], strict=True))

    @property
    def taps(self) -> str:
        """What one output reads: maps and taps."""
        kernel = "·".join(str(window.kernel) for window in self.windows)
        return f"{kernel}·{self.given[0] // self.groups}" if self.convolves else kernel

    @property
    def read(self) -> int:
        """Numbers that one output reads."""
        return prod(window.kernel for window in self.windows) * (
            self.given[0] // self.groups if self.convolves else 1
        )

    @property
    def parameters(self) -> int:
        """Weights and biases: one bias a map."""
        return self.maps * (self.read + self.bias) if self.convolves else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates: one a tap and output."""
        return prod(self.made) * self.read if self.convolves else 0


def main(words: Sequence[str]) -> None:
    """Print the arithmetic of windows."""
    arguments: Arguments = COMMAND.parse(Arguments, words)
    layers = list(chain(arguments))
    from cnnatomy.anatomy.ask.solving.depth import field

    for number, layer in enumerate(layers, 1):
        if len(layers) > 1:
            print(f"{'' if number == 1 else chr(10)}layer {number}")
        for name, value in _facts(layer):
            print(f"{name:<12} {value}")
        if len(layers) > 1:
            sees = [field(one.windows[axis] for one in layers[:number]) for axis in range(len(layer.windows))]
            print(f"{'field':<12} {_sizes(sees)} cells of the input")
    for line in _compared(layers):
        print(f"\n{line}")


def chain(arguments: Arguments) -> Iterator[Layer]:
    """The layers, each on what the one before makes.

    Raises:
        ArgumentError: a number is out of range, or no window fits.
    """
    given = read_map(arguments.input, arguments.axes).shape
    rank = len(given) - 1
    for name, most in (("maps", MOST_MAPS), ("groups", MOST_MAPS), ("repeat", MOST_LAYERS)):
        if (value := getattr(arguments, name)) is not None:
            checks.count(f"--{name}", value, most=most)
    if arguments.maps is None and (arguments.groups > 1 or arguments.no_bias):
        raise ArgumentError("only a convolution has groups and a bias", hint="--maps")
    kernel, stride, dilation = (_per_axis(arguments, name, rank) for name in ("kernel", "stride", "dilation"))
    rule = read_padding(arguments.padding)
    for _ in range(arguments.repeat):
        maps = arguments.maps or given[0]
        if arguments.maps is not None and (given[0] % arguments.groups or maps % arguments.groups):
            raise ArgumentError(
                "--groups", expected=f"a divisor of {given[0]} and {maps}", got=str(arguments.groups)
            )
        axes = zip(given[1:], kernel, stride, dilation, strict=True)
        windows = tuple(Window(f, s, resolve(rule, n, f, s, d), d) for n, f, s, d in axes)
        layer = Layer(
            windows, given, maps, arguments.maps is not None, arguments.groups, not arguments.no_bias
        )
        given = layer.made
        yield layer


def _facts(layer: Layer) -> Iterator[tuple[str, str]]:
    yield "input", f"{_sizes(layer.given)}, {Map(layer.given).words}"
    yield "output", _sizes(layer.made)
    pairs = list(zip(layer.windows, layer.given[1:], strict=True))
    for number, (window, n) in enumerate(dict.fromkeys(pairs)):
        yield ("each axis" if len(set(pairs)) == 1 else f"axis {number + 1}"), window.explain(n)
        yield "", _reading(window)
        for option in () if window.tiles(n) else _ways(window, n):
            yield "", f"try {option}"
    yield "reads", f"{layer.read:,} numbers for each output: {layer.taps}"
    if layer.convolves:
        weights = f"{layer.maps}·({layer.taps}{' + 1' if layer.bias else ''})"
        yield "parameters", f"{layer.parameters:,} = {weights}"
        yield "MACs", f"{layer.macs:,} = {'·'.join(map(str, layer.made))} outputs × {layer.taps} taps"
    else:
        yield "parameters", "0"


def _reading(window: Window) -> str:
    """The cells of an output by its number, those in the padding counted."""
    first, last = (
        f"{place:+d}".replace("+0", "") for place in (window.reach().start, window.reach().interval(0)[-1])
    )
    step = "" if window.dilation == 1 else f", every {window.dilation}"
    jump = "o" if window.stride == 1 else f"{window.stride}o"
    return f"output o reads cells {jump}{first} .. {jump}{last}{step}"


def _ways(window: Window, n: int) -> Iterator[str]:
    from cnnatomy.anatomy.ask.solving import solve
    from cnnatomy.anatomy.ask.solving.solution import count

    found = solve(
        input_size=n,
        kernel_size=window.kernel,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
    )
    for option in found:
        yield f"{option.change}, {count(option.size, 'output')}"


def _compared(layers: Sequence[Layer]) -> Iterator[str]:
    """Several layers beside the one that sees as much: weights for C maps in and C maps out."""
    from cnnatomy.anatomy.ask.solving.depth import field

    windows = [layer.windows[-1] for layer in layers]
    if len(layers) == 1 or any(len(set(layer.windows)) > 1 or layer.groups > 1 for layer in layers):
        return
    rank, sees = len(layers[0].windows), field(windows)
    deep = sum(window.kernel**rank for window in windows)
    yield (
        f"on C maps, {len(layers)} layers of kernel {windows[0].kernel} have {deep} C² weights; "
        f"one of kernel {sees} sees as many cells with {sees**rank} C²"
    )


def _per_axis(arguments: Arguments, name: str, rank: int) -> tuple[int, ...]:
    return per_axis(size_of(f"--{name}", getattr(arguments, name)), rank, f"--{name}")


def _sizes(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
