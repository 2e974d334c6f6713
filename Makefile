# `make demo` and `make test` need Python 3.11 or newer and nothing else; `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off

export PYTHON VENV PYTEST_ARGS
ifneq ($(wildcard ../shared/data),)
export FASTANN_DATA ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format types wheel-test bench-table lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: $(STAMP)  ## create .venv with the locked versions of everything

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "fastann needs Python 3.11 or newer: $(PYTHON) was not found; install it or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "fastann needs Python 3.11 or newer, $(PYTHON) is %d.%d: name another one with make PYTHON=python3.12" % v[:2])'
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "installing the build tools"
	@$(PIP) --constraint constraints.txt hatchling editables
	@echo "installing fastann and the locked packages, some 300 MB: a minute or two"
	@$(PIP) --constraint constraints.txt --no-build-isolation --editable '.[all]'
	@touch $(STAMP)
	@echo "installed in $(VENV)"

demo: $(STAMP)  ## train on the data sets of scikit-learn on every backend; table and plots
	@$(BIN)/fastann demo

test: $(STAMP)  ## run the tests
	@$(BIN)/python -m pytest --numprocesses auto $(PYTEST_ARGS)

lint: $(STAMP)  ## check style and format with ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(STAMP)  ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(STAMP)  ## check types with mypy
	@$(BIN)/mypy

wheel-test: $(STAMP)  ## build the wheel, run the tests against it with the source out of sight
	@bash .ci/wheel-test

bench-table: $(STAMP)  ## put the newest comparison with other libraries into the README
	@$(BIN)/python benchmarks/table.py

lock: $(STAMP)  ## renew constraints.txt
	@$(PIP) uv
	@$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --upgrade --no-header --no-annotate \
	  --extra all --extra mkl --output-file constraints.txt pyproject.toml

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find fastann kernels tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
