# Everything a newcomer and CI need. `make help` lists it.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := registry builders client tests benchmarks examples docs .ci
PYTEST := $(BIN)/python -m pytest
JOBS ?= 2
# Compiled modules are kept: the tests start hundreds of processes, which would compile everything anew where this is set.
export PYTHONDONTWRITEBYTECODE :=
PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder
FAST := not train and not s3 and not browser and not slow and not process

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast cover mutants check format golden dist lock results serve clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(READY) ## make .venv with everything, pinned and hash-checked

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python found; install Python 3.11 or newer, or say: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; say: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/zoo devices install web-wasm || echo "files cannot be measured in a browser yet; everything else works"
	@touch $@

demo: $(READY) ## build a family on real data, publish, search by budget, pull, run
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh

test: $(READY) ## all tests, those that train and those with real servers too; JOBS=4 for more at a time
	$(PYTEST) -q $(PARALLEL)

test-fast: $(READY) ## in under a minute: only the tests that neither train, start processes nor try many examples
	$(PYTEST) -q $(PARALLEL) -m "$(FAST) and not hypothesis"

cover: $(READY) ## branch coverage of the fast tests, by package
	$(PYTEST) -q $(PARALLEL) -m "$(FAST)" --cov --cov-report=
	$(BIN)/python .ci/cover.py

mutants: $(READY) ## change the code that decides, one change at a time: a test must notice each; ONLY="goals proof" for some
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	$(BIN)/python .ci/mutants.py $(ONLY)

check: $(READY) ## style, types and import contracts, as CI runs them
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## rewrite the sources in the house style
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

golden: $(READY) ## make golden files, the manifest schema and the reference again
	$(PYTEST) -q --golden -m golden

dist: $(READY) ## build wheel and sdist, check them, try the wheel alone in a fresh environment
	.ci/dist $(BIN)/python

results: $(READY) ## measure the shipped manifests again and write docs/results.md
	PATH="$(abspath $(BIN)):$$PATH" sh examples/results.sh

serve: $(READY) ## the registry and its pages, on http://127.0.0.1:8080
	$(BIN)/zoo serve

lock: ## resolve the dependencies again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra registry pyproject.toml -o requirements-registry.lock

clean: ## remove the environment; builds and caches in .zoo stay
	rm -rf $(VENV)
