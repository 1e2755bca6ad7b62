"""Why a network that was built for one size cannot run on pictures of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.notation.build import build
from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.spec import Spec

Codes = Callable[[int], Sequence[Sequence[int]]]
Shape = tuple[int, ...]


def misfit(x: Tensor, model: nn.Module, made: Shape, spec: Spec, codes: Codes) -> ArgumentError | None:
    """What stands against a batch; None if it is not its kind or its size.

    Args:
        x: the batch.
        model: the network that could not run on it.
        made: channels and sizes of the pictures that it was built for.
        spec: its explicit form.
        codes: as `cnnatomy.notation.build.build` takes them.
    """
    said, given = unlike(x, made), tuple(x.shape[1:])
    if said is None or not _is_float(x) or len(given) != len(made) or given[0] != made[0]:
        return said
    what = _built_for(made)
    try:
        parts = build(spec, given[0], given[1:], codes=codes, device="meta", search=False)
    except NotationError as error:
        return error.also(what)
    other = nn.ModuleDict({"features": parts.features, "classifier": parts.classifier})
    return _of_other_size(what, model, other, made, given)


def unlike(x: Tensor, made: Shape) -> ArgumentError | None:
    """What to say of a batch of no floats, or of pictures of another shape; None if it is as it should be.

    Raises:
        ArgumentError: it is no tensor.
    """
    checks.of_kind("pictures", x, Tensor, "a batch (N, C, H, W)")
    if x.is_meta:  # whoever measures a network without data names the layer that an error came out of
        return None
    if not _is_float(x):
        return no_floats(x)
    if tuple(x.shape[1:]) == made:
        return None
    expected = f"a batch (N, {', '.join(map(str, made))})"
    return ArgumentError(_built_for(made), expected=expected, got=f"shape {tuple(x.shape)}")


def no_floats(x: Tensor) -> ArgumentError:
    """What is said of pictures that were not preprocessed."""
    got = str(x.dtype).removeprefix("torch.")
    return ArgumentError("forward takes floats", got=got, hint="network.preprocess(x), or x.float() / 255")


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


def _is_float(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def _built_for(made: Shape) -> str:
    return f"the network was built for {_shape(made)}"


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
