"""Any module that scores pictures, as a classifier that can be trained, evaluated and exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.named_object import reason
from cnnatomy.models.scoring import check_state, scores_in, tried
from cnnatomy.models.standardised import Standardised
from cnnatomy.models.weights.preprocessing import Preprocessing

Loss = Callable[[Tensor, Tensor], Tensor]
"""Scores (N, K) and labels (N,), or shares of the classes (N, K) -> scalar."""


class Adopted(Standardised):
    """A network of any origin: float pictures (N, C, H, W) -> scores (N, K), as `scores_in` finds them.

    Names are the network's own: `state_dict` can be loaded into the bare module with `strict=True`, and
    parameters and modules are called as there. Within another module it is an ordinary one whose child is
    called `module`. Attributes that it lacks are the module's.

    Pictures are standardised by the training pictures' mean and deviation, or by the `preprocessing` that
    weights were trained with. The loss is the cross-entropy unless one is given or the module has a `loss`.

    Args:
        module: the network; it is not copied, and stays in the mode it is in. Lazy layers get their sizes.
        classes: names of the classes.
        input_shape: channels, height and width of the pictures.
        loss: what to train for in place of the cross-entropy.

    Raises:
        ArgumentError: it cannot score such pictures, or its loss is none; `WrongOutputs` if its scores are
            not one for each class.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
        >>> model = Adopted(net, ["cat", "dog"], (3, 32, 32))
        >>> pictures = torch.zeros(5, 3, 32, 32, dtype=torch.uint8)
        >>> model(model.preprocess(pictures)).shape, list(model.state_dict())[-1]
        (torch.Size([5, 2]), '3.bias')
    """

    module: nn.Module
    preprocessing: Preprocessing | None = None
    """What weights that were loaded expect; it keeps `adapt` from learning another."""

    def __init__(
        self,
        module: nn.Module,
        classes: Sequence[str],
        input_shape: Sequence[int],
        loss: Loss | None = None,
    ) -> None:
        super().__init__()
        self.module = checks.module(module)
        self.training = module.training
        self.input_shape = tuple(input_shape)  # type: ignore[assignment]
        self.classes, self.output = checks.words(classes, "classes"), "softmax"
        self.notes: tuple[str, ...] = ()
        scores = tried(self.module, self.input_shape, len(self.classes))
        check_state(self.module)
        # No buffers, and set past `__setattr__`: the module may have some of these names.
        mean = torch.zeros(self.input_shape[0], device=scores.device, dtype=scores.dtype)
        self.__dict__.update(mean=mean, std=torch.ones_like(mean))
        own = getattr(module, "loss", None)
        # In a tuple, a loss with weights of its own is no child, and no part of the state.
        self._loss = (loss if loss is not None else own if callable(own) else None,)
        self._check_loss(scores)

    def _scores(self, x: Tensor) -> Tensor:
        return scores_in(self.module(x))

    @property
    def num_classes(self) -> int:
        """How many classes there are; setting it gives them numbers for names, after a new head."""
        return len(self.classes)

    @num_classes.setter
    def num_classes(self, count: int) -> None:
        if count != len(self.classes):
            self.classes = tuple(map(str, range(count)))
        if hasattr(self.module, "num_classes"):
            self.module.num_classes = count  # type: ignore[assignment]

    @property
    def has_own_loss(self) -> bool:
        """Whether the loss is not the cross-entropy: then smoothing and class weights mean nothing."""
        return self._loss != (None,)

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The loss that was given, the module's own, or the cross-entropy: (N, K), (N,) -> scalar."""
        (own,) = self._loss
        return super().loss(scores, labels) if own is None else own(scores, labels)

    def adapt(self, images: Tensor) -> None:
        """Take mean and deviation of each channel from uint8 pictures, unless weights have brought theirs."""
        if self.preprocessing is None:
            super().adapt(images)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """This, then the modules of the network under their own names; within another module as usual."""
        if prefix:
            yield from super().named_modules(memo, prefix, remove_duplicate)
            return
        memo = set() if memo is None else memo
        if remove_duplicate and self in memo:
            return
        memo.add(self)
        yield "", self
        yield from self.module.named_modules(memo, "", remove_duplicate)

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """The children of the network."""
        return self.module.named_children()

    def get_submodule(self, target: str) -> nn.Module:
        """A module of the network; itself for ''."""
        return self.module.get_submodule(target)

    def state_dict(self, *args: Any, prefix: str = "", **options: Any) -> Any:
        """The network's own state; within another module as usual."""
        if args or prefix:
            return super().state_dict(*args, prefix=prefix, **options)
        return self.module.state_dict(**options)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Load the network's own state."""
        return self.module.load_state_dict(state_dict, *args, **options)

    def train(self, mode: bool = True) -> Adopted:
        """Put the network in training mode, as it does that itself."""
        self.training = mode
        self.module.train(mode)
        return self

    def apply(self, fn: Callable[[nn.Module], Any]) -> Adopted:
        """Call a function on every module, this one last."""
        self.module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Adopted:
        self.module._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.mean, self.std = fn(self.mean), fn(self.std)
        for own in self._loss:
            if isinstance(own, nn.Module):
                own._apply(fn)  # type: ignore[no-untyped-call]
        return self

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Give the network another child."""
        self.module.add_module(name, module)

    def __setattr__(self, name: str, value: Any) -> None:
        # What is set under a name that reads as the network's own must be set there.
        module = self.__dict__.get("_modules", {}).get("module")
        if module is None or name == "module" or not isinstance(value, Tensor | nn.Module):
            super().__setattr__(name, value)
        elif isinstance(value, nn.Module | nn.Parameter):
            setattr(module, name, value)
        else:
            homes = (module._parameters, module._buffers)
            home = next((each for each in homes if name in each and name not in self.__dict__), None)
            if home is None:
                super().__setattr__(name, value)
            else:
                home[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            module = self.__dict__.get("_modules", {}).get("module")
            if module is None or name.startswith("__"):
                raise
            return getattr(module, name)

    def _check_loss(self, scores: Tensor) -> None:
        """Hold a loss of one's own to what training asks of it."""
        if not self.has_own_loss:
            return
        expected = "loss(scores (N, K), labels (N,)) -> scalar"
        labels = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
        try:
            got = self.loss(scores, labels)
        except Exception as error:  # whatever it may raise
            raise ArgumentError("the network's loss", expected=expected, got=reason(error)) from error
        if not isinstance(got, Tensor) or got.dim():
            shape = f"shape {tuple(got.shape)}" if isinstance(got, Tensor) else type(got).__name__
            raise ArgumentError("the network's loss", expected=expected, got=shape)
