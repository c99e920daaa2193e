# `make` alone lists the targets. Needs Python 3.11 or newer and make; everything else goes into .venv.
#
# One environment for all targets, development tools included: beside torch they weigh little,
# and `make demo` followed by `make test` then installs once.

# The first Python that is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP_ARGS ?=
# Two test processes: tests use one thread each, and each process holds its own copy of torch.
WORKERS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all test-lowest check docs notebooks format dist bench pictures clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo "  PYTHON=…  the interpreter for .venv    PIP_ARGS=…  options for pip install    WORKERS=…  test processes"

install: $(STAMP) ## create .venv with nasformer and its development tools

# Made once, and again when pyproject.toml changes.
$(STAMP): pyproject.toml
	@"$(or $(PYTHON),python3)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "nasformer needs Python 3.11 or newer, found $$("$(or $(PYTHON),python3)" --version 2>&1 | tail -n 1); name one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv || \
		{ echo "$(PYTHON) could not make .venv (on Debian and Ubuntu: apt install python3-venv)" >&2; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) -e '.[dev]'
	@touch $@

demo: $(STAMP) ## train, search and report on small real images, in a few minutes
	$(BIN)/nasformer demo

test: $(STAMP) ## run the fast tests
	$(PYTEST)

test-all: $(STAMP) ## run all tests, including slow ones
	$(PYTEST) -m "slow or not slow"

test-lowest: $(STAMP) ## run the fast tests with the lowest versions of all dependencies
	.ci/lowest

check: $(STAMP) ## check lint, format, types and import order, as in CI
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(STAMP) ## build the documentation in build/site; warnings and broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html: view it with $(BIN)/python -m http.server -d build/site"

notebooks: $(STAMP) ## make the notebooks of docs/tutorials from their pages
	$(BIN)/jupytext --quiet --update --to ipynb docs/tutorials/own-strategy.md docs/tutorials/photos.md

format: $(STAMP) ## fix lint errors and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

dist: $(STAMP) ## build wheel and sdist, and check them
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

bench: $(STAMP) ## run all self-contained benchmarks; each prints ratios to a reference of the same run
	@set -e; for file in $(filter-out benchmarks/checkpoint.py benchmarks/diagnosis.py benchmarks/pictures.py,$(wildcard benchmarks/[!_]*.py)); do echo "== $$file"; $(BIN)/python "$$file"; done

pictures: $(STAMP) ## make the pictures of README and docs again, from the demo and a race; missing runs are made first
	$(BIN)/python docs/pictures.py
	$(BIN)/python benchmarks/pictures.py

clean: ## remove build outputs and tool caches; .venv and runs are kept
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	find nasformer strategies spaces tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
