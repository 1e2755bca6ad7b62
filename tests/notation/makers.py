"""Random networks for tests: records over the whole vocabulary, and texts that have been damaged."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from cnnatomy.geometry.padding_rules import RULES
from cnnatomy.models.model_catalog import ENTRIES
from cnnatomy.notation.network_spec import Block, Concatenation, Layer, Node, Pooling, Residual, Spec
from cnnatomy.notation.vocabulary import LENET, METHODS, MODES, OPTIONS, WORDS
from cnnatomy.reducers import REGISTRY

SIZES = st.lists(st.integers(1, 99), min_size=1, max_size=2).map(tuple)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,4}", fullmatch=True)
WIDTH = st.integers(0, 9) | st.tuples(st.integers(0, 9), st.integers(0, 9))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("stride", "kernel", "dilation"), SIZES),
    "extra": st.lists(st.integers(0, 3), min_size=1, max_size=2).map(tuple),
    **dict.fromkeys(("groups", "multiplier"), st.integers(1, 64)),
    "padding": st.sampled_from(RULES) | st.lists(WIDTH, min_size=1, max_size=2).map(tuple),
    "mode": st.sampled_from([*MODES, "median", "linear_ramp"]),
    "method": st.sampled_from([*METHODS, "linear", "gaussian"]),
    "bias": st.booleans(),
    **dict.fromkeys(("ceil", "crop"), st.just(True)),
    "table": st.just("I")
    | st.lists(st.from_regex(r"[01]{3}", fullmatch=True), min_size=1, max_size=4).map(tuple),
    "size": st.tuples(st.integers(1, 99), st.integers(1, 99)),
}
POOLING = st.sampled_from(
    [
        *map(Pooling, sorted(REGISTRY)),
        Pooling("gem", (("p", 2.5),)),
        Pooling("kmax", (("k", 3), ("each", True))),
        Pooling("soft", (("temperature", 0.5), ("learned", "channels"))),
    ]
)


@st.composite
def layer(draw: st.DrawFn) -> Layer:
    word = WORDS[draw(st.sampled_from(sorted(WORDS.keys() - {"input"})))]
    lenet = word.name in LENET
    chosen = draw(st.sets(st.sampled_from(word.options))) if word.options else set()
    maps = draw(st.none() | st.integers(1, 999)) if word.maps else None
    if lenet and maps is None:
        chosen -= {"size"}
    options = tuple((name, draw(VALUES[name])) for name in OPTIONS if name in chosen)
    required = word.name in ("pad", "crop", "resize")
    sized = word.sizes and (required or draw(st.booleans())) and not (lenet and maps is not None)
    pooling = draw(POOLING) if word.name in ("pool", "global", "adaptive", "pyramid", "fractional") else None
    args = arguments(draw, word.name)
    name = f"{word.name}{draw(st.integers(1, 9))}" if lenet else None
    if not lenet and (word.tie == "must" or draw(st.booleans())):
        name = draw(NAMES)
    sizes = draw(SIZES) if sized else ()
    if lenet and len(sizes) == 1:
        sizes = sizes * 2  # one number would be maps
    if pooling and pooling.args and word.name == "pool" and not sizes:
        sizes = ()
    return Layer(word.name, sizes, maps, args, options, pooling, name)


def arguments(draw: st.DrawFn, word: str) -> tuple[tuple[str, Any], ...]:
    number = st.floats(0.125, 1).map(lambda x: round(x, 3))
    found: dict[str, tuple[tuple[str, Any], ...]] = {
        "pyramid": (
            (
                "levels",
                draw(
                    st.lists(
                        st.integers(1, 5) | st.tuples(st.integers(1, 5), st.integers(1, 5)),
                        min_size=1,
                        max_size=3,
                    ).map(tuple)
                ),
            ),
        ),
        "fractional": (("scale", draw(number)),),
        "LRN": (("size", 5), ("alpha", draw(number))),
        "bn": (("eps", draw(number)),),
        "filter": (("name", "sobel"),),
    }
    if word in ("pyramid", "fractional", "filter"):
        return found[word]
    return found.get(word, ()) if draw(st.booleans()) else ()


def node(deep: int = 2) -> st.SearchStrategy[Node]:
    if not deep:
        return layer()
    inner = st.lists(node(deep - 1), min_size=1, max_size=3).map(tuple)
    times = st.integers(2, 9) | st.sampled_from("NMK")
    blocks = st.builds(Block, inner, times, st.booleans()) | st.builds(
        Block, inner, st.just(1), st.just(True)
    )
    return st.one_of(
        layer(),
        layer(),
        blocks,
        st.builds(Residual, inner, st.none() | inner),
        st.builds(Concatenation, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    )


SETTINGS = st.lists(
    st.tuples(
        st.sampled_from(["N", "M", "K", "maps", "units", "kernel"]),
        st.lists(st.integers(0, 512), min_size=1, max_size=3).map(tuple),
    ),
    max_size=3,
    unique_by=lambda pair: pair[0],
).map(tuple)
SPECS = st.builds(Spec, st.lists(node(), min_size=1, max_size=5).map(tuple), SETTINGS)

TEXTS = [entry.notation for entry in ENTRIES if len(entry.notation) < 200] + [
    "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC with N=2 M=2 K=1 maps=8,16 units=9",
    "[(CONV-RELU)*N - POOL?]*M - (FC-RELU)*K - SOFTMAX with N=1 M=3 K=1 maps=8 units=9 pool=1,0,1",
    "INPUT 32x32 C1: feature maps 6@28x28 S2: f. maps 6@14x14 C3: f. maps 16@10x10 (table I) F6:84",
    "conv3-8 s2 p1 d2 reflect, sepconv3-8 m2 / dwconv3 -> pwconv-8 g2\n up2 bilinear:a crop1 skip:a  # end",
    "gem(p=3)3s2 soft2 median3s1 same globalcovariance(function=log) FC-classes",
    "pyramid(1,2,4) max FC-3",
    "convT2-4 s2 o1 subpixel2-4 resizeconv2-3 cubic shuffle2 nails2 meanunpool2 unshuffle2 filter(sobel)",
]
TOKENS = [
    *WORDS,
    *(f"{name}pool" for name in REGISTRY),
    *"[]()|,:@*?-x=#",
    "->",
    "*3",
    "x2",
    "s2",
    "p1",
    "k5",
    "d3",
    "g4",
    "res(",
    "cat(",
    "-64",
    "-classes",
    ":a",
    "with",
    "N=2",
    "maps=8",
    "same",
    "valid",
    "1e9",
    "99999999",
    "0",
    "-0",
    "3",
    "(p=3)",
    "(1,2)",
    "INPUT 3x32x32",
    "C1:6@28x28",
    "(table I)",
    "é",
    "\n",
    "\t",
    "$",
    "\\text{CONV}",
    "\x00",
]


def damaged(draw: random.Random) -> str:
    """A valid text with some characters or words changed, or words in no order at all."""
    if draw.random() < 0.3:
        return " ".join(draw.choice(TOKENS) for _ in range(draw.randint(1, 14)))
    text = draw.choice(TEXTS)
    for _ in range(draw.randint(1, 4)):
        a, b = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
        kind = draw.randrange(8)
        if kind == 0:
            text = text[:a] + text[min(b, a + 9) :]
        elif kind == 1:
            text = text[:a] + draw.choice(TOKENS) + text[a:]
        elif kind == 2:
            text = text[:a] + text[a:b][:40] * 2 + text[b:]
        elif kind == 3:
            text = text[:a] + chr(draw.choice([*range(33, 127), 215, 8594])) + text[a + 1 :]
        elif kind > 4:
            text = (
                text[:a]
                + "".join(str(draw.randint(1, 9)) if c.isdigit() else c for c in text[a : a + 5])
                + text[a + 5 :]
            )
        else:
            words = text.split(" ")
            words[draw.randrange(len(words))] = draw.choice(TOKENS)
            text = " ".join(words)
    return text
