# Everything a newcomer or CI needs; `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One file says which extras an environment has, so that make knows when to install again.
DEMO_READY := $(VENV)/.installed-demo
DEV_READY := $(VENV)/.installed-dev

.PHONY: help demo test check lint format clean bench model kills long soak fuzz

help:
	@echo "make demo    the sample project in the workbench (headless without a terminal)"
	@echo "make test    the test suite, but for what takes minutes"
	@echo "make check   ruff, mypy --strict, import contracts and the tests"
	@echo "make bench   the figures of benchmarks/README.md, measured again"
	@echo "make model   a million steps of random histories through the decision core, on all cores"
	@echo "make kills   kill -9 of loop, supervisor, stage, promotions, sweeps and the store's writers, 20 times in each phase"
	@echo "make long    soaks, fuzzing and kills in their short form, as CI runs them"
	@echo "make soak    the same, ten minutes each"
	@echo "make fuzz    the body parser, fuzzed for FUZZ_SECONDS (an hour)"
	@echo "make format  let ruff lay out the code"
	@echo "make clean   remove the environment and all caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mlbench needs Python 3.11 or newer: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DEMO_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(DEV_READY): pyproject.toml $(DEMO_READY)
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(DEMO_READY)
	@$(BIN)/mlbench demo

# Tests run others' own packages, each in an environment of its own for all that it brings.
PEERS := benchmarks/.venvs/dvclive benchmarks/.venvs/tritonclient benchmarks/.venvs/kserve

benchmarks/.venvs/%: $(DEV_READY)
	$(BIN)/python -c 'from benchmarks.peers import python_with; python_with("$*")'
	@touch $@

benchmarks/.venvs/tritonclient: $(DEV_READY)
	$(BIN)/python -c 'from benchmarks.peers import python_with; python_with("tritonclient", "tritonclient[http]")'
	@touch $@

test: $(DEV_READY) $(PEERS)
	$(BIN)/python -m pytest -n auto

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd sample_project && $(abspath $(BIN))/mypy .
	$(BIN)/lint-imports

check: lint test

bench: $(DEV_READY)
	$(BIN)/python -m benchmarks

model: $(DEV_READY)
	$(BIN)/python -m tests.model

kills: $(DEV_READY)
	MLBENCH_KILLS=20 $(BIN)/python -m pytest -n auto -m long -rP tests/pipeline/test_kills.py tests/engine/test_loop_kills.py tests/engine/test_promotion_kills.py tests/engine/sweeping/test_sweep_kills.py tests/tracking/database/test_kills.py

# The fuzzer keeps what it learned, and goes on from there the next time.
FUZZ_SECONDS ?= 3600
fuzz: $(DEV_READY)
	$(BIN)/python -m tests.serving.fuzz.fuzz_body $(VENV)/fuzz/corpus -artifact_prefix=$(VENV)/fuzz/ -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=400 -timeout=5

long: $(DEV_READY) benchmarks/.venvs/schemathesis
	$(BIN)/python -m pytest -n auto --dist worksteal -m long -rP

soak: $(DEV_READY)
	MLBENCH_SOAK_SECONDS=600 MLBENCH_FUZZ_SECONDS=600 $(BIN)/python -m pytest -n auto --dist worksteal -m long -rP

format: $(DEV_READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
