"""Why a network that was built for one size cannot run on pictures of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.notation.build import Codes, build
from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.network_spec import Spec

Shape = tuple[int, ...]


def misfit(x: Tensor, model: nn.Module, made: Shape, spec: Spec, codes: Codes) -> ArgumentError | None:
    """What stands against pictures; None if it is not their kind or their size.

    Args:
        x: a batch of them, or a single one.
        model: the network that could not run on it.
        made: channels and sizes of the pictures that it was built for.
        spec: its explicit form.
        codes: as `cnnatomy.notation.build.build` takes them.
    """
    said, given = unlike(x, model, made), _picture(x, made)
    if said is None or of_other_kind(x, model) or len(given) != len(made) or given[0] != made[0]:
        return said
    what = _built_for(made)
    try:
        parts = build(spec, given[0], given[1:], codes=codes, device="meta", search=False)
    except NotationError as error:
        return error.also(what)
    other = nn.ModuleDict({"features": parts.features, "classifier": parts.classifier})
    return _of_other_size(what, model, other, made, given)


def unlike(x: Tensor, model: nn.Module, made: Shape) -> ArgumentError | None:
    """What to say of pictures of another kind or shape than a network's; None if they are as they should be.

    Raises:
        ArgumentError: they are no tensor.
    """
    said, given = of_other_kind(x, model), _picture(x, made)
    if x.is_meta:  # whoever measures a network without data names the layer that an error came out of
        return None
    if said is not None or given == made:
        return said
    sizes = ", ".join(map(str, made))
    expected = f"a picture ({sizes})" if x.dim() == len(made) else f"a batch (N, {sizes})"
    return ArgumentError(_built_for(made), expected=expected, got=f"shape {tuple(x.shape)}")


def of_other_kind(x: Tensor, model: nn.Module) -> ArgumentError | None:
    """What to say of pictures that were not preprocessed, or not brought to the network's dtype.

    Raises:
        ArgumentError: they are no tensor.
    """
    checks.of_kind("pictures", x, Tensor, "a batch (N, C, H, W)")
    got = str(x.dtype).removeprefix("torch.")
    if not (x.is_floating_point() or x.is_complex()):
        hint = "network.preprocess(x), or x.float() / 255"
        return ArgumentError("forward takes floats", got=got, hint=hint)
    own = next((parameter.dtype for parameter in model.parameters()), x.dtype)
    if own == x.dtype or torch.is_autocast_enabled(x.device.type):
        return None
    expected, hint = str(own).removeprefix("torch."), f"x.to({own}), or network.to({x.dtype})"
    return ArgumentError("forward takes the dtype of the weights", expected=expected, got=got, hint=hint)


def _picture(x: Tensor, made: Shape) -> Shape:
    """Channels and sizes of each of a batch, or of a single picture."""
    return tuple(x.shape if x.dim() == len(made) else x.shape[1:])


def _of_other_size(
    what: str, model: nn.Module, other: nn.Module, made: Shape, given: Shape
) -> ArgumentError | None:
    """Name the first layer that would have other parameters, had it been built for what is given."""
    sizes = {path: parameter.shape for path, parameter in other.named_parameters()}
    for path, parameter in model.named_parameters():
        wanted = sizes.get(path, parameter.shape)
        if wanted[1:] == parameter.shape[1:]:  # a new head may have more outputs, or fewer
            continue
        layer = path.rpartition(".")[0]
        hint = f"pictures of {_shape(made[1:])}, or a network built for {_shape(given)}"
        if not isinstance(model.get_submodule(layer), nn.Linear):
            return ArgumentError(what, got=f"{_shape(given)}, for which {layer} would be another", hint=hint)
        expected = f"{parameter.shape[1]:,} values where maps are flattened ({layer})"
        hint += ", or globalavg or adaptiveavg before FC"
        return ArgumentError(what, expected=expected, got=f"{wanted[1]:,} of {_shape(given)}", hint=hint)
    return None


def _built_for(made: Shape) -> str:
    return f"the network was built for {_shape(made)}"


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
