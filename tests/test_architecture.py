"""The shape of the package: imports go up the layers, no name is special-cased, importing is cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cnnatomy
import cnnatomy.reducers
from cnnatomy.reducers import REGISTRY
from scripts import layers
from scripts.layers import imported, nodes

ROOT = Path(cnnatomy.__file__).parent
LAYERS = [
    *("lazy", "errors", "checks", "files", "spec", "geometry", "regions", "reducers", "backends"),
    *("ops", "filters", "nn"),
    *(
        "adapt",
        "notation",
        "models",
        "anatomy",
        "data",
        "train",
        "export",
        "report",
        "runs",
        "studies",
        "explain",
        "lab",
        "cli",
    ),
]
SOURCES = sorted(ROOT.rglob("*.py"))


def layer(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else None


def test_imports_go_only_upward() -> None:
    down = []
    for path in SOURCES:
        home = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if home in ("__init__", "__main__"):
            continue
        assert home in LAYERS, f"{home} has no place among the layers"
        targets = {module: layer(module) for module in imported(path)}
        down += [
            f"{path.relative_to(ROOT)} imports {module}"
            for module, target in targets.items()
            if target is not None and LAYERS.index(target) > LAYERS.index(home)
        ]
    assert not down


def test_the_picture_of_the_layers_is_drawn_from_the_imports() -> None:
    told = "draw it again with python scripts/layers.py"
    assert layers.PICTURE.read_text(encoding="utf-8") == layers.drawing(), told
    order = {name: place for place, name in enumerate(LAYERS)}
    assert all(order[lower] < order[upper] for upper, below in layers.imports().items() for lower in below)


def test_every_file_that_the_walks_name_is_there() -> None:
    text = (ROOT.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = text.partition("## `MaxPool2d")[2]
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", walks))
    known = {path.relative_to(ROOT).as_posix() for path in SOURCES}
    folders = {f"{path.rpartition('/')[0]}/" for path in known}
    missing = {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in known | folders)}
    assert named
    assert not missing


def test_file_names_are_told_apart() -> None:
    """Two rooms with a file of one name send a reader to the wrong one."""
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        room, own = path.relative_to(ROOT).parent.as_posix(), path.name
        if own not in ("__init__.py", "__main__.py", "errors.py") and room != "cli":  # named as its command
            places.setdefault(own, []).append(room)
    assert not {name: rooms for name, rooms in places.items() if len(rooms) > 1}


OTHER_MEANINGS = {
    ("ops", "decompositions.py"): "torch has operators of the same names",
    ("ops", "padding.py"): "np.pad has modes of the same names",
    ("ops", "border_values.py"): "np.pad has modes of the same names",
    ("anatomy", "costs", "pointwise_costs.py"): "torch has operators of the same names",
    ("anatomy", "costs", "window_costs.py"): "torch has operators of the same names",
    ("export", "deployed.py"): "the mean of pictures",
    ("explain", "families", "padding_family.py"): "np.pad has modes of the same names",
    ("explain", "expression_reading.py"): "formulas have functions of the same names",
    ("lab", "picture_view.py"): "which two are compared at first",
    ("lab", "worked_examples.py"): "an example is of one operator",
    ("models", "standardised.py"): "the mean of pictures",
    ("models", "weights", "preprocessing.py"): "the mean of pictures",
}


RETIRED = {
    "shelf": "source",
    "shelves": "sources",
    "album": "decoded set",
    "heard": "caught, received",
    "brought": "given",
    "told": "what it is: arguments, metadata, listener",
    "asked": "what it is: wanted, question, named",
    "uncollected": "pause of the garbage collector",
    "framing": "padding",
    "strangers": "unknown",
    "abreast": "together",
}
"""Words that once named things, and what to say for them."""
KEPT = {"told": ("studies", "lab", "cli", "input_sizes.py"), "asked": ("lab",), "heard": ("lab",)}
"""Where they are still the name of something that a caller gives, gets, or sees."""
SENTENCES = ("in peace", "as little ado", "outputs tell", "take no strangers", "who watches a call")


def test_retired_words_name_nothing() -> None:
    """The field has words for these; CONTRIBUTING lists the few of our own."""
    found = []
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        for name in {name for node in nodes(path) if (name := defined(node))}:
            words = set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")) & set(RETIRED)
            found += [
                f"{'/'.join(parts)}: {name}; say {RETIRED[word]}"
                for word in words
                if not set(KEPT.get(word, ())) & set(parts)
            ]
        text = path.read_text(encoding="utf-8").lower()
        found += [f"{'/'.join(parts)}: {words!r}" for words in SENTENCES if words in text]
    assert not found


def defined(node: ast.AST) -> str | None:
    """The name that a piece of code gives to something."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.id if isinstance(node, ast.Name) else node.attr
    return None


def test_no_reducer_is_special_cased() -> None:
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        if parts[0] == "reducers" or parts in (("__init__.py",), ("nn", "dropin.py")):
            continue  # where they are written, exported, and named as in torch.nn
        if parts in OTHER_MEANINGS:
            continue
        literals = {
            node.value
            for node in nodes(path)
            if isinstance(node, ast.Compare | ast.Match | ast.Dict)
            for node in ast.walk(node)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not literals & set(REGISTRY), f"{path} tells reducers apart by name"


def test_geometry_needs_only_the_standard_library() -> None:
    assert loaded_by("cnnatomy.geometry") == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("cnnatomy") == set()


def test_public_names_exist_and_are_all() -> None:
    for name in cnnatomy.__all__:
        assert getattr(cnnatomy, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'pol'"):
        _ = cnnatomy.pol


def test_every_pooling_is_exported() -> None:
    """Its file is found by itself; the lists are for type checkers and `import *`."""
    own = {kind.__name__ for kind in REGISTRY.values() if kind.__module__.startswith("cnnatomy.")}
    for package in (cnnatomy, cnnatomy.reducers):
        missing = own - set(package.__all__)
        assert not missing, f"{package.__name__}: import {missing}, and name it in __all__"


def test_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", cnnatomy.__version__)


def loaded_by(module: str) -> set[str]:
    """The heavy packages that importing a module loads, in a process of its own."""
    command = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return {"torch", "numpy", "llvmlite", "rich", "tyro", "PIL"} & set(done.stdout.split())
