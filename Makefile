# dicomnode: make demo shows it, make test proves it. Everything lands in .venv and build/.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.ready-to-run
DEV := $(VENV)/.ready-to-develop

.DEFAULT_GOAL := help
.PHONY: help demo test long setup check fast judges bench clean tools machine kernels style bench-engine bench-lung gpu recipes

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(DEV)  ## make the environment (.venv) with what is needed to run and to develop

$(RUN): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON=$(PYTHON) scripts/setup.sh $(VENV)
	@touch $@

$(DEV): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON=$(PYTHON) scripts/setup.sh $(VENV) dev
	@touch $@ $(RUN)

tools:  ## install the system tools that the tests judge with (root on Debian or Ubuntu)
	@scripts/tools.sh

machine: $(DEV)  ## install what the engine room can be tested with: PyCUDA, TensorRT-RTX, Triton, torch, MONAI, nnU-Net
	@scripts/machine.sh $(VENV)

kernels:  ## compile the kernels for GPUs (CUDA toolkit 13)
	@scripts/kernels.sh

demo: $(RUN)  ## a study goes in over DICOM, the results come back
	@$(BIN)/dicomnode demo

test: $(DEV) tools  ## all tests but the longest (make long) and those of PixelMed and OHIF's libraries (make judges)
	@scripts/tests.sh -m "not pixelmed and not cornerstone and not long"

long: $(DEV) tools  ## the longest tests, which make test leaves out
	@scripts/tests.sh -m "long and not pixelmed and not cornerstone"

fast: $(DEV)
	@scripts/tests.sh -q tests/unit

check: style fast  ## formatting, lint, types, floors, fast tests

style: $(DEV)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

judges: $(DEV)  ## every object on every fixture before every judge (installs Java and PixelMed where it may)
	@scripts/tools.sh judges
	@scripts/tests.sh tests/judges

bench: $(DEV)  ## the figures of docs/benchmarks.md
	@$(BIN)/python -m tests.bench.walk

bench-engine: $(DEV)  ## the engine room's figures of docs/benchmarks.md (ten minutes, on a quiet machine)
	@$(BIN)/python -m tests.bench.engine
	@$(BIN)/python -m tests.bench.sliding
	@$(BIN)/python -m tests.bench.runtimes --rounds 5
	@$(BIN)/python -m tests.bench.last_slice

bench-lung: $(DEV)  ## what the lung engines find on the frozen suite and on real scans, and what they cost (ten minutes; ENGINE=…)
	@$(BIN)/python -m tests.bench.lung_suite $(if $(ENGINE),--engine $(ENGINE))
	@$(BIN)/python -m tests.bench.lung_real $(if $(ENGINE),--engine $(ENGINE))
	@$(BIN)/python -m tests.bench.lung_cost $(if $(ENGINE),--engine $(firstword $(ENGINE)))

gpu: $(DEV)  ## everything that needs a GPU, in ten minutes
	@$(BIN)/python -m tests.gpu.run_all

recipes: $(DEV)  ## every recipe of dicomnode train from nothing on drawn studies: an hour on one thread (CASES=… THREADS=… ONLY=skin)
	@$(BIN)/python -m tests.recipes $(ONLY) $(if $(CASES),--cases $(CASES)) $(if $(THREADS),--threads $(THREADS))

clean:  ## remove what was made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-out
