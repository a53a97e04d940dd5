# SPDX-License-Identifier: Apache-2.0
# The two commands: "make demo" and "make check". "make help" lists the rest.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BUILD := build
STAMP_PACKAGES := $(BUILD)/stamps/packages
STAMP_VENV := $(VENV)/stamp
C_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')
# Seconds of each fuzzing harness in "make fuzz".
FUZZ_SECONDS ?= 60

.PHONY: help setup check demo format lint types test fuzz fuzz-smoke bench monitor kernel docs lock clean

help:
	@echo "make demo        build nginx.kernlet from this distribution's nginx, boot it, fetch a page"
	@echo "make check       format, types, lint and every test; a summary at the end"
	@echo "make setup       install what is missing (packages, virtual environment)"
	@echo "make kernel      link the library OS alone: build/kernel.elf"
	@echo "make monitor     build the monitor: build/monitor/kernlet-monitor"
	@echo "make format      reformat C and Python;  make lint, make types: the static checks"
	@echo "make test        the Python unit tests;  make fuzz FUZZ_SECONDS=60: fuzz longer"
	@echo "make bench       the side-by-side benchmark;  make docs: the generated reference pages"
	@echo "make clean       remove build/"

setup: $(STAMP_PACKAGES) $(STAMP_VENV)

$(STAMP_PACKAGES): scripts/packages.txt scripts/setup-packages
	@scripts/setup-packages
	@mkdir -p $(@D) && touch $@

$(STAMP_VENV): pyproject.toml requirements.lock | $(STAMP_PACKAGES)
	@echo "setup: virtual environment in $(VENV)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check -r requirements.lock
	@$(PY) -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

check: setup
	@$(PY) scripts/check.py

demo: setup monitor
	@$(PY) scripts/demo.py

monitor: $(STAMP_PACKAGES)
	@$(MAKE) --no-print-directory -C monitor

kernel: setup
	@$(PY) -m kernlet.kernel --out $(BUILD)/kernel.elf

format: setup
	@clang-format-14 -i $(C_FILES)
	@$(PY) -m ruff check -q --fix-only . && $(PY) -m ruff format -q .

lint: setup
	@$(PY) scripts/check.py --only format,ruff,c-lint

types: setup
	@$(PY) -m mypy

test: setup
	@$(PY) -m pytest -q tests/unit

fuzz: setup
	@$(PY) tests/fuzz/run.py --seconds $(FUZZ_SECONDS)

fuzz-smoke: setup
	@$(PY) tests/fuzz/run.py --seconds 2

bench: setup monitor
	@$(PY) -m pip install -q --disable-pip-version-check -r bench/requirements.txt
	@$(PY) -m bench

docs: setup
	@$(PY) -m kernlet.kernel --docs docs/reference
	@$(PY) -m kernlet.build.sources._reference > docs/reference/kernlet-toml.md
	@$(PY) -m kernlet.cli._reference > docs/reference/cli.md

lock:
	@{ echo '# Every package of the virtual environment, pinned ("make lock" writes this file).'; \
	  $(PY) -m pip freeze --all --exclude-editable | grep -v '^pip='; } > requirements.lock

clean:
	rm -rf $(BUILD)
