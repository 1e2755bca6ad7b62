"""What is settled from the data follows the rules that the documentation gives, and leaves what was said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.models.model_settings import NetworkSettings
from cnnatomy.train.budget import Budget
from cnnatomy.train.choices import Seen, settle_input, settle_network, settle_recipe
from cnnatomy.train.recipe import Recipe

DIGITS = tuple("0123456789")


def seen(pictures: int = 2_000, **changes: object) -> Seen:
    values = {"classes": ("cat", "dog"), "pictures": pictures, "channels": 3, "mirrored": 0.5}
    return Seen(**values | {"gpu": False, "family": True} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "gpu", "size"),
    [
        ({(28, 28): 9}, False, "32x32"),
        ({(32, 32): 9}, False, "32x32"),
        ({(40, 45): 9}, False, "48x48"),
        ({(64, 50): 9}, False, "64x64"),
        ({(480, 640): 9}, False, "96x128"),
        ({(640, 480): 9}, False, "128x96"),
        ({(480, 640): 9}, True, "192x256"),
        ({(500, 500): 5, (20, 20): 4}, False, "112x112"),
        ({(100, 2000): 9}, False, "80x160"),
    ],
)
def test_the_input_suits_the_pictures(sizes: Mapping[tuple[int, int], int], gpu: bool, size: str) -> None:
    network, choice = settle_input(NetworkSettings(), sizes, gpu)
    assert network.size == choice.said == size


def test_what_was_asked_for_stays() -> None:
    asked = NetworkSettings(model="conv3-8 globalavg FC", size="24x20")
    network, choice = settle_input(asked, {(480, 640): 1}, False)
    assert (network, choice.why) == (asked, "as asked")
    assert settle_network(network, seen())[0].size == "3x24x20"
    recipe = Recipe(epochs=2, batch_size=5, augment="none", lr=0.1, smoothing=0.3, optimizer="sgd")
    settled, _ = settle_recipe(recipe, network, seen(100))
    for name in ("epochs", "batch_size", "augment", "lr", "smoothing", "optimizer"):
        assert getattr(settled, name) == getattr(recipe, name)


def test_lenet_is_for_small_grey_digits_alone() -> None:
    small = NetworkSettings(size="32x32")
    assert settle_network(small, seen(classes=DIGITS, channels=1))[0].model == "lenet5"
    for other in (seen(classes=DIGITS), seen(channels=1)):
        assert settle_network(small, other)[0].model != "lenet5"
    assert (
        settle_network(NetworkSettings(size="48x48"), seen(classes=DIGITS, channels=1))[0].model != "lenet5"
    )


def test_larger_pictures_go_through_a_stem() -> None:
    small, large = (
        settle_network(NetworkSettings(size=size), seen())[0].model for size in ("64x64", "96x128")
    )
    assert small is not None
    assert large is not None
    assert "s2" not in small
    assert large.startswith("conv5-16 s2")


@pytest.mark.parametrize(
    ("what", "augment"),
    [
        (seen(), "photo"),
        (seen(mirrored=0.95), "shift(0.1)+reflect"),
        (seen(30, mirrored=0.75), "photo"),
        (seen(classes=("a", "b")), "distortions"),
        (seen(20_000, classes=DIGITS, channels=1), "none"),
    ],
)
def test_pictures_are_mirrored_only_where_they_may_be(what: Seen, augment: str) -> None:
    network, _ = settle_network(NetworkSettings(size="32x32"), what)
    assert settle_recipe(Recipe(), network, what)[0].augment == augment


def test_many_small_pictures_get_a_broader_network_and_larger_batches() -> None:
    for pictures, size, batch in [(20_000, "32x32", 64), (20_001, "32x32", 128), (20_001, "96x96", 64)]:
        network, _ = settle_network(NetworkSettings(size=size), seen(pictures))
        recipe, _ = settle_recipe(Recipe(), network, seen(pictures))
        assert network.model is not None
        assert ("res(" in network.model) == (batch == 64)
        assert recipe.batch_size == batch
    for seconds, first in [(None, 24), (600, 24), (1000, 36)]:
        network, _ = settle_network(NetworkSettings(size="32x32"), seen(25_000, seconds=seconds))
        assert (network.model or "").startswith(f"conv3-{first} ")
    asked = settle_recipe(Recipe(smoothing=0.05, warmup=0.3), network, seen(20_001))[0]
    assert (asked.smoothing, asked.warmup) == (0.05, 0.3)


@given(st.integers(2, 100_000))
def test_a_run_makes_enough_passes_and_steps(pictures: int) -> None:
    for what in (seen(pictures), seen(pictures, family=False), seen(pictures, classes=DIGITS, channels=1)):
        network, _ = settle_network(NetworkSettings(size="32x32"), what)
        recipe, _ = settle_recipe(Recipe(), network, what)
        assert recipe.epochs is not None
        assert recipe.batch_size is not None
        many = what.family and pictures > 20_000
        least, steps = (7 if many else 16, 400) if recipe.optimizer == "muon" else (20, 1_500)
        assert recipe.epochs >= least
        assert recipe.epochs * -(-pictures // recipe.batch_size) >= steps
        assert recipe.batch_size <= pictures


@given(st.floats(1, 1e6), st.lists(st.floats(0.01, 0.99), max_size=3), st.floats(0, 1))
def test_a_budget_is_used_from_nothing_to_all(total: float, marks: list[float], used: float) -> None:
    budget = Budget(total, restarts=tuple(sorted({mark * total for mark in marks})))
    assert 0 < budget.share(used * total) <= 1
    assert budget.share(total) == 1
    assert budget.ended(total)
    assert budget.left(used * total) == pytest.approx(1 - used, abs=1e-6)
