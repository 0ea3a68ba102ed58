# segnode: `make demo` to see it work, `make test` to check it, `make help` for the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint bench clean

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "segnode needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## run the node on a phantom and show the result (ARGS=--exit to stop after it)
	$(BIN)/segnode demo $(ARGS)

test: $(STAMP)  ## every test; those whose server is not installed say how to install it
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile $(ARGS)

soak: $(STAMP)  ## the long variants: 2000 series, 140 kills of the node's processes, 20 scans for the liver model
	SEGNODE_LOAD_SERIES=250 SEGNODE_CRASH_ROUNDS=5 SEGNODE_MODEL_SCANS=20 \
	  $(BIN)/pytest -s tests/faults/test_load.py tests/faults/processes/test_crash_matrix.py \
	  tests/unit/models/test_shipped_models.py $(ARGS)

lint: $(STAMP)  ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy orthanc/on_stable_series.py
	$(BIN)/lint-imports

bench: $(STAMP)  ## the time of each stage, side by side
	$(BIN)/python -m tests.bench $(ARGS)

clean:  ## remove what was made here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
