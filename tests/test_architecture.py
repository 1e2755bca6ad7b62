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
        "cli",
    ),
]
SOURCES = sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The cnnatomy modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {name for name in found if name.split(".")[0] == "cnnatomy"}


def layer(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_only_upward(path: Path) -> None:
    home = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if home in ("__init__", "__main__"):
        return
    assert home in LAYERS, f"{home} has no place among the layers"
    for module in imported(path):
        target = layer(module)
        if target is not None:
            assert LAYERS.index(target) <= LAYERS.index(home), f"{home} imports {module}"


OTHER_MEANINGS = {
    ("ops", "padding.py"): "np.pad has modes of the same names",
    ("ops", "filler.py"): "np.pad has modes of the same names",
    ("anatomy", "costs", "pointwise.py"): "torch has operators of the same names",
    ("anatomy", "costs", "windows.py"): "torch has operators of the same names",
    ("export", "deployed.py"): "the mean of pictures",
    ("explain", "families", "padding.py"): "np.pad has modes of the same names",
    ("explain", "reading.py"): "formulas have functions of the same names",
    ("models", "standardised.py"): "the mean of pictures",
    ("models", "weights", "preprocessing.py"): "the mean of pictures",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_reducer_is_special_cased(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if parts[0] == "reducers" or parts in (("__init__.py",), ("nn", "dropin.py")):
        return  # where they are written, exported, and named as in torch.nn
    if parts in OTHER_MEANINGS:
        return
    literals = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
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
