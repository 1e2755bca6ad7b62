"""What an augmentation may be asked for: its terms, their arguments and bounds (standard library only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Argument:
    """A number of a term, from `low` to `high`; without a default it must be given."""

    name: str
    low: float
    high: float
    default: float | None = None


@dataclass(frozen=True)
class Term:
    """A kind of variation: its numbers in order, then one of its words (the first if none is given)."""

    name: str
    line: str
    arguments: tuple[Argument, ...] = ()
    words: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()
    """What it settles, if not just itself: two terms of a sum must not settle the same."""

    @property
    def signature(self) -> str:
        """The term as it is written, with names for numbers.

        Example:
            >>> TERMS["erase"].signature, TERMS["reflect"].signature
            ('erase(p, area=0.33, noise|mean|zero)', 'reflect')
        """
        parts = [a.name if a.default is None else f"{a.name}={a.default:g}" for a in self.arguments]
        inside = ", ".join([*parts, *(["|".join(self.words)] if self.words else [])])
        return f"{self.name}({inside})" if inside else self.name


_FILLS = ("noise", "mean", "zero")

TERMS: Mapping[str, Term] = MappingProxyType(
    {
        term.name: term
        for term in (
            Term("flip", "mirror left and right", (Argument("p", 0, 1, 0.5),)),
            Term("vflip", "mirror top and bottom", (Argument("p", 0, 1, 0.5),)),
            Term("shift", "move up to this part of each side", (Argument("part", 0, 1),)),
            Term("rotate", "turn about the centre, up to this many degrees", (Argument("degrees", 0, 180),)),
            Term("scale", "grow or shrink: 0.1 is by 0.9 to 1.1", (Argument("part", 0, 0.99),)),
            Term("shear", "lean upright lines, up to this tangent", (Argument("tangent", 0, 10),)),
            Term(
                "crop",
                "enlarge a part of at least this share of the area, out of proportion by up to `ratio`",
                (Argument("area", 0.01, 1), Argument("ratio", 1, 4, 4 / 3)),
            ),
            Term(
                "elastic",
                "bend: smooth random displacements, `alpha` of a side in root mean square "
                "(Simard et al. 2003)",
                (Argument("alpha", 0, 0.5), Argument("smooth", 0.02, 1, 0.125)),
            ),
            Term("reflect", "what comes in from outside is the mirrored picture", decides=("edge",)),
            Term("zero", "what comes in from outside is the background (as if not said)", decides=("edge",)),
            Term(
                "trivial",
                "one of 14 operations at a random strength (Müller and Hutter 2021)",
            ),
            Term(
                "jitter",
                "brightness, contrast and saturation, each by this strength",
                (Argument("strength", 0, 1),),
                decides=("brightness", "contrast", "saturation"),
            ),
            Term("brightness", "times 1 - strength to 1 + strength", (Argument("strength", 0, 1),)),
            Term("contrast", "the same for distances from the mean", (Argument("strength", 0, 1),)),
            Term("saturation", "the same for distances from grey", (Argument("strength", 0, 1),)),
            Term("hue", "turn the hue up to this part of the colour circle", (Argument("turns", 0, 0.5),)),
            Term("grey", "take the colour away with this probability", (Argument("p", 0, 1),)),
            Term(
                "erase",
                "overwrite a rectangle of up to `area`, with this probability (Zhong et al. 2017)",
                (Argument("p", 0, 1), Argument("area", 0.02, 1, 0.33)),
                _FILLS,
            ),
            Term(
                "cutout",
                "overwrite a rectangle of this part of each side, cut off at the edges "
                "(DeVries and Taylor 2017)",
                (Argument("part", 0, 1),),
                ("mean", "noise", "zero"),
            ),
        )
    }
)

RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "none": "",
        "distortions": "rotate(10)+shift(0.06)+scale(0.1)+shear(0.15)",
        "flip-shift": "flip+shift(0.0625)",
        "photo": "flip+shift(0.1)+reflect",
    }
)


def describe() -> str:
    """Return the recipes and the terms, one a line, for people.

    Example:
        >>> print(describe().splitlines()[2])
        flip-shift   flip+shift(0.0625)
    """
    rows = [(name, text) for name, text in RECIPES.items() if text]
    rows = [("none", "nothing"), *rows, *((term.signature, term.line) for term in TERMS.values())]
    return "\n".join(f"{left:<12} {right}" for left, right in rows)
