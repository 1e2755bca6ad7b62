"""From the explicit form and an input to modules.

Every layer is made once on the meta device and run there on a tensor of one picture, so that sizes are what
the operators say, and real modules are only made of a network that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.window_fit import listed
from cnnatomy.notation import layer_builders, modules, spatial_builders
from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.expand import layers as all_layers
from cnnatomy.notation.layer_builders import Factory, Place
from cnnatomy.notation.modules import Known
from cnnatomy.notation.nearest_input import nearest
from cnnatomy.notation.network_spec import Chain, Concatenation, Layer, Node, Residual, Spec
from cnnatomy.notation.vocabulary import KINDS
from cnnatomy.regions import Region

MOST_PARAMETERS = 20_000_000_000
LONGEST_SIDE = 2**16
MOST_VALUES = 2**33
"""Of one picture at one place in the network."""

Maker = Callable[[Layer, Place], Factory]
Codes = Callable[[int], Sequence[Sequence[int]]]

MAKERS: dict[str, Maker] = {
    **dict.fromkeys(KINDS["activation"], layer_builders.activation),
    **dict.fromkeys(KINDS["norm"], layer_builders.norm),
    "conv": layer_builders.conv,
    "C": layer_builders.lenet_conv,
    "dwconv": layer_builders.depthwise,
    "sepconv": layer_builders.separable,
    "pwconv": layer_builders.pointwise,
    "convT": layer_builders.transposed,
    "subpixel": layer_builders.subpixel,
    "resizeconv": layer_builders.resize_conv,
    "FC": layer_builders.dense,
    "F": layer_builders.dense,
    "RBF": layer_builders.rbf,
    "LRN": layer_builders.response_norm,
    "dropout": layer_builders.dropout,
    "mapdropout": layer_builders.dropout,
    "pool": spatial_builders.pool,
    "global": spatial_builders.whole,
    "adaptive": spatial_builders.adaptive,
    "pyramid": spatial_builders.pyramid,
    "fractional": spatial_builders.fractional,
    "subsample": spatial_builders.subsample,
    "S": spatial_builders.subsample,
    "convpool": spatial_builders.conv_pool,
    "meanunpool": spatial_builders.mean_unpool,
    "up": spatial_builders.up,
    "resize": spatial_builders.up,
    "nails": spatial_builders.nails,
    "shuffle": spatial_builders.shuffle,
    "unshuffle": spatial_builders.shuffle,
    "pad": spatial_builders.pad,
    "crop": spatial_builders.pad,
    "filter": spatial_builders.fixed,
    "blurpool": spatial_builders.blurred,
    "maxblurpool": spatial_builders.blurred,
    "flatten": lambda layer, place: nn.Flatten,
    "soft-max": lambda layer, place: lambda: nn.Softmax(1),
    "logsoftmax": lambda layer, place: lambda: nn.LogSoftmax(1),
}
"""What makes the module of each word but the joins, which need the ties."""


class _Sized(NamedTuple):
    """What makes a layer, what comes out of it for one picture, and its parameters."""

    make: Factory
    output: tuple[int, ...]
    parameters: int


class Parts(NamedTuple):
    """A network in two parts, and the shape of its output for one picture."""

    features: modules.Chain
    classifier: modules.Chain
    output: tuple[int, ...]


def build(
    spec: Spec,
    channels: int,
    size: Sequence[int],
    *,
    codes: Codes | None = None,
    device: torch.device | str | None = None,
    search: bool = True,
) -> Parts:
    """Make the modules of a network in its explicit form (`cnnatomy.notation.expand.explicit`).

    Up to the first layer that works on vectors (or the dropout before it) modules are `features`, the rest
    is the `classifier`. A soft-max at the end is left to the loss.

    Args:
        spec: the explicit form.
        channels: of the input.
        size: the input's spatial sizes, one to three of them (.., y, x).
        codes: the codes of so many classes, for an RBF output.
        device: where to make the parameters.
        search: for the nearest size that fits, where this one does not.

    Raises:
        NotationError: a layer does not fit what comes in; it says the sizes so far, what would mend it, and
            the nearest size of the input that fits, if there is one.

    Example:
        >>> from cnnatomy.notation import parse
        >>> from cnnatomy.notation.expand import explicit
        >>> parts = build(explicit(parse("conv3-8 maxpool FC-10")), 3, (8, 8))
        >>> parts.output, parts.classifier
        ((10,), Chain(
          (0): Linear(in_features=128, out_features=10, bias=True)
        ))
    """
    builder = _Builder(spec, codes, channels)
    try:
        make_features, make_classifier, output = builder.whole(size)
    except NotationError as error:
        other = _other_size(builder, size, str(error)) if search else ""
        raise error.also(builder.so_far, other) from None
    with nullcontext() if device is None else torch.device(device):
        return Parts(make_features(), make_classifier(), output)


def _other_size(builder: _Builder, size: Sequence[int], said: str) -> str:
    """What else could come in, in words; nothing where no size near this one fits."""

    def refusal(size: tuple[int, ...]) -> tuple[str, int]:
        trial = _Builder(builder.spec, builder.codes, builder.channels)
        try:
            trial.whole(size)
        except NotationError as error:
            return str(error), len(trial.trail)
        return "", len(trial.trail)

    vector = builder.trail and "x" not in builder.trail[-1]  # which it stays, whatever comes in
    found = None if vector else nearest(refusal, tuple(size), (said, len(builder.trail)))
    if found is None:
        return ""
    which, sizes = found
    return f"{which} input that fits is {'x'.join(map(str, (builder.channels, *sizes)))}"


def _split(body: Chain) -> int:
    """Where the classifier begins."""
    for place, node in enumerate(body):
        if isinstance(node, Layer) and (node.word in KINDS["dense"] or node.word == "flatten"):
            while place and isinstance(before := body[place - 1], Layer) and before.word == "dropout":
                place -= 1
            return place
    return len(body)


def _is_dense(body: Chain, place: int) -> bool:
    return any(isinstance(node, Layer) and node.word in KINDS["dense"] for node in body[place:])


@dataclass
class _Builder:
    """A walk along the network with a meta tensor."""

    spec: Spec
    codes: Codes | None
    channels: int
    known: Known = field(default_factory=dict)
    regions: dict[str, Region | None] = field(default_factory=dict)
    trail: list[str] = field(default_factory=list)
    parameters: int = 0
    unpooled: set[str] = field(default_factory=set)
    """Ties that an unpooling asks for."""
    joined_to: set[str] = field(default_factory=set)
    """Ties that any layer asks for: what nobody does is not kept."""
    sized: dict[tuple[Layer, tuple[int, ...]], _Sized] = field(default_factory=dict)
    """Layers without ties by what came in: of a thousand equal blocks one is run."""
    so_far: str = ""
    """The sizes up to the layer that does not fit, in words."""

    def whole(
        self, size: Sequence[int]
    ) -> tuple[Callable[[], modules.Chain], Callable[[], modules.Chain], tuple[int, ...]]:
        """What makes features and classifier, and the shape of the output for one picture."""
        body = self.spec.body
        if body and isinstance(body[-1], Layer) and body[-1].word == "soft-max":
            body = body[:-1]
        split = _split(body)
        with torch.device("meta"), torch.no_grad():
            features, y = self.chain(body[:split], torch.empty(1, self.channels, *size))
            dense = split < len(body) and _is_dense(body, split)
            classifier, z = self.chain(body[split:], y.flatten(1) if dense else y)
        return features, classifier, tuple(z.shape[1:])

    def __post_init__(self) -> None:
        joins = [one for one in all_layers(self.spec.body) if one.word in ("skip", "add", "unpool")]
        self.joined_to = {str(one.name) for one in joins}
        self.unpooled = {str(one.name) for one in joins if one.word == "unpool"}

    def chain(self, nodes: Chain, x: Tensor) -> tuple[Callable[[], modules.Chain], Tensor]:
        """What makes a chain, and its output."""
        makes: list[Factory] = []
        ties: dict[int, str] = {}
        for node in nodes:
            if isinstance(node, Layer) and node.word == "input":
                self.check_input(node, x)
                continue
            if not self.trail:
                self.trail.append(_shape(x))
            silent = isinstance(node, Layer) and node.word == "linear"
            if not silent:
                before, (make, x) = x, self.node(node, x)
                makes.append(make)
                self.check_size(node, x)
            if isinstance(node, Layer) and node.name and node.word not in ("unpool", "skip", "add"):
                self.keep(node, before if not silent else x, x)
                if node.name in self.joined_to:
                    ties[len(makes) - 1] = node.name
        return lambda: modules.Chain([make() for make in makes], ties), x

    def node(self, node: Node, x: Tensor) -> tuple[Factory, Tensor]:
        """What makes one node, and its output."""
        if isinstance(node, Residual):
            return self.residual(node, x)
        if isinstance(node, Concatenation):
            return self.concatenation(node, x)
        assert isinstance(node, Layer)
        alike = node, tuple(x.shape)
        if node.name is None and (done := self.sized.get(alike)):
            self.count(done.parameters, node)
            self.trail.append(_shape(y := x.new_empty(done.output)))
            return done.make, y
        place = Place(x.shape[1], tuple(x.shape[2:]), self.codes, node.name in self.unpooled)
        node = replace(node, maps=self.channels) if node.maps == "channels" else node
        try:
            make = (
                self.join(node, x)
                if node.word in ("skip", "add", "unpool")
                else MAKERS[node.word](node, place)
            )
            if node.option("table") is not None or node.word == "RBF":
                make = _on_the_cpu(make)
            trial = make()
            parameters = sum(p.numel() for p in trial.parameters())
            self.count(parameters, node)
            trial.eval()
            y = trial(x, self.known) if isinstance(trial, modules.Routed) else trial(x)
        except NotationError:
            raise
        except ArgumentError as error:
            raise self.misfit(node, str(error)) from None
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise self.misfit(node, " ".join(str(error).split())[:200]) from None
        indices = None
        if isinstance(y, tuple):
            y, indices = y
        if node.name and node.word not in ("skip", "add", "unpool"):
            self.known[f"{node.name} indices"] = modules.Kept(y, (), indices)
            self.regions[node.name] = getattr(trial, "region", None)
        if node.name is None:
            self.sized[alike] = _Sized(make, tuple(y.shape), parameters)
        self.trail.append(_shape(y))
        return make, y

    def keep(self, node: Layer, x: Tensor, y: Tensor) -> None:
        """Let a tie know its layer."""
        name = str(node.name)
        if name in self.known:
            raise self.wrong(f"two layers are called {name}", node)
        beside = self.known.pop(f"{name} indices", None)
        indices = beside.indices if beside else None
        self.known[name] = modules.Kept(y, tuple(x.shape[2:]), indices)

    def join(self, node: Layer, x: Tensor) -> Factory:
        """A skip or an unpooling, checked against what its tie kept."""
        name = str(node.name)
        if name not in self.known:
            expected = (
                listed(sorted(self.known))
                if self.known
                else "a layer with a name before it, such as maxpool:a"
            )
            raise self.wrong(
                f"{node.word} of {name}, but no layer before it has that name", node, expected=expected
            )
        kept = self.known[name]
        if node.word == "unpool":
            region = self.regions.get(name)
            if region is None:
                raise self.wrong(
                    f"{name} is no pooling that can be undone", node, expected="a pooling of windows"
                )
            if kept.output.shape != x.shape:
                shape = _shape(kept.output)
                raise ArgumentError(
                    "unpooling wants what was pooled",
                    expected=shape,
                    got=_shape(x),
                    hint=f"conv3-{kept.output.shape[1]} before it",
                )
            return lambda: modules.Unpooling(name, region)
        return self.joined(node, x, kept.output)

    def joined(self, node: Layer, x: Tensor, kept: Tensor) -> Factory:
        """A concatenation or a sum with what was kept."""
        add, crop = node.word == "add", bool(node.option("crop"))
        same = x.shape[2:] == kept.shape[2:] and x.dim() == kept.dim()
        croppable = (
            crop
            and x.dim() == kept.dim()
            and all(there >= here for there, here in zip(kept.shape[2:], x.shape[2:], strict=True))
        )
        if not (same or croppable):
            hint = "crop, or an input that the poolings divide" if x.dim() == kept.dim() else None
            raise ArgumentError("sizes differ", expected=_shape(kept), got=_shape(x), hint=hint)
        if add and x.shape[1] != kept.shape[1]:
            raise ArgumentError(
                "a sum wants equal maps",
                expected=str(kept.shape[1]),
                got=str(x.shape[1]),
                hint=f"skip:{node.name}, or conv1-{kept.shape[1]}",
            )
        return lambda: modules.Join(str(node.name), add, crop)

    def residual(self, node: Residual, x: Tensor) -> tuple[Factory, Tensor]:
        """A residual, whose branches must end alike."""
        body, y = self.chain(node.body, x)
        shortcut, z = (None, x) if node.shortcut is None else self.chain(node.shortcut, x)
        if y.shape != z.shape:
            jump = "" if y.dim() < 3 or x.dim() < 3 else _jump(x, y)
            hint = f"res(... | conv1-{y.shape[1]}{jump})" if node.shortcut is None else None
            where = "the shortcut" if node.shortcut is None else "the branches"
            raise self.wrong(
                f"{where} of the residual cannot be added", node, expected=_shape(y), got=_shape(z), hint=hint
            )
        self.trail.append(_shape(y))

        def make() -> nn.Module:
            first = body()  # parameters lie in the order of the text: what is drawn for them, too
            return modules.Residual(first, None if shortcut is None else shortcut())

        return make, y

    def concatenation(self, node: Concatenation, x: Tensor) -> tuple[Factory, Tensor]:
        """Branches side by side."""
        made = [self.chain(branch, x) for branch in node.branches]
        outputs = [y for _, y in made]
        if len({(y.dim(), *y.shape[2:]) for y in outputs}) > 1:
            got = listed([_shape(y) for y in outputs], "and")
            raise self.wrong("the branches' sizes differ", node, expected="equal heights and widths", got=got)
        y = torch.cat(outputs, 1)
        self.trail.append(_shape(y))
        return lambda: modules.Concatenation([make() for make, _ in made]), y

    def count(self, parameters: int, node: Layer) -> None:
        """Keep watch over the number of parameters."""
        self.parameters += parameters
        if self.parameters > MOST_PARAMETERS:
            got = f"{self.parameters:,} up to here"
            raise self.wrong("too many parameters", node, expected=f"at most {MOST_PARAMETERS:,}", got=got)

    def check_size(self, node: Node, x: Tensor) -> None:
        """Keep watch over sizes."""
        if max(x.shape[2:], default=1) > LONGEST_SIDE or x.numel() > MOST_VALUES:
            raise self.wrong(
                "the maps become too large", node, expected=f"sides up to {LONGEST_SIDE}", got=_shape(x)
            )

    def check_input(self, node: Layer, x: Tensor) -> None:
        """What comes in is what was announced, as far as it was."""
        said = node.sizes
        shape = tuple(x.shape[1:]) if len(said) == 3 else tuple(x.shape[2:])
        if said and said != shape:
            expected = "x".join(map(str, said))
            raise self.wrong("another input", node, expected=expected, got=_shape(x))

    def misfit(self, node: Layer, reason: str) -> NotationError:
        """An operator refused: say to whom it happened, and after what sizes."""
        trail = [*(["..."] if len(self.trail) > 5 else []), *self.trail[-5:]]
        self.so_far = f"sizes so far: {' -> '.join(trail)}"
        return self.wrong(f"{node} does not fit: {reason}", node)

    def wrong(
        self,
        what: str,
        node: Node,
        *,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> NotationError:
        """An error at a node."""
        length = node.length if isinstance(node, Layer) else 3
        return NotationError(what, self.spec.source, node.at, length, expected=expected, got=got, hint=hint)


def _on_the_cpu(make: Factory) -> Factory:
    """Tables and codes are numbers that must be looked at, wherever the module is wanted."""

    def moved() -> nn.Module:
        where = torch.get_default_device()
        with torch.device("cpu"):
            return make().to(where)

    return moved


def _shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape[1:]))


def _jump(x: Tensor, y: Tensor) -> str:
    """The stride that brings x to the size of y, as an option."""
    steps = {math.ceil(n / m) for n, m in zip(x.shape[2:], y.shape[2:], strict=True)}
    return "" if steps == {1} else f" s{max(steps)}"
