"""Support vector machines of scikit-learn: on principal components of pixels, and on gradients and colours.

python -m benchmarks.training_peers.with_sklearn pixels FOLDER ANSWER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.color import rgb2hsv
from skimage.feature import hog
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.training_peers.peer import Answer, Job, main

COMPONENTS, BINS = 100, 8
C = 10.0

Array = np.ndarray[Any, Any]


def read(folder: Path) -> tuple[Array, Array]:
    """The pictures (N, 32, 32, 3) of a folder of classes, and the names of their classes."""
    paths = sorted(folder.glob("*/*"))
    pictures = [np.asarray(Image.open(path).convert("RGB").resize((32, 32))) for path in paths]
    return np.stack(pictures), np.array([path.parent.name for path in paths])


def gradients(pictures: Array) -> Array:
    """Histograms of oriented gradients, and of hue, saturation and value in each quarter of the picture."""
    return np.stack([np.concatenate([_oriented(one), *_coloured(one)]) for one in pictures])


def _oriented(picture: Array) -> Array:
    found: Array = hog(picture, pixels_per_cell=(4, 4), cells_per_block=(2, 2), channel_axis=-1)
    return found


def _coloured(picture: Array) -> list[Array]:
    hsv = rgb2hsv(picture)
    halves = slice(0, 16), slice(16, 32)
    quarters = [hsv[rows, columns] for rows in halves for columns in halves]
    return [
        np.histogram(quarter[..., i], BINS, (0, 1))[0] / quarter[..., i].size
        for quarter in quarters
        for i in range(3)
    ]


def pixels(job: Job) -> Answer:
    """Principal components of raw pixels."""
    machine = make_pipeline(PCA(COMPONENTS, whiten=True, random_state=job.seed), SVC(C=C))
    return _judged(job, machine, lambda pictures: pictures.reshape(len(pictures), -1) / 255, "pixels, PCA")


def features(job: Job) -> Answer:
    """Oriented gradients and colours."""
    return _judged(job, make_pipeline(StandardScaler(), SVC(C=C)), gradients, "HOG, colour histogram")


def _judged(job: Job, machine: Any, describe: Callable[[Array], Array], words: str) -> Answer:
    (train, names), (test, truth) = read(job.train), read(job.test)
    machine.fit(describe(train), names)
    return Answer(float(machine.score(describe(test), truth)), f"{words}, SVM")


if __name__ == "__main__":
    main({"pixels": pixels, "features": features}[sys.argv.pop(1)], 0, "scikit-learn", "scikit-image")
