"""Make a network faster where that is seen to be so, and its results are seen to stay."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import cnnatomy.nn as ours
from cnnatomy import checks
from cnnatomy.adapt.batchnorm_folding import fold, foldable
from cnnatomy.adapt.calls import called, function_of, rewritten
from cnnatomy.adapt.race import difference, race
from cnnatomy.adapt.window_modules import ADAPTIVE, CONVOLUTIONS, SLIDING, replacement
from cnnatomy.errors import ArgumentError

MARGIN = 0.95
"""A change is kept if it takes no more than this part of the time."""
_POOLS = {kind: getattr(ours, kind.__name__) for kind in (*SLIDING, *ADAPTIVE)}
_FUNCTIONS = {function_of(kind.__name__): "kept" for kind in (*_POOLS, nn.Upsample)}


@dataclass(frozen=True)
class Change:
    """One thing that was tried.

    Args:
        path: where; empty for the whole network.
        what: what was done there.
        before_ms, after_ms: median times, side by side.
        error: the largest difference of the results, relative to the largest of them.
        kept: whether it was kept.
    """

    path: str
    what: str
    before_ms: float
    after_ms: float
    error: float
    kept: bool

    def __str__(self) -> str:
        times = f"{self.before_ms:.3f} -> {self.after_ms:.3f} ms, error {self.error:.1e}"
        return f"{'kept' if self.kept else 'left'}  {self.path or 'network'}: {self.what}  {times}"


@dataclass(frozen=True)
class Acceleration:
    """A network for evaluation, and what was tried to make it fast.

    Args:
        model: the faster network, in evaluation mode; a copy as it was if nothing was gained.
        changes: what was tried, kept or not.
        before_ms, after_ms: median times of the whole network, side by side.
        error: the largest difference of its results, relative to the largest of them.
        notes: what could not be tried.
    """

    model: nn.Module
    changes: tuple[Change, ...]
    before_ms: float
    after_ms: float
    error: float
    notes: tuple[str, ...] = ()

    @property
    def speedup(self) -> float:
        """How many times faster the network is; 1 if it is as it was."""
        return self.before_ms / self.after_ms if any(change.kept for change in self.changes) else 1.0

    def __str__(self) -> str:
        gain = f"{self.speedup:.2f} times as fast, error {self.error:.1e}"
        whole = f"{self.before_ms:.2f} -> {self.after_ms:.2f} ms, {gain}"
        return "\n".join([*map(str, self.changes), *(f"note  {note}" for note in self.notes), whole])


def accelerate(model: nn.Module, *inputs: Any, tolerance: float = 1e-5, seconds: float = 2.0) -> Acceleration:
    """Make a network's evaluation faster on this device, by measured steps that leave its results alone.

    Tried in turn: batch normalisations folded into convolutions; the whole network with channels last; and
    for each pooling, upsampling and padded convolution, on the inputs that it really gets, this package's
    instead of torch's. A step stays if the results agree and it takes at most 95% of the time. At the end the
    network races the old one; if it does not win, everything is undone.

    Args:
        model: any network; it is left as it is.
        inputs: what its forward takes, of the shapes that matter.
        tolerance: the largest difference of a result, relative to the largest of all.
        seconds: about how long each comparison of the whole network takes.

    Raises:
        ArgumentError: the tolerance or the time is no number above 0; or the model is no network, or does not
            run on these inputs.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.MaxPool2d(2)).eval()
        >>> done = accelerate(net, torch.rand(1, 3, 32, 32), seconds=0.05)
        >>> torch.allclose(done.model(x := torch.rand(2, 3, 32, 32)), net(x), atol=1e-5)
        True
    """
    for name, value in (("tolerance", tolerance), ("seconds", seconds)):
        checks.real(f"{name} of accelerate", value, "a number > 0", lambda number: number > 0)
    with torch.no_grad():
        return _Search(checks.module(model), inputs, tolerance, seconds).run()


class _Search:
    """The steps, one after the other, each on what the last one left."""

    def __init__(self, model: nn.Module, inputs: Sequence[Any], tolerance: float, seconds: float) -> None:
        self.tolerance, self.seconds, self.inputs = tolerance, seconds, tuple(inputs)
        self.before = copy.deepcopy(model).eval()
        self.model = copy.deepcopy(self.before)
        weights = [*model.parameters(), *(t for t in inputs if isinstance(t, Tensor))]
        self.device = weights[0].device if weights else torch.device("cpu")
        try:
            self.truth = self._run(self.before)
        except Exception as error:  # whatever a network raises at inputs that it does not take
            what, expected = "the network does not run on these inputs", "what its forward takes"
            got = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise ArgumentError(what, expected=expected, got=got) from error
        self.changes: list[Change] = []
        self.notes: list[str] = []

    def run(self) -> Acceleration:
        self._expose()
        pairs = foldable(self.model, self.inputs)
        if pairs:
            self._whole(f"{len(pairs)} batch normalisations folded", lambda net: fold(net, pairs))
        if any(isinstance(module, nn.Conv2d) for module in self.model.modules()):
            self._whole("channels last", lambda net: net.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        self._modules()
        return self._judged()

    def _run(self, model: nn.Module) -> Any:
        return model(*(t.clone() if isinstance(t, Tensor) else t for t in self.inputs))  # some work in place

    def _expose(self) -> None:
        """Let calls of functions be those of modules, where torch.fx can follow."""
        for path, module in list(self.model.named_modules()):
            if type(module).__module__.startswith(("torch.nn.", "cnnatomy.")) or not called(
                module, _FUNCTIONS
            ):
                continue
            if rewritten(module, _FUNCTIONS, lambda old, _: old) is None:
                self.notes.append(f"{path or type(module).__name__}: torch.fx cannot follow its calls")
        if difference(self._run(self.model), self.truth) > 0:
            self.model = copy.deepcopy(self.before)
            self.notes.append("calls of functions were left: their trace gave other results")

    def _whole(self, what: str, change: Callable[[nn.Module], object]) -> None:
        """Try a change on a copy of the network."""
        new = copy.deepcopy(self.model)
        change(new)
        error = difference(self._run(new), self.truth)
        old_ms, new_ms = self._race(self.model, new) if error <= self.tolerance else (float("nan"),) * 2
        kept = error <= self.tolerance and new_ms <= MARGIN * old_ms
        self.changes.append(Change("", what, old_ms, new_ms, error, kept))
        self.model = new if kept else self.model

    def _race(self, old: nn.Module, new: nn.Module) -> tuple[float, float]:
        old_ms, new_ms = race(
            [lambda: self._run(old), lambda: self._run(new)], self.device, seconds=self.seconds
        )
        return old_ms, new_ms

    def _modules(self) -> None:
        """Try every module that has a twin here on what it gets."""
        twins = {path: twin for path, m in self.model.named_modules() if (twin := _twin(m)) is not None}
        for path, given in _received(self.model, twins, self.inputs).items():
            old, new = self.model.get_submodule(path), twins[path].eval()

            def run(module: nn.Module, given: tuple[Any, ...] = given) -> Any:
                return module(*given)

            error = difference(run(new), run(old))
            seconds = min(self.seconds, 0.3)
            old_ms, new_ms = race([lambda: run(old), lambda: run(new)], self.device, seconds=seconds)  # noqa: B023
            kept = error <= self.tolerance and new_ms <= MARGIN * old_ms
            what = f"{type(old).__name__} by this package"
            self.changes.append(Change(path, what, old_ms, new_ms, error, kept))
            if kept and path:
                self.model.set_submodule(path, new)
            elif kept:
                self.model = new

    def _judged(self) -> Acceleration:
        """The new network, if it wins against the old one; else a copy of that."""
        error = difference(self._run(self.model), self.truth)
        before, after = self._race(self.before, self.model)
        kept = error <= self.tolerance and after <= before and any(change.kept for change in self.changes)
        if kept:
            return Acceleration(self.model, tuple(self.changes), before, after, error, tuple(self.notes))
        undone = [Change(c.path, c.what, c.before_ms, c.after_ms, c.error, False) for c in self.changes]
        return Acceleration(self.before, tuple(undone), before, before, 0.0, tuple(self.notes))


def _twin(module: nn.Module) -> nn.Module | None:
    """This package's module of the same arguments and results."""
    if module._forward_hooks or module._forward_pre_hooks:
        return None
    if type(module) in CONVOLUTIONS and module.padding_mode != "zeros":
        return replacement(module, str(module.padding_mode))
    kind = _POOLS.get(type(module), ours.Upsample if type(module) is nn.Upsample else None)
    if kind is None:
        return None
    twin = copy.copy(module)
    twin.__class__ = kind  # each is torch's module with another forward
    if kind is ours.Upsample:
        old: Any = module
        sizes = (old.size, old.scale_factor, old.mode, old.align_corners, old.recompute_scale_factor)
        return ours.Upsample(*sizes)
    return twin


def _received(model: nn.Module, paths: Any, inputs: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
    """What each of some modules is given in a pass, the first time."""
    found: dict[str, tuple[Any, ...]] = {}

    def listen(path: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            if path not in found:
                found[path] = tuple(t.clone() if isinstance(t, Tensor) else t for t in given)

        return hook

    handles = [model.get_submodule(path).register_forward_pre_hook(listen(path)) for path in paths]
    try:
        model(*(t.clone() if isinstance(t, Tensor) else t for t in inputs))
    finally:
        for handle in handles:
            handle.remove()
    return found
