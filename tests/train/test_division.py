"""Which pictures train and which choose: every class gives its share, and keeps one."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.data import Dataset, FitReport, Pictures
from cnnatomy.data.data_settings import DataSettings
from cnnatomy.train.division import divide

COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=5)


def dataset(counts: list[int], validation: int = 0) -> Dataset:
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    names = tuple(map(str, range(len(counts))))

    def part(labels: torch.Tensor) -> Pictures:
        count = len(labels)
        return Pictures(
            torch.zeros(count, 1, 1, 1, dtype=torch.uint8), labels, names, list(map(str, range(count)))
        )

    held = part(labels[:validation]) if validation else None
    fitted = FitReport("letterbox", (1, 1), {(1, 1): len(labels)})
    return Dataset("made up", part(labels), part(labels), fitted, (), (), "", held)


@given(COUNTS, st.floats(0, 0.99), st.integers(0, 5))
def test_held_out_pictures_are_never_trained_on(counts: list[int], share: float, seed: int) -> None:
    data = dataset(counts)
    kept, held = divide(data, DataSettings(validation=share), seed)
    names = [] if held is None else [int(name) for name in held.names]
    assert sorted(kept.tolist() + names) == list(range(sum(counts)))
    left = data.train.labels[kept].bincount(minlength=len(counts))
    assert left.min() >= 1
    assert abs(len(names) - share * sum(counts)) <= len(counts)


@given(COUNTS, st.integers(2, 100), st.floats(0.01, 1.0))
def test_a_limit_leaves_every_class(counts: list[int], limit: int, share: float) -> None:
    data = dataset(counts)
    kept, _ = divide(data, DataSettings(limit=limit, train_fraction=share), seed=1)
    most = min(limit, share * sum(counts))
    assert len(kept) <= max(most + 1, len(counts))
    assert len(set(kept.tolist())) == len(kept)
    assert data.train.labels[kept].bincount(minlength=len(counts)).min() >= 1


def test_a_folder_of_its_own_chooses_and_nothing_is_held_out() -> None:
    data = dataset([30, 30], validation=8)
    kept, held = divide(data, DataSettings(validation=0.5), seed=0)
    assert len(kept) == 60
    assert held is data.validation


def test_the_draw_is_that_of_the_seed() -> None:
    data, settings = dataset([50, 50]), DataSettings(limit=20)
    first, again, other = (divide(data, settings, seed).kept.tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert first == sorted(first)
