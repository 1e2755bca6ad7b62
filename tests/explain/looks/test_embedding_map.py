"""A map of pictures: PCA by its covariance, and neighbours that stay neighbours."""

from __future__ import annotations

import sys

import pytest
import torch

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import laid_out
from cnnatomy.explain.looks.embedding_map import methods


def clusters() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    middles = 10 * torch.randn(3, 8, generator=generator)
    labels = torch.arange(60) % 3
    return middles[labels] + torch.randn(60, 8, generator=generator), labels


def test_pca_is_the_projection_on_the_largest_eigenvectors() -> None:
    x, _ = clusters()
    centred = x.double() - x.double().mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    at = laid_out(x)
    torch.testing.assert_close(at.square().sum(0), values.flip(0)[:2])
    torch.testing.assert_close(at.abs(), (centred @ vectors.flip(1)[:, :2]).abs())
    assert torch.equal(laid_out(x), laid_out(x))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_neighbours_stay_together(method: str) -> None:
    x, labels = clusters()
    at = laid_out(x, method)  # type: ignore[arg-type]
    nearest = (torch.cdist(at, at) + torch.eye(60) * 1e9).argmin(1)
    assert bool((labels[nearest] == labels).all())
    assert torch.equal(at, laid_out(x, method))  # type: ignore[arg-type]


def test_features_of_one_number_lie_on_a_line() -> None:
    assert laid_out(torch.tensor([[1.0], [2.0], [4.0]]))[:, 1].tolist() == [0, 0, 0]


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setattr("cnnatomy.explain.looks.embedding_map.find_spec", lambda name: None)
    assert methods() == ["pca"]
    with pytest.raises(ArgumentError, match="try pip install umap-learn"):
        laid_out(torch.rand(5, 3), "umap")
    with pytest.raises(ArgumentError, match="expected 3 of them or more, got 2"):
        laid_out(torch.rand(2, 3))
