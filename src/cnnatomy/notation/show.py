"""Records back to text: the canonical form, which reads as the same records."""

from __future__ import annotations

from collections.abc import Sequence

from cnnatomy.notation.network_spec import Block, Concatenation, Layer, Pooling, Residual, Value, chain
from cnnatomy.notation.reducer_names import spoken
from cnnatomy.notation.vocabulary import LENET, METHODS, MODES

_LETTERS = {"stride": "s", "kernel": "k", "dilation": "d", "groups": "g", "multiplier": "m", "extra": "o"}


def block(one: Block) -> str:
    """A repeated part: brackets, unless it is one layer without options."""
    only = one.body[0] if len(one.body) == 1 else None
    bare = isinstance(only, Residual | Concatenation)
    bare = bare or (isinstance(only, Layer) and not only.options and only.name is None)
    text = chain(one.body) if bare else f"[{chain(one.body)}]"
    return text + "?" * one.optional + ("" if one.times == 1 else f"*{one.times}")


def layer(one: Layer) -> str:
    """One layer with its options."""
    if one.word in LENET:
        return " ".join([_lenet(one), *(option(*pair) for pair in one.options if pair[0] != "size")])
    maps = "" if one.maps is None else f"-{one.maps}"
    tie = "" if one.name is None else f":{one.name}"
    options = dict(one.options)
    stride = ""
    if one.pooling is not None and one.word == "pool" and one.sizes and "stride" in options:
        stride = option("stride", options.pop("stride"))
    space = " " if one.word == "input" and one.sizes else ""
    head = _head(one) + space + _times(one.sizes) + stride + maps
    tail = [f"{_pooling(one.pooling)}"] if one.word in ("pyramid", "fractional") and one.pooling else []
    return " ".join(
        [
            head + (tie if not tail else ""),
            *tail,
            *([tie] if tail and tie else []),
            *(option(*pair) for pair in options.items()),
        ]
    )


def _head(one: Layer) -> str:
    args = _args(one.args) if one.args else ""
    if one.pooling is None or one.word in ("pyramid", "fractional"):
        return _case(one.word) + args
    if one.word == "pool":
        return _pooling(one.pooling) + ("" if one.pooling.args and one.sizes else "pool")
    return one.word + _pooling(one.pooling)


def _case(word: str) -> str:
    return word.upper() if word == "input" else word


def _pooling(one: Pooling) -> str:
    return spoken(one.reducer) + (_args(one.args) if one.args else "")


def _lenet(one: Layer) -> str:
    size = one.option("size")
    said = "" if one.maps is None else str(one.maps)
    said += f"@{_times(size)}" if isinstance(size, tuple) else ""
    said = said or _times(one.sizes)
    return f"{one.name}:{said}" if said else str(one.name)


def option(name: str, value: Value) -> str:
    """One option as text.

    Example:
        >>> option("padding", ((0, 1), 2)), option("bias", False), option("mode", "median")
        ('p0+1x2', 'nobias', 'mode=median')
    """
    if name in _LETTERS:
        return _LETTERS[name] + (_times(value) if isinstance(value, tuple) else str(value))
    if name == "padding":
        return value if isinstance(value, str) else f"p{_widths(value)}"
    if name == "bias":
        return "bias" if value else "nobias"
    if name == "table":
        return f"table({','.join(map(str, value))})" if isinstance(value, tuple) else f"table({value})"
    if name in ("ceil", "crop"):
        return name
    alone = {"mode": MODES, "method": METHODS}[name]
    return str(value) if value in alone else f"{name}={value}"


def _widths(value: Value) -> str:
    entries = value if isinstance(value, tuple) else (value,)
    return "x".join("+".join(map(str, e)) if isinstance(e, tuple) else str(e) for e in entries)


def _times(sizes: Value) -> str:
    return "x".join(map(str, sizes)) if isinstance(sizes, Sequence) else ""


def _args(args: Sequence[tuple[str, Value]]) -> str:
    said = []
    for name, value in args:
        if isinstance(value, tuple):
            said.append(",".join(_times(v) if isinstance(v, tuple) else str(v) for v in value))
        else:
            said.append(f"{name}={_scalar(value)}")
    return f"({', '.join(said)})"


def _scalar(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
