"""Where a network of any origin gives its scores, and whether there is one for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.parameter import is_lazy

from cnnatomy.errors import ArgumentError
from cnnatomy.models.named_object import reason
from cnnatomy.nn.modes import evaluating


class WrongOutputs(ArgumentError):
    """A network that has another number of outputs than there are classes."""


def scores_in(result: Any) -> Tensor:
    """The scores in what a network returns: a tensor; what is called `logits`; or the first member.

    Raises:
        ArgumentError: there is no tensor where the scores should be.

    Example:
        >>> scores_in({"loss": torch.zeros(()), "logits": torch.zeros(4, 2)}).shape
        torch.Size([4, 2])
        >>> scores_in((torch.zeros(4, 2), torch.zeros(4, 7))).shape
        torch.Size([4, 2])
    """
    if isinstance(result, Tensor | Proxy):
        return result  # type: ignore[return-value]  # a proxy stands for a tensor while torch.fx traces
    found = result
    if isinstance(found, Mapping):
        found = found["logits"] if "logits" in found else next(iter(found.values()), None)
    elif hasattr(found, "logits"):
        found = found.logits
    elif isinstance(found, tuple | list):
        found = found[0] if found else None
    if not isinstance(found, Tensor | Proxy):
        got = type(result).__name__
        expected = "a tensor, or a tuple, dictionary or object whose first or .logits is one"
        raise ArgumentError("the network returns no scores", expected=expected, got=got)
    return found  # type: ignore[return-value]


@torch.no_grad()
def tried(module: nn.Module, shape: tuple[int, ...], classes: int) -> Tensor:
    """The scores of two pictures, in evaluation mode; the network is left in the mode that it had.

    Lazy layers get their sizes by it.

    Raises:
        ArgumentError: the network cannot read such pictures, or gives no row of scores for each; as
            `WrongOutputs` if its scores are not one for each class.
    """
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    pictures = torch.zeros(2, *shape, device=like.device, dtype=like.dtype)
    try:
        with evaluating(module):
            scores = scores_in(module(pictures))
    except ArgumentError:
        raise
    except Exception as error:  # whatever an operator raises at sizes that it does not take
        what = f"{type(module).__name__} cannot read pictures of {'x'.join(map(str, shape))}"
        raise ArgumentError(what, got=reason(error)[:300], hint=_other_size(module, shape)) from error
    if tuple(scores.shape) != (2, classes):
        raise _wrong_outputs(module, classes, scores)
    return scores


def check_state(module: nn.Module) -> None:
    """Hold what a network remembers to tensors, which is what a run's files can hold.

    Raises:
        ArgumentError: there is something else in its state.
    """
    odd = [name for name, value in module.state_dict().items() if not isinstance(value, Tensor)]
    if odd:
        what = f"the state of {type(module).__name__} cannot be saved"
        raise ArgumentError(what, expected="tensors", got=f"something else in {odd[0]}")


def _other_size(module: nn.Module, shape: tuple[int, ...]) -> str:
    """Pictures that the network might read."""
    channels = next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), shape[0])
    if channels != shape[0] and not any(map(is_lazy, module.parameters())):
        return f"{channels} channels, as in {'x'.join(map(str, (channels, *shape[1:])))}"
    return "larger pictures, or those of the size that it was made for"


def _wrong_outputs(module: nn.Module, classes: int, scores: Tensor) -> ArgumentError:
    name, got = type(module).__name__, str(tuple(scores.shape))
    if scores.dim() != 2 or len(scores) != 2:
        expected = f"(2, {classes}) for two pictures"
        what = f"{name} gives no row of scores for each picture"
        return ArgumentError(what, expected=expected, got=got, hint="flatten(1) at its end")
    what, hint = f"{name} was made for other classes", f"num_classes={classes} where it is made"
    hint += f", or cnnatomy.train.finetune.replace_head(network, {classes})"
    return WrongOutputs(what, expected=f"{classes} outputs", got=f"{scores.shape[1]}", hint=hint)
