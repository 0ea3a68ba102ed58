# segnode: `make demo` runs the demonstration, `make test` the tests; `make help` lists all targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RELEASE := $(VENV)/.release-tools
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint bench bench-compare screenshots constraints licences sbom audit digests wheelhouse clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

$(STAMP): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "segnode needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo 'Installing segnode and its dependencies into $(VENV); this takes several minutes ...'
	$(BIN)/pip install --disable-pip-version-check --progress-bar on --constraint deploy/constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## run the node on a phantom and show the result (ARGS=--exit: stop after it)
	$(BIN)/segnode demo $(ARGS)

test: $(STAMP)  ## run all tests (ARGS=tests/unit/cli: one package); skips say what to install
	@# The node's processes start faster from compiled modules, where the environment forbids them, too.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 \
	  $(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# The modules with a plain form, by the table in CONTRIBUTING.md.
PLAIN_SITES = tests/faults/test_clock.py tests/faults/test_destination_alert.py tests/faults/test_load.py \
  tests/faults/test_no_secret_is_kept.py tests/faults/test_pacs_outage.py \
  tests/faults/processes/test_configuration_switch.py tests/faults/processes/test_crash_matrix.py \
  tests/faults/processes/test_kill.py tests/faults/processes/test_parts_kill.py \
  tests/faults/processes/test_reload.py tests/faults/processes/test_retrieval_kill.py \
  tests/faults/processes/test_rolling_upgrade.py tests/faults/processes/test_supervisor.py \
  tests/faults/processes/test_two_hosts.py tests/faults/processes/test_watchdog.py \
  tests/faults/processes/test_worklist_kill.py tests/faults/storage/test_backup_under_load.py \
  tests/faults/storage/test_database_gone.py tests/faults/storage/test_disk_full.py \
  tests/faults/storage/test_disk_full_at_work.py

soak: $(STAMP)  ## long variants: 2000 series, 140 kills of processes, 5000 damaged instances, 20 scans; sites without TLS
	SEGNODE_REAL_STARTS=1 SEGNODE_ALL_WINDOWS=1 SEGNODE_LOAD_SERIES=250 SEGNODE_CRASH_ROUNDS=5 SEGNODE_MODEL_SCANS=20 SEGNODE_DAMAGED_INSTANCES=5000 \
	  $(BIN)/pytest -s tests/faults/test_load.py tests/faults/processes/test_crash_matrix.py \
	  tests/faults/processes/test_parts_kill.py \
	  tests/faults/input/test_malformed.py tests/faults/input/test_malformed_pdus.py \
	  tests/faults/input/test_malformed_uploads.py tests/unit/models/test_shipped_models.py \
	  tests/web/test_configuration.py tests/web/test_overview.py tests/web/test_rules.py tests/web/test_series_list.py $(ARGS)
	SEGNODE_REAL_STARTS=1 SEGNODE_PLAIN_SITES=1 $(BIN)/pytest $(PLAIN_SITES) $(ARGS)

lint: $(STAMP)  ## check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy orthanc/on_stable_series.py
	$(BIN)/lint-imports

bench: $(STAMP)  ## measure reception beside other receivers, and the time of each stage
	$(BIN)/python -m tests.bench $(ARGS)

bench-compare: $(STAMP)  ## the effect of a change, from two reports: make bench-compare A.json B.json
	$(BIN)/python -m tests.bench.comparison $(filter %.json,$(MAKECMDGOALS)) $(ARGS)

%.json: ;

screenshots: $(STAMP)  ## pictures of every page of the console, and of the README (ARGS=FOLDER)
	$(BIN)/python -m tests.screenshots $(ARGS)

$(RELEASE): $(STAMP)
	$(BIN)/pip install --disable-pip-version-check --constraint deploy/constraints.txt --editable '.[release]'
	@touch $@

constraints: $(RELEASE)  ## pin all dependencies, those of the images with hashes (ARGS=--upgrade: the newest)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python deploy/tools/lock.py $(ARGS)

licences: $(STAMP)  ## compare the licences of the dependencies with deploy/licences.toml
	$(BIN)/python deploy/tools/licences.py

sbom: $(RELEASE)  ## list all dependencies of an installation as CycloneDX, dist/segnode.cdx.json
	@mkdir -p dist
	cat deploy/locked/node.txt deploy/locked/s3.txt deploy/locked/onnx.txt deploy/locked/cuda.txt | \
	  $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/segnode.cdx.json -

audit: $(RELEASE)  ## ask the advisory database of PyPI about the dependencies
	$(BIN)/pip-audit --strict --no-deps --disable-pip $(foreach list,node s3 onnx cuda,--requirement deploy/locked/$(list).txt)

digests:  ## pin the base images by the digests that their tags have now; needs Docker
	$(PYTHON) deploy/tools/pin_images.py

wheelhouse: $(RELEASE)  ## wheels for an installation without internet, as deploy/containers.md explains
	PATH="$(CURDIR)/$(BIN):$$PATH" deploy/tools/wheelhouse.sh wheelhouse

clean:  ## remove the virtual environment, caches and build outputs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist wheelhouse *.egg-info
