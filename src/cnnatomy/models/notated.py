"""A network from notation as a classifier, or as a map from pictures to pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy import checks
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.models.classifier import Goal
from cnnatomy.models.codes import class_codes
from cnnatomy.models.size_mismatch import misfit, of_other_kind
from cnnatomy.models.standardised import Standardised
from cnnatomy.nn.rbf import map_loss
from cnnatomy.nn.separable import StridedConvPool
from cnnatomy.nn.subpixel import SubpixelConv
from cnnatomy.notation.build import build
from cnnatomy.notation.expand import explicit
from cnnatomy.notation.modules import Chain, Weighed
from cnnatomy.notation.network_spec import Layer, Spec
from cnnatomy.notation.parse import parse_pooling
from cnnatomy.reducers import Reducer

if TYPE_CHECKING:
    from cnnatomy.models.weights import Report

J = 0.1
"""The constant of LeNet-5's equation 9, of which the paper says only that it is positive."""


class Network(Standardised):
    """A network in notation: `features`, then a `classifier`, built when the input is known.

    With an open input the modules are made by `materialize`, or by the first forward pass. A batch goes in,
    or, once the input is known, a single picture, as into torch's modules.
    `str(network.spec)` is the text. What it is for follows from its output: a vector has the scores of
    classes ("classify"), maps of the input's shape are a picture ("reconstruct"), other maps are maps.

    Args:
        spec: what was read.
        classes: names of the classes; None leaves the number to the text.
        pool: a reducer to take the place of every pooling's that has windows or a grid, which stay.

    Example:
        >>> from cnnatomy.notation import parse
        >>> network = Network(parse("conv3-8 maxpool FC-classes"), classes=["cat", "dog"])
        >>> network(torch.zeros(4, 3, 8, 8)).shape, network.input_shape
        (torch.Size([4, 2]), (3, 8, 8))
    """

    features: Chain
    classifier: Chain
    weights_report: Report | None = None
    """What became of the weights it was given; None if it was given none."""

    def __init__(
        self, spec: Spec, classes: Sequence[str] | None = None, pool: Reducer | str | None = None
    ) -> None:
        super().__init__()
        self.spec = checks.of_kind("this is no network", spec, Spec, "a Spec")
        self.classes = checks.words(classes or (), "classes")
        self.pool = None if pool is None else parse_pooling(pool)
        self.class_count = None if classes is None else len(self.classes)
        self.output = "softmax"
        self.input_shape = ()  # type: ignore[assignment]  # until it is known
        self.explicit = explicit(spec, classes=self.class_count, pool=self.pool)

    def extra_repr(self) -> str:
        """The notation, what is still open, and what became of the weights it was given."""
        open_ = (
            "" if self.built else "open: input_size= or the first pass settles the sizes and makes the layers"
        )
        weights = "" if self.weights_report is None else f"weights: {self.weights_report.line()}"
        return "\n".join(filter(None, (str(self.spec), open_, weights)))

    def _repr_markdown_(self) -> str:
        """The notation, and what there is of the network, without a list of its modules."""
        inside = "×".join(map(str, self.input_shape))
        count = sum(p.numel() for p in self.parameters())
        known = (
            f"input {inside}, {count:,} parameters" if self.built else "open: the first pass makes the layers"
        )
        report = [] if self.weights_report is None else [f"weights: {self.weights_report.line()}"]
        return "\n\n".join([f"**{type(self).__name__}** `{self.spec}`", known, *report])

    @property
    def built(self) -> bool:
        """Whether the input is known, and the modules are there."""
        return bool(self.input_shape)

    @property
    def goal(self) -> Goal:
        """What the output is: scores of classes, a picture of the input's shape, or other maps."""
        if len(self.shape) == 1:
            return "classify"
        return "reconstruct" if self.shape == self.input_shape else "map"

    def materialize(
        self, channels: int, size: Sequence[int], device: torch.device | str | None = None
    ) -> Network:
        """Make the modules for pictures of this shape, with fresh weights, and return the network.

        Weights before ReLU are drawn as He et al. (2015), "Delving deep into rectifiers", eq. 10;
        LeNet-5's as its appendix A says.

        Raises:
            NotationError: a layer does not fit; it says the sizes so far, and what would mend it.
            ArgumentError: the network has been built already, or these are no sizes.
        """
        for n in (channels, *checks.of_kind("size", size, Sequence, "(height, width)")):
            whole_number("an input's size", n, least=1)
        device = None if device is None else checks.device(device)
        if self.built:
            raise ArgumentError("the network is built", got=f"input {self.input_shape}", hint="a new network")
        parts = build(self.explicit, channels, tuple(size), codes=self._codes, device=device)
        self.features, self.classifier, self.shape = parts
        self.input_shape = (channels, *size)  # type: ignore[assignment]
        where = next((p.device for p in self.parameters()), torch.device(device or "cpu"))
        self.register_buffer("mean", torch.zeros(channels, device=where), persistent=False)
        self.register_buffer("std", torch.ones(channels, device=where), persistent=False)
        if any(isinstance(one, Layer) and one.word == "RBF" for one in self.explicit.body):
            self.output = "rbf"
        elif self.goal != "classify":
            self.output = "map"
        if self.goal == "classify" and not self.classes:
            self.classes = tuple(map(str, range(self.shape[0])))
        initialise(self)
        return self

    def _codes(self, count: int) -> list[list[int]]:
        names = self.classes if len(self.classes) == count else tuple(map(str, range(count)))
        return class_codes(names)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) -> scores (N, classes), or maps; without N in and out for a single picture.

        Raises:
            ArgumentError: pictures of this size or kind do not fit; it says what would.
        """
        if not self.built:
            self._meet(x)
        return super().forward(x)

    def _scores(self, x: Tensor) -> Tensor:
        known: dict[str, Any] = {}
        y: Tensor = self.features(x, known)
        return self.classifier(y.flatten(1), known) if len(self.classifier) else y

    def _misfit(self, x: Tensor) -> ArgumentError | None:
        return misfit(x, self, self.input_shape, self.explicit, self._codes)

    def _meet(self, x: Tensor) -> None:
        """Build the modules for pictures like these, the first ones."""
        reads_pictures = self.spec.input is not None and bool(self.spec.input.sizes)  # that it reads pictures
        expected = "a batch (N, C, H, W)"
        if said := of_other_kind(x, self):
            raise said
        if reads_pictures and x.dim() == 3:
            x = x[None]
        elif x.dim() == 3:
            hint = "x[None] for one picture, or input_size=(channels, length) for a batch of signals"
            what = "the network's input is open, and this could be one picture or many signals"
            raise ArgumentError(what, expected=expected, got=f"shape {tuple(x.shape)}", hint=hint)
        if not 2 <= x.dim() <= 5:
            raise ArgumentError("pictures", expected=expected, got=f"shape {tuple(x.shape)}")
        self.materialize(x.shape[1], x.shape[2:], x.device).to(x.dtype)

    def hits(self, scores: Tensor, target: Tensor) -> Tensor:
        """How many of a batch are right; of pictures, the share of variance that is explained, added up."""
        if self.goal == "classify":
            return super().hits(scores, target)
        spread = (target - target.mean((2, 3), keepdim=True)).square().sum((1, 2, 3))
        missed = (scores - target).square().sum((1, 2, 3))
        return (1 - missed / spread.clamp_min(1e-12)).clamp_min(0).sum()

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The criterion: cross-entropy, the squared error of pictures, or equation 9 for RBF."""
        if self.goal != "classify":
            return F.mse_loss(scores, labels)
        if self.output == "rbf":
            return map_loss(scores, labels, J)
        return super().loss(scores, labels)


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Draw the weights of convolutions and dense layers for what follows; others keep their start."""
    own = (SubpixelConv, StridedConvPool, Weighed)
    kept = {id(m) for owner in model.modules() if isinstance(owner, own) for m in owner.modules()}
    squashed = any(type(m).__name__ == "ScaledTanh" for m in model.modules())
    for module in model.modules():
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear) or id(module) in kept:
            continue
        if module.weight.is_meta:
            continue
        if getattr(module, "places", None) is not None:
            if squashed:
                module.uniform_(2.4 / module.fan_in())  # type: ignore[operator]
            continue
        if squashed:
            bound = 2.4 / math.prod(module.weight.shape[1:])
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound)
            continue
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
