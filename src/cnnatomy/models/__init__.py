"""The classic networks, every network in notation, and any other; `catalog` and `named` need no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.model_catalog import ENTRIES, NAMES, Entry, find
from cnnatomy.models.named import consented, is_code, is_place, object_text
from cnnatomy.notation.vocabulary import LARGEST

if TYPE_CHECKING:
    from torch import nn

    from cnnatomy.models.classifier import Classifier
    from cnnatomy.models.foreign_classifier import Loss
    from cnnatomy.models.notated import Network
    from cnnatomy.notation.network_spec import Spec
    from cnnatomy.reducers import Reducer

__all__ = [
    "ENTRIES",
    "NAMES",
    "Entry",
    "adopt",
    "build",
    "consented",
    "find",
    "is_code",
    "network",
    "object_text",
]

Shape = Sequence[int]


def network(
    text: str | Spec,
    *,
    input_size: Shape | None = None,
    classes: int | Sequence[str] | None = None,
    pool: Reducer | str | None = None,
    weights: Any = None,
    device: Any = None,
) -> Network:
    """Build a network from its notation, or a classic by its name.

    Args:
        text: notation (docs/notation.md), what `cnnatomy.notation.parse` made of it, or one of `NAMES`.
        input_size: channels and sizes of one input; left out, the text's or the classic's, and otherwise it
            is open: the first forward pass builds the modules.
        classes: how many classes, or their names: the last layer gets as many; left out, as the text says.
        pool: a reducer, its name or its notation, in place of every pooling's that has windows or a grid,
            which stay; global poolings are left as they are.
        weights: where from, as `cnnatomy.models.weights` takes it; left out, fresh ones. What was loaded,
            what begins anew and what was left aside is `weights_report`, and is printed with the network. The
            last layer begins anew only where `classes` asks for other ones than the weights are for.
        device: where to make the parameters; "meta" makes none.

    Raises:
        NotationError: the text says no network, or one that does not fit its input.
        ArgumentError: there is no such classic or device; too few classes, or a name given twice; `pool`
            finds nothing to replace; or an argument is of another kind.
        WeightsError: the weights do not fit, or are for other classes and `classes` is left out.

    Example:
        >>> sum(p.numel() for p in network("vgg16", device="meta").parameters())
        138357544
        >>> net = network("conv3-8 maxpool FC-classes", input_size=(3, 8, 8), classes=5, pool="soft")
        >>> net.features[2]
        Pool2d(Soft(temperature=1.0, learned=0), Sliding(...))
    """
    from cnnatomy.models.notated import Network
    from cnnatomy.notation.network_spec import Spec
    from cnnatomy.notation.parse import parse

    entry = None if isinstance(text, Spec) else find(text)
    names = None if classes is None else _names(classes)
    shape = _shape(input_size) if input_size is not None else entry.input_shape if entry else None
    model = _lenet(names, device) if _is_lenet(entry, shape, pool) else None
    if model is None:
        spec = text if isinstance(text, Spec) else parse(entry.notation if text in NAMES else text)  # type: ignore[union-attr]
        model = Network(spec, names, pool)
        if sizes := shape or _announced(spec):
            model.materialize(sizes[0], sizes[1:], device)
    if weights is not None:
        from cnnatomy.models.weights import load_into  # type: ignore[import-not-found, unused-ignore]

        name = entry.name if entry else str(model.spec)
        model.weights_report = load_into(model, weights, name, fresh=names is not None)
    return model


def build(
    name: str,
    *,
    classes: int | Sequence[str],
    output: str | None = None,
    input_size: Shape | None = None,
    pool: str | None = None,
) -> Classifier:
    """Build a model of the catalog, of notation or of any other place, with fresh weights, for training.

    Kernels are laid out with channels last, the layout in which convolutions of pictures run fastest.

    Args:
        name: one of `NAMES`, notation, `timm:NAME`, `torchvision:NAME`, `net.py:Net` or `package:name`, each
            with arguments if need be, `net.py:Net(depth=3)`; the last two run that code.
        classes: how many classes, or their names (a model may draw its targets from them).
        output: the output layer; when left out, the one that suits the classes (`Entry.output_for`).
        input_size: channels, height and width; left out, the model's own.
        pool: as `network` takes it.

    Raises:
        ArgumentError: unknown model or output, fewer than two classes, or a name given twice; a library is
            missing; or a network of one's own cannot be built, or does not read such pictures.

    Example:
        >>> model = build("lenet5", classes=10)
        >>> sum(p.numel() for p in model.parameters())
        60000
        >>> sum(p.numel() for p in build("lenet5", classes=10, output="softmax").parameters())
        60850
    """
    entry, names = find(name), _names(classes)
    output = entry.output_for(classes, output)
    import torch

    shape = entry.input_shape if input_size is None else _shape(input_size)
    model: Classifier
    if is_place(name):
        from cnnatomy.models.foreign_networks import from_text

        model = from_text(name, names, shape, pool)
    elif _is_lenet(entry, shape, pool):
        model = _lenet(names, output=output)
    else:
        model = network(name, input_size=shape, classes=names, pool=pool)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return model


def adopt(
    module: nn.Module, *, classes: int | Sequence[str], input_size: Shape, loss: Loss | None = None
) -> Classifier:
    """Make a classifier of any module that maps float pictures (N, C, H, W) to scores (N, classes).

    The module itself is trained, not a copy; `Adopted` says what it may return, and what becomes of its
    names and its loss. One that is a `Classifier` already is given back as it is, with these classes.

    Args:
        module: the network.
        classes: how many classes, or their names.
        input_size: channels, height and width of the pictures.
        loss: scores (N, K), labels (N,) -> scalar; left out, the module's `loss`, or the cross-entropy.

    Raises:
        ArgumentError: the module does not score such pictures, or not so many classes.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
        >>> adopt(net, classes=["cat", "dog", "cow"], input_size=(3, 8, 8)).state_dict()["1.weight"].shape
        torch.Size([3, 192])
    """
    from cnnatomy.models.foreign_networks import adopted

    return adopted(module, _names(classes), _shape(input_size), loss)


def _is_lenet(entry: Entry | None, shape: Shape | None, pool: Reducer | str | None) -> bool:
    """Whether this is LeNet-5 as it was published, which is a class with the paper's names of its layers."""
    return entry is not None and entry.name == "lenet5" and pool is None and shape == entry.input_shape


def _lenet(names: Sequence[str] | None, device: Any = None, output: str = "rbf") -> Network:
    from cnnatomy.models.lenet import LeNet5

    model = LeNet5(names or "0123456789", output=output)
    return model if device is None else model.to(checks.device(device))


def _names(classes: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, int):
        names = tuple(map(str, range(checks.whole_number("classes", classes, least=2, most=LARGEST))))
    else:
        names = checks.words(classes, "classes: a whole number, or their names")
    if len(names) < 2 or len(set(names)) < len(names):
        raise ArgumentError("classes", expected="at least two, all different", got=repr(classes))
    return names


def _shape(sizes: Any) -> tuple[int, ...]:
    """Channels and one to three sizes, as the caller gave them."""
    whole = isinstance(sizes, Sequence) and all(type(n) is int and n >= 1 for n in sizes)
    if not whole or not 2 <= len(sizes) <= 4:
        expected = "(channels, height, width), each at least 1"
        raise ArgumentError("input_size", expected=expected, got=checks.shown(sizes))
    return tuple(sizes)


def _announced(spec: Spec) -> tuple[int, ...] | None:
    return spec.input.sizes if spec.input and len(spec.input.sizes) == 3 else None
