# A machine with Python 3.11 or newer and make is enough: every target installs what it needs into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COUNT ?= 20
SEED ?= 0
# Tests start processes: each would compile the package anew where bytecode is not kept.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help core demo dist docs test test-all lint types check slow mutants bench clean

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(READY)  ## Train LeNet-5 on real handwritten digits and show the result.
	$(BIN)/cnnatomy train digits

test: $(READY)  ## Run every test, of many combinations a seeded part.
	$(BIN)/python -m pytest -n auto --dist worksteal -q

test-all: $(READY)  ## Run every test in every combination.
	$(BIN)/python -m pytest -n auto --dist worksteal -q --all-combinations --durations=40

lint: $(READY)  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types.
	$(BIN)/mypy

check: test lint types  ## Everything that must pass before a change lands.

slow: $(READY)  ## Run the long checks as well, against other tools too.
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[counters,ray]'
	$(BIN)/python -m pytest -n auto --dist worksteal -q --all-combinations -m "slow or not slow"

mutants: $(READY)  ## Change the code in small ways, and see whether its tests notice (PARTS="geometry data", COUNT, SEED).
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	$(BIN)/python scripts/mutants.py --count $(COUNT) --seed $(SEED) $(PARTS)

docs: $(READY)  ## Build the documentation's site into build/site.
	$(BIN)/python -m sphinx -q -W --keep-going -c scripts/site docs build/site

dist: $(READY)  ## Build the wheel and the sdist, and use the wheel in a new environment.
	$(BIN)/python -m build --outdir dist
	$(BIN)/python scripts/fresh.py dist

bench: $(READY)  ## Compare pooling with its peers.
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.pooling --dtypes float32 --budget 3600

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cnnatomy needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

core:  ## Run the core of the tests on another torch: make core TORCH_PYTHON=path/to/python
	python3 scripts/core.py $(TORCH_PYTHON)

clean:  ## Remove the environment and what tools leave behind.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
