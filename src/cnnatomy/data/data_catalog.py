"""What `load` knows by name: the built-in sources, their files, their checksums (standard library only)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cnnatomy.errors import ArgumentError
from cnnatomy.files.remote import Remote as Remote

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Source:
    """A set of pictures with a name: one line for people, its classes, where it comes from."""

    name: str
    summary: str
    classes: tuple[str, ...]
    reference: str
    files: tuple[Remote, ...] = ()


def _idx_files(folder: str, base: str, files: Iterable[tuple[str, int, str]]) -> tuple[Remote, ...]:
    return tuple(Remote(f"{folder}/{name}", base + name, size, digest) for name, size, digest in files)


_MNIST_FILES = _idx_files(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    [
        (
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ],
)

# The REST address of the bucket: the better known website address answers over plain http only.
_FASHION_FILES = _idx_files(
    "fashion-mnist",
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    [
        (
            "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ],
)

_CIFAR10_FILES = (
    Remote(
        "cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source(
                "digits",
                "1,797 handwritten digits, 8x8 grey, part of the package",
                DIGITS,
                "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (CC BY 4.0)",
            ),
            Source(
                "mnist",
                "70,000 handwritten digits, 28x28 grey (60,000 train, 10,000 test)",
                DIGITS,
                "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Proc. IEEE 86(11), 1998",
                _MNIST_FILES,
            ),
            Source(
                "fashion-mnist",
                "70,000 pieces of clothing, 28x28 grey (60,000 train, 10,000 test)",
                (
                    "T-shirt/top",
                    "Trouser",
                    "Pullover",
                    "Dress",
                    "Coat",
                    "Sandal",
                    "Shirt",
                    "Sneaker",
                    "Bag",
                    "Ankle boot",
                ),
                "H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017 (MIT)",
                _FASHION_FILES,
            ),
            Source(
                "cifar10",
                "60,000 photos of animals and vehicles, 32x32 colour (50,000 train, 10,000 test)",
                (
                    "airplane",
                    "automobile",
                    "bird",
                    "cat",
                    "deer",
                    "dog",
                    "frog",
                    "horse",
                    "ship",
                    "truck",
                ),
                "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
                _CIFAR10_FILES,
            ),
        )
    }
)


def one_of(what: str, name: str, known: Iterable[str], *, also: str | None = None) -> str:
    """Return `name` if it is known; otherwise raise an `ArgumentError` that names the nearest one.

    `also` says what else would have been understood.

    Example:
        >>> one_of("fit policy", "crop", ["letterbox", "crop"])
        'crop'
        >>> one_of("fit", "corp", ["letterbox", "crop"])
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: unknown fit: expected letterbox or crop, got 'corp'; try 'crop'
    """
    names = list(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) if isinstance(name, str) else []
    raise ArgumentError(
        f"unknown {what}",
        expected=" or ".join(filter(None, [", ".join(names[:-1]), names[-1], also])),
        got=repr(name),
        hint=repr(near[0]) if near else None,
    )
