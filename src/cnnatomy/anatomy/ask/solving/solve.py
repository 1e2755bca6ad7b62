"""The question, sorted out: a clean fit, a wanted output size, or a wanted receptive field."""

from __future__ import annotations

from cnnatomy.anatomy.ask.solving import depth, size
from cnnatomy.anatomy.ask.solving.solution import Solution
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window
from cnnatomy.geometry.padding_rules import Rule, resolve


def solve(
    *,
    input_size: int | None = None,
    output_size: int | None = None,
    field: int | None = None,
    layers: int | None = None,
    kernel_size: int | None = None,
    stride: int | None = None,
    padding: Rule | None = None,
    dilation: int | None = None,
    ceil_mode: bool = False,
) -> Solution:
    """Find the windows on one axis that give a clean fit, a wanted output size, or a wanted receptive field.

    What is not given is free: a stride or dilation of 1 and no padding, unless changing them is the answer.
    Then come changes of what was given, one at a time. Outputs are floor((n + lo + hi - f*) / s) + 1; the
    field of L equal layers is 1 + (f* - 1)(1 + s + .. + s^(L - 1)), which is 1 + L(f* - 1) at stride 1.

    Args:
        input_size: cells of the input, n.
        output_size: outputs wanted; left out, every cell is to be read with nothing left over.
        field: cells of the input that one output is to see at least; then these two are not asked for.
        layers: how many equal layers see it; left out, this is found.
        kernel_size: taps of the window.
        stride: cells from one window to the next.
        padding: cells on both sides, a pair, or a rule's name, which needs the input's size.
        dilation: cells from one tap to the next.
        ceil_mode: let a last window overhang the end.

    Raises:
        ArgumentError: too little is given to have an answer, or a number is out of range.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, relationships 6 and
        15; Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill
        2019, equation 2.

    Example:
        >>> print(solve(input_size=7, kernel_size=3, stride=3)[0])
        stride 2: floor((7 + 0 + 0 - 3)/2) + 1 = 3; every cell is read and nothing is left over.
        >>> solve(input_size=32, output_size=32, kernel_size=5)[0].change
        'padding 2'
        >>> solve(field=49, kernel_size=3, stride=1)[0].change
        '24 layers'
    """
    n, out, kernel = input_size, output_size, kernel_size
    window = {"kernel": kernel, "stride": stride, "dilation": dilation}
    wanted = {"input_size": n, "output_size": out, "field": field, "layers": layers, "kernel_size": kernel}
    for name, value in {**wanted, "stride": stride, "dilation": dilation}.items():
        if value is not None:
            whole_number(name, value, least=1)
    given = {name for name, value in {**window, "padding": padding}.items() if value is not None}
    if field is not None:
        if n is not None or out is not None or padding is not None or ceil_mode:
            raise ArgumentError(
                "a field has no borders", hint="field= with kernel_size=, stride=, dilation=, layers="
            )
        if kernel is None and layers is None:
            raise ArgumentError("no window is given", expected="kernel_size= or layers= beside field=")
        base = Window(kernel or 1, stride or 1, dilation=dilation or 1)
        return depth.see(field, layers, base, given)
    if layers is not None:
        raise ArgumentError("layers are counted for a field", hint="field=49, layers=24")
    if (n is None and out is None) or (kernel is None and (n is None or out is None)):
        expected = "two of input_size=, output_size= and kernel_size=, or field= and kernel_size="
        raise ArgumentError(
            "too little is given", expected=expected, got=", ".join(sorted(given)) or "nothing"
        )
    if isinstance(padding, str) and n is None:
        raise ArgumentError(f"padding {padding!r} depends on the input", hint="input_size=")
    cells = resolve(padding or 0, n or 1, kernel or 1, stride or 1, dilation or 1)
    base = Window(kernel or 1, stride or 1, cells, dilation or 1, ceil_mode)
    if n is None:
        assert out is not None
        return size.inputs(base, out)
    return size.tiling(base, n) if out is None else size.sized(base, n, out, given)
