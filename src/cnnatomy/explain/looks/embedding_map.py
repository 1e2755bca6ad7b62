"""Pictures laid out in two dimensions by what a network makes of them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError

Method = Literal["pca", "tsne", "umap"]
FEWEST = 3
"""Pictures that make a map."""
LIBRARIES = {"tsne": "sklearn", "umap": "umap"}
"""What each method is taken from, where it is installed."""


def methods() -> list[Method]:
    """The methods that are at hand: PCA always.

    Example:
        >>> methods()[0]
        'pca'
    """
    found: list[Method] = ["pca"]
    return found + [name for name in ("tsne", "umap") if find_spec(LIBRARIES[name])]


def laid_out(features: Tensor, method: Method = "pca", seed: int = 0) -> Tensor:
    """Places (N, 2) of features (N, D), near ones near each other.

    PCA: the projection on the two directions in which the features spread most; each is turned so that its
    largest magnitude is positive. t-SNE (scikit-learn) and UMAP (umap-learn) keep neighbours, not distances.

    Args:
        features: one row for each picture, such as `cnnatomy.models.embedding.embedded` gives.
        method: `"pca"`, `"tsne"` or `"umap"`.
        seed: of the methods that draw.

    Raises:
        ArgumentError: the library of the method is not installed, or there are too few pictures.

    Example:
        >>> x = torch.tensor([[0.0, 0, 1], [2, 0, 1], [4, 1, 1], [6, 0, 1]])
        >>> laid_out(x)[:, 0].round().tolist()
        [-3.0, -1.0, 1.0, 3.0]
    """
    if len(features) < FEWEST:
        raise ArgumentError("a map of pictures", expected=f"{FEWEST} of them or more", got=str(len(features)))
    if method not in methods():
        library = LIBRARIES.get(method)
        hint = f"pip install {'scikit-learn' if library == 'sklearn' else 'umap-learn'}" if library else None
        raise ArgumentError(
            "there is no such map here", expected=", ".join(methods()), got=repr(method), hint=hint
        )
    x = features.detach().cpu().double()
    x = x - x.mean(0)
    if method == "pca":
        return _principal(x)
    if method == "tsne":
        from sklearn.manifold import TSNE

        near = min(30.0, (len(x) - 1) / 3)
        made = TSNE(2, perplexity=near, init="pca", method="exact", random_state=seed).fit_transform(
            x.numpy()
        )
    else:
        from umap import UMAP

        made = UMAP(n_components=2, random_state=seed).fit_transform(x.numpy())
    return torch.as_tensor(made, dtype=torch.float64)


def _principal(x: Tensor) -> Tensor:
    left, sizes, right = torch.linalg.svd(x, full_matrices=False)
    places: Tensor = left[:, :2] * sizes[:2]
    if places.shape[1] < 2:
        return torch.cat([places, torch.zeros_like(places)], 1)
    largest = right[:2].gather(1, right[:2].abs().argmax(1, keepdim=True)).squeeze(1)
    turned: Tensor = places * largest.sign()
    return turned
