# `make` lists the targets. Each sets up what it needs: .venv with every dependency, made once.

PYTHON ?= python3
VENV ?= .venv
CLIP ?= examples/dance.mp4
WORKERS ?= auto
BUDGET ?= 150

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
# One thread for each process: more wait for one another. What is asked for by name stays.
ALONE := OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),1)
TOO_OLD := this is Python %d.%d, and 3.10 or newer is needed: make PYTHON=python3.12 demo
NO_VENV := this Python cannot make virtual environments: apt install python3-venv, or make PYTHON=... demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-faults coverage lint types format format-check weights mocap clean distclean

help:  ## list the targets
	@echo "make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## a virtual environment with vibe in it; `source .venv/bin/activate` to use it

demo: $(READY)  ## recover the motion of the example clip and draw it (CLIP=... for yours)
	$(BIN)/vibe demo "$(CLIP)" --render

test: lint format-check types  ## check style, layout and types, then run the tests, in as many processes as there are processors (WORKERS=)
	$(ALONE) $(BIN)/python -m pytest -n $(WORKERS)

test-slow: $(READY)  ## run the long tests too
	$(ALONE) $(BIN)/python -m pytest -n $(WORKERS) -m "slow or not slow"

test-faults: $(READY)  ## break files, processes and disks, and print what came of each
	$(ALONE) $(BIN)/python -m pytest -n 0 -m "slow or not slow" tests/faults tests/batch

coverage: $(READY)  ## run the tests and print what they reach
	$(ALONE) $(BIN)/python -m pytest -n $(WORKERS) --cov=vibe_cli --cov-report=term:skip-covered

lint: $(READY)  ## check the style
	$(BIN)/ruff check .

types: $(READY)  ## check the types
	$(BIN)/python -m mypy

format: $(READY)  ## lay the code out
	$(BIN)/ruff format .

format-check: $(READY)  ## check that it is laid out so
	$(BIN)/ruff format --check .

weights: mocap $(VENV)/.ready-synth  ## train the shipped models: MOCAP=folder or .tar, PHOTOS=folder, BUDGET=150 (minutes, or 5min, 2h), BACKGROUNDS=
	$(BIN)/python -m vibe_cli.training.recipe --mocap "$(MOCAP)" --minutes "$(call minutes,$(BUDGET))" \
		$(if $(BACKGROUNDS),--backgrounds "$(BACKGROUNDS)") $(if $(PHOTOS),--photos "$(PHOTOS)")

mocap:
	@test -n "$(MOCAP)" || { echo "say where motion capture lies: make weights MOCAP=cmu_mocap.tar.xz"; exit 2; }

clean:  ## remove what was built and tested, keep .venv, output and models
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find vibe_cli models tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## remove .venv as well
	rm -rf $(VENV)

# 5 → 5, 5min → 5, 2h → 120
minutes = $(shell echo "$(1)" | awk '/^[0-9.]+(m|min)?$$/ {print $$0 + 0} /^[0-9.]+h$$/ {print 60 * $$0}')

# Machines without a desktop may lack libGL, which OpenCV's usual wheel needs for its windows, and the headless
# wheel, which takes its place, does not.
$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit('$(TOO_OLD)' % v if v < (3, 10) else 0)"
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { echo "$(NO_VENV)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --prefer-binary --editable ".[dev]"
	@$(BIN)/python -c "import cv2" 2>/dev/null || \
		$(BIN)/python -m pip install --prefer-binary --force-reinstall --no-deps "opencv-python-headless>=5"
	@touch $(READY)

$(VENV)/.ready-synth: $(READY)
	$(BIN)/python -m pip install --prefer-binary --editable ".[synth]"
	@touch $@
