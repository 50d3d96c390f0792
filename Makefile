# Feldsher: everything starts here. `make demo` shows the whole road, `make test` proves it; both set up the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.feldsher-setup
SEEDS ?= 1000
WORKERS ?= 2
ROUNDS ?= 5
# Two for each core: many tests wait for a line, a modem or a process, and not for the processor.
TESTERS ?= 4

.PHONY: help setup demo test quick check bench sim seek replay fuzz lock clean

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## the command at .venv/bin/feldsher
$(STAMP): pyproject.toml requirements.lock provisioning/setup.sh
	@PYTHON="$(PYTHON)" sh provisioning/setup.sh "$(VENV)"
	@touch $@

demo: $(STAMP)  ## devices, kit, a link that breaks, gateway, server and web page on this machine
	$(BIN)/feldsher demo

check: $(STAMP)  ## style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: $(STAMP) check  ## everything that must hold before a commit is pushed
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadgroup

quick: $(STAMP)  ## the tests without the slow ones and those that need root: two minutes
	$(BIN)/python -m pytest -n $(TESTERS) -m "not slow and not root"

sim: $(STAMP)  ## the simulated world, by hand: make sim SEEDS=1000
	$(BIN)/python -m tests.sim --seeds $(SEEDS) --workers $(WORKERS)

seek: $(STAMP)  ## the property tests with cases never tried before, by hand: make seek ROUNDS=5
	for round in $$(seq $(ROUNDS)); do \
		FELDSHER_SEEK=1 $(BIN)/python -m pytest -q -n $(TESTERS) -m hypothesis || exit 1; \
	done

replay: $(STAMP)  ## every recording through ptys into the real kit, cut at every byte, by hand: minutes
	$(BIN)/python -m tests.replay

fuzz: $(STAMP)  ## the fuzz targets, by hand
	sh tests/fuzz/run.sh

bench: $(STAMP)  ## every figure of benchmarks/README.md, measured on this machine
	$(BIN)/python -m benchmarks

lock: $(STAMP)  ## resolve requirements.lock anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --generate-hashes --quiet -o requirements.lock

clean:  ## take the virtual environment away
	rm -rf $(VENV) build *.egg-info
