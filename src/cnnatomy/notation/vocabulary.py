"""The vocabulary: every word that names a layer, what its numbers mean, and which options it takes.

The parser, the printer, the builder's checks and the documentation all read this one table.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnatomy.geometry.padding_rules import RULES

LARGEST = 10**6
"""The largest number in a text, and the most classes that are asked for beside it."""
OPTIONS: tuple[str, ...] = (
    *("size", "kernel", "table", "stride", "padding", "mode", "dilation", "groups", "multiplier"),
    *("extra", "ceil", "bias", "method", "crop"),
)
"""Every option, in the order in which options are printed."""

MODES = ("reflect", "symmetric", "edge", "wrap", "replicate", "circular", "zeros")
"""Padding modes that can stand alone; `mode=` takes every mode of `cnnatomy.pad`."""
METHODS = ("nearest", "bilinear", "cubic", "bicubic", "lanczos", "lanczos2", "lanczos3", "area")
"""Ways to resize that can stand alone; `method=` takes every method of `cnnatomy.resample`."""
RULE_WORDS = RULES

_PLACED = ("stride", "padding", "mode", "dilation")
_CONV = ("kernel", *_PLACED, "groups", "bias")


@dataclass(frozen=True)
class Word:
    """One word: what it names, what is said with it, and what follows it unasked."""

    name: str
    """As it is printed."""
    summary: str
    aliases: tuple[str, ...] = ()
    sizes: str = ""
    """What the numbers behind the word are; empty where it takes none."""
    maps: bool = False
    """Whether `-64` may follow."""
    args: tuple[str, ...] = ()
    """The names of what may be in parentheses, in order."""
    options: tuple[str, ...] = ()
    tie: str = "may"
    """Whether a name `:a` names its output ("may"), or must be given and speaks of another ("must")."""
    activation: str = ""
    """The activation that follows unless something else is said."""


def _activations() -> tuple[Word, ...]:
    plain = {
        "relu": ("max(0, x)", ()),
        "relu6": ("min(max(0, x), 6)", ()),
        "tanh": ("the hyperbolic tangent", ()),
        "stanh": ("LeCun's 1.7159 tanh(2/3 x)", ("scaledtanh",)),
        "sigmoid": ("1 / (1 + e^-x)", ("logistic",)),
        "gelu": ("x times the normal distribution function", ()),
        "silu": ("x sigmoid(x)", ("swish",)),
        "mish": ("x tanh(softplus(x))", ()),
        "selu": ("the self-normalising ELU", ()),
        "softplus": ("log(1 + e^x)", ()),
        "hardswish": ("x relu6(x + 3) / 6", ()),
        "hardsigmoid": ("relu6(x + 3) / 6", ()),
        "linear": ("x itself: no activation", ("identity", "none")),
    }
    sloped = {
        "leakyrelu": ("x, or slope times x below 0 (0.01)", ("lrelu",), "slope"),
        "elu": ("x, or alpha (e^x - 1) below 0 (1)", (), "alpha"),
        "prelu": ("x, or a learned slope times x below 0", (), "start"),
    }
    return (
        *(Word(name, says, aliases) for name, (says, aliases) in plain.items()),
        *(Word(name, says, aliases, args=(arg,)) for name, (says, aliases, arg) in sloped.items()),
    )


ACTIVATIONS = _activations()
NORMS = (
    Word("bn", "batch normalisation", ("batchnorm", "batchnormalization"), args=("eps", "momentum")),
    Word("gn", "group normalisation: gn8 has 8 groups (32)", ("groupnorm",), sizes="groups"),
    Word("ln", "layer normalisation, over all maps of a picture", ("layernorm",)),
    Word("in", "instance normalisation", ("instancenorm",)),
)
CONVOLUTIONS = (
    Word(
        "conv",
        "convolution: conv3-64 has a kernel of 3x3 and 64 maps",
        ("convolution", "convolutional"),
        "kernel",
        maps=True,
        options=(*_CONV, "table"),
        activation="relu",
    ),
    Word(
        "dwconv",
        "a convolution of each map alone",
        ("depthwise", "dw"),
        "kernel",
        options=(*(name for name in _CONV if name != "groups"), "multiplier"),
        activation="relu",
    ),
    Word(
        "sepconv",
        "depthwise, then across the maps",
        ("separable",),
        "kernel",
        maps=True,
        options=(*(name for name in _CONV if name != "groups"), "multiplier"),
        activation="relu",
    ),
    Word(
        "pwconv",
        "across the maps alone: a kernel of 1x1",
        ("pointwise", "pw"),
        maps=True,
        options=("stride", "groups", "bias"),
        activation="relu",
    ),
    Word(
        "C",
        "LeNet-5's convolution, without padding: C1:6@28x28, or C1:6 k5",
        maps=True,
        options=("size", "kernel", "table", "bias"),
        activation="stanh",
    ),
)
DENSE = (
    Word(
        "FC",
        "fully connected: FC-4096, FC-classes; flattens maps",
        ("dense", "fully-connected", "output"),
        maps=True,
        options=("bias",),
        activation="relu",
    ),
    Word("F", "LeNet-5's fully connected layer: F6:84", maps=True, options=("bias",), activation="stanh"),
    Word("RBF", "LeNet-5's output: distances from the codes of the classes", ("euclideanrbf",), maps=True),
)
POOLINGS = (
    Word(
        "pool",
        "pooling of windows: maxpool (2x2, stride 2), soft3s2, gem(p=3)3s2, pool (max)",
        sizes="kernel",
        options=(*_PLACED, "ceil"),
    ),
    Word("global", "pooling of whole maps: globalavg, globalmax, globalgem(p=3)", ("gap",)),
    Word("adaptive", "pooling to a fixed grid: adaptiveavg7, adaptivemax7x5", sizes="size"),
    Word("pyramid", "spatial pyramid pooling: pyramid(1,2,4) max", ("spp",), args=("levels",)),
    Word("fractional", "fractional pooling: fractional(0.7) max", args=("scale", "seed", "overlapping")),
    Word("subsample", "LeNet-5's trainable subsampling", (), "kernel", options=("stride",)),
    Word(
        "S",
        "the same by its name in LeNet-5: S2:6@14x14, or S2:2x2",
        sizes="kernel",
        maps=True,
        options=("size",),
        activation="stanh",
    ),
    Word(
        "convpool",
        "a strided convolution that starts as the mean",
        ("stridedconvpool",),
        "kernel",
        args=("dense",),
        options=("stride", "padding", "bias"),
    ),
)
RESIZING = (
    Word("up", "upsampling: up2 (nearest), up2 bilinear", ("upsample",), "scale", options=("method",)),
    Word("resize", "resizing to a size: resize14, resize14x28 area", (), "size", options=("method",)),
    Word("nails", "bed of nails: zeros between", ("bedofnails",), "scale"),
    Word(
        "convT",
        "transposed convolution: convT2-64 s2",
        ("deconv", "upconv", "transposed"),
        "kernel",
        maps=True,
        options=("stride", "padding", "dilation", "groups", "extra", "bias"),
    ),
    Word(
        "subpixel",
        "sub-pixel convolution: subpixel2-64 doubles the size",
        (),
        "scale",
        maps=True,
        options=("kernel", "padding", "mode", "bias"),
    ),
    Word(
        "resizeconv",
        "resizing, then a convolution: resizeconv2-64",
        (),
        "scale",
        maps=True,
        options=("kernel", "padding", "mode", "groups", "bias", "method"),
    ),
    Word("unpool", "undoes the pooling of that name: maxpool2:a ... unpool:a", ("maxunpool",), tie="must"),
    Word("meanunpool", "spreads every value over a window", (), "kernel", options=("stride", "padding")),
    Word("shuffle", "channels to cells (depth to space)", ("pixelshuffle",), "scale"),
    Word("unshuffle", "cells to channels (space to depth)", ("pixelunshuffle",), "scale"),
    Word("pad", "padding: pad1, pad1x2 reflect", (), "width", options=("mode",)),
    Word("crop", "cuts cells off all sides", (), "width"),
    Word(
        "filter",
        "a fixed filter of each map: filter(sobel), filter(binomial) s2",
        (),
        args=("name",),
        options=("stride", "padding", "dilation"),
    ),
    Word(
        "blurpool",
        "a binomial blur that leaves cells out: blurpool, blurpool5, blurpool reflect",
        (),
        "kernel",
        options=("stride", "mode"),
    ),
    Word(
        "maxblurpool",
        "the maximum of 2x2 at every cell, then blurpool",
        (),
        "kernel",
        options=("stride", "mode"),
    ),
)
JOINS = (
    Word(
        "skip",
        "concatenates the output of that name: conv3-64:a ... skip:a",
        ("concat",),
        options=("crop",),
        tie="must",
    ),
    Word("add", "adds the output of that name", (), options=("crop",), tie="must"),
)
OTHERS = (
    Word("input", "what comes in, at the front: input(224x224 RGB image), INPUT 1x32x32", sizes="size"),
    Word(
        "LRN",
        "local response normalisation, AlexNet's unless told",
        ("localresponsenorm",),
        args=("size", "alpha", "beta", "k", "divide"),
    ),
    Word("dropout", "dropout of single values: dropout, dropout(0.2)", ("drop",), args=("p",)),
    Word("mapdropout", "dropout of whole maps", ("dropout2d", "spatialdropout"), args=("p",)),
    Word("flatten", "maps to one vector"),
    Word("soft-max", "softmax; at the end it belongs to the loss, and forward gives logits", ("softmax",)),
    Word("logsoftmax", "its logarithm", ("log-softmax",)),
)

WORDS: dict[str, Word] = {
    word.name: word
    for word in (*CONVOLUTIONS, *DENSE, *POOLINGS, *RESIZING, *JOINS, *NORMS, *ACTIVATIONS, *OTHERS)
}
"""Every word by its printed name."""
LENET = ("C", "S", "F")
"""Words that come with a number, and are told by it."""
SPOKEN: dict[str, str] = {
    said.casefold(): word.name
    for word in WORDS.values()
    if word.name not in LENET
    for said in (word.name, *word.aliases)
}
"""Every spelling to its word, in lower case."""
KINDS = {
    kind: frozenset(word.name for word in words)
    for kind, words in (
        ("norm", NORMS),
        ("activation", ACTIVATIONS),
        ("convolution", CONVOLUTIONS),
        ("dense", DENSE),
    )
}


def markdown() -> str:
    """The vocabulary as a table for a page of documentation."""
    rows = [("word", "also", "what it is", "takes"), ("---",) * 4]
    for word in WORDS.values():
        numbers = (f"{word.sizes}" if word.sizes else "", "maps" if word.maps else "")
        args = f"({', '.join(word.args)})" if word.args else ""
        takes = ", ".join(part for part in (*numbers, args, *word.options) if part)
        rows.append((f"`{word.name}`", ", ".join(word.aliases), word.summary, takes))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
