"""A network at work in evaluation mode, with what its layers return; it is left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.anatomy.layer_search import call_of, find
from cnnatomy.errors import ArgumentError
from cnnatomy.models.named_object import theirs
from cnnatomy.models.scoring import scores_in
from cnnatomy.nn.modes import evaluating

if TYPE_CHECKING:
    from cnnatomy.runs import Run

Network: TypeAlias = "nn.Module | Run"
"""A module, or a run, which stands for its trained network."""

BATCH = 64
"""Pictures that run at once where there are many."""


def module_of(net: Network) -> nn.Module:
    """The network itself."""
    from cnnatomy.runs import Run

    return net.model if isinstance(net, Run) else checks.module(net)


@contextmanager
def listening(net: nn.Module, paths: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keep what the layers of these paths return in the last run; what writes in place later gets a copy.

    A path is that of a module, or `path#2` for its second call.

    Raises:
        ArgumentError: there is no such layer.
    """
    kept: dict[str, Tensor] = {}
    calls: dict[str, int] = {}
    known = [path for path, _ in net.named_modules() if path]
    wanted: dict[str, list[str]] = {}
    for path in paths:
        wanted.setdefault(known[find(call_of(path)[0], known)], []).append(path)

    def keep(stem: str) -> Any:
        def listen(_module: nn.Module, _args: Any, output: Any) -> Any:
            calls[stem] = calls.get(stem, 0) + 1
            names = [one for one in wanted[stem] if call_of(one)[1] == calls[stem]]
            if not names or not isinstance(output, Tensor):
                return None
            kept.update(dict.fromkeys(names, output))
            return output.clone()

        return listen

    def begin(_module: nn.Module, _args: Any) -> None:
        calls.clear()
        kept.clear()

    handles = [net.get_submodule(stem).register_forward_hook(keep(stem)) for stem in wanted]
    try:
        with evaluating(net), net.register_forward_pre_hook(begin):
            yield kept
    finally:
        for handle in handles:
            handle.remove()


def batches(x: Tensor) -> Iterator[Tensor]:
    """Pictures, a few at a time, on whatever device they lie."""
    yield from torch.split(x, BATCH)


def returned(net: nn.Module, x: Tensor) -> Any:
    """What a network gives for pictures.

    Raises:
        ArgumentError: it does not take them.
    """
    with theirs(f"the network, given {x.dtype} of shape {tuple(x.shape)},"):
        return net(x)


def scores(net: nn.Module, x: Tensor) -> Tensor:
    """The scores (N, K) of pictures (N, C, H, W).

    Raises:
        ArgumentError: the network gives no row of scores for each picture.
    """
    made = scores_in(returned(net, x))
    if made.dim() != 2 or len(made) != len(x):
        got = f"shape {tuple(made.shape)}"
        raise ArgumentError(
            "the network gives no scores",
            expected="(N, K) for N pictures",
            got=got,
            hint="flatten(1) at its end",
        )
    return made


def class_of(net: nn.Module, target: int | str, count: int) -> int:
    """The number of a class.

    Raises:
        ArgumentError: there is no such class.
    """
    if isinstance(target, str):
        names = list(getattr(net, "classes", ()))
        if target not in names:
            expected = f"one of {', '.join(map(str, names))}" if names else "a whole number"
            raise ArgumentError("no such class", expected=expected, got=repr(target))
        return names.index(target)
    return checks.index("target", target, count)


def one_picture(picture: Tensor) -> Tensor:
    """One picture as a batch of one, free of what came before.

    Raises:
        ArgumentError: this is no picture of floating-point numbers.
    """
    if not isinstance(picture, Tensor) or picture.dim() != 3 or not picture.is_floating_point():
        got = (
            f"{picture.dtype} {tuple(picture.shape)}"
            if isinstance(picture, Tensor)
            else type(picture).__name__
        )
        hint = "picture[None] for one channel, model.preprocess for bytes"
        raise ArgumentError("picture", expected="floats (C, H, W)", got=got, hint=hint)
    return picture.detach()[None]
