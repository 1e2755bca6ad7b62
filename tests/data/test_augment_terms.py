"""The text of an augmentation: read, written back, refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.data.augment import RECIPES, TERMS, Augment, check, describe, parse, recipe
from cnnatomy.data.augment.augmentation_text import Given, written
from cnnatomy.data.augment.terms import Term
from cnnatomy.errors import ArgumentError

DOC = Path(__file__).parents[2] / "docs" / "data.md"


def given_terms(term: Term) -> st.SearchStrategy[Given]:
    numbers = [st.floats(argument.low, argument.high) for argument in term.arguments]
    return st.builds(Given, st.just(term), st.tuples(*numbers), st.sampled_from(term.words or ("",)))


@st.composite
def sums(draw: st.DrawFn) -> tuple[Given, ...]:
    chosen = draw(st.lists(st.sampled_from(list(TERMS.values())), unique_by=lambda t: t.name, max_size=6))
    settled: set[str] = set()
    kept = []
    for term in chosen:
        things = set(term.decides or (term.name,))
        if not things & settled:
            settled |= things
            kept.append(draw(given_terms(term)))
    return tuple(kept)


@given(sums())
def test_what_is_written_reads_back(terms: tuple[Given, ...]) -> None:
    text = written(terms)
    assert parse(text) == terms
    assert parse(text.replace("+", " + ").replace(",", " , ").replace("(", " ( ")) == terms
    assert written(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "flip+shift(0.1)+rotate(15)+scale(0.2)+shear(0.1)+jitter(0.2)+erase(0.3)",
        "crop(0.3,1.5)+elastic(0.05)+trivial+cutout(0.5,noise)+zero",
    ],
)
def test_an_augmentation_says_its_text(text: str) -> None:
    assert str(recipe(text)) == text
    assert recipe(str(recipe(text))) == recipe(text)
    assert pickle.loads(pickle.dumps(recipe(text))) == recipe(text)


def test_recipes_stand_for_sums_and_go_into_sums() -> None:
    assert recipe("none") == Augment()
    for name, text in RECIPES.items():
        check(name)
        assert str(recipe(name)) == (text or "none")
    assert str(recipe("photo+hue(0.1)")) == RECIPES["photo"] + "+hue(0.1)"
    assert recipe("none+flip") == recipe("flip(0.5)")
    assert recipe("shift(1e-1)+erase(3e-1)") == recipe("shift(0.1)+erase(0.3)")


REFUSED = [
    ("distorsions", r"unknown augmentation: expected none, .*, got 'distorsions'; try 'distortions'"),
    ("rotat(10)", r"unknown augmentation: .* got 'rotat'; try 'rotate'"),
    ("flip+xyzzy", r"unknown augmentation: .* got 'xyzzy'$"),
    ("rotate", r"cannot read rotate: expected rotate\(degrees\), got 'rotate'"),
    ("rotate()", r"cannot read rotate: expected rotate\(degrees\), got 'rotate\(\)'"),
    ("rotate(10,20)", r"cannot read rotate: expected rotate\(degrees\), got 'rotate\(10,20\)'"),
    ("rotate(ten)", r"degrees of rotate: expected a number from 0 to 180, got 'ten'$"),
    ("rotate(200)", r"degrees of rotate: expected a number from 0 to 180, got '200'; try 180"),
    ("rotate(-5)", r"degrees of rotate: expected a number from 0 to 180, got '-5'; try 0"),
    ("shift(nan)", r"part of shift: expected a number from 0 to 1, got 'nan'$"),
    ("shear(inf)", r"tangent of shear: expected a number from 0 to 10, got 'inf'; try 10"),
    ("scale(1)", r"part of scale: expected a number from 0 to 0.99, got '1'; try 0.99"),
    ("erase(0.3,blue)", r"area of erase: expected a number from 0.02 to 1, got 'blue'"),
    ("erase(0.3,0.2,0.1)", r"cannot read erase: expected erase\(p, area=0.33, noise\|mean\|zero\), got"),
    ("trivial(2)", r"cannot read trivial: expected trivial, got 'trivial\(2\)'"),
    ("flip+flip", r"an augmentation decides flip twice: expected one term for it, got flip and flip"),
    (
        "jitter(0.2)+contrast(0.5)",
        r"decides contrast twice: .* got jitter and contrast",
    ),
    ("reflect+zero", r"decides edge twice: .* got reflect and zero"),
    ("", r"cannot read an augmentation: expected terms joined by \+, .*, got ''"),
    ("flip+", r"cannot read an augmentation: .* got ''"),
    ("flip shift(0.1)", r"cannot read an augmentation: .* got 'flip shift\(0.1\)'"),
    ("shift(0.1", r"cannot read an augmentation: .* got 'shift\(0.1'"),
    ("none(1)", r"cannot read none: expected none, got 'none\(1\)'"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_wrong_text_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        check(text)
    assert "\n" not in str(caught.value)


@given(st.text("flipshft+(). ,0129e", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        terms = parse(text)
    except ArgumentError:
        return
    assert parse(written(terms)) == terms


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"an augmentation is a text: expected .*, got 3"):
        check(3)  # type: ignore[arg-type]


def test_the_documentation_lists_every_term_and_recipe() -> None:
    text = DOC.read_text()
    for term in TERMS.values():
        assert f"| `{term.signature.replace('|', chr(92) + '|')}` | {term.line} |" in text
        assert term.signature in describe()
        assert term.line in describe()
    for name, sums in RECIPES.items():
        assert f"| `{name}` | {f'`{sums}`' if sums else 'nothing'} |" in text
        assert f"\n{name} " in "\n" + describe()
