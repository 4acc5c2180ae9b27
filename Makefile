# SPDX-License-Identifier: Apache-2.0
# A fresh machine needs python3 (3.10 or later, with venv) and make; everything else is installed
# into .venv.  Both commands are idempotent: a second run installs nothing.
#
#   make demo    set up, build MobileNetV2, rewrite it for 8 devices, run and verify the result
#   make test    set up, lint, check types and layers, run every test

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# tests on both cores of a small machine; more help little, the longest test bounds them
JOBS ?= 2
PYTEST_ARGS ?=
DEVICES ?= 8
DEMO ?= build/demo
# Keras with TensorFlow's converter; `make demo MODEL=your.tflite` takes any int8 model
MODEL ?= models/build/mobilenet_v2_1.0_224.tflite

.PHONY: help demo test lint format types layers tests setup clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(VENV)/.installed

# pip is quiet, but its failures are not; the stamp is made last, so that a broken set-up is redone
$(VENV)/.installed: pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "tflsplit needs Python 3.10 or later; name one with PYTHON=python3.x" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "no venv module: on Debian and Ubuntu, apt install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[host,dev]'
	@touch $@

demo: $(VENV)/.installed $(MODEL)
	$(BIN)/tflsplit rewrite $(MODEL) -n $(DEVICES) -o $(DEMO) --force
	$(BIN)/tflsplit verify $(DEMO) --runs 3

# TensorFlow is large and its requirements are strict, so it gets an environment of its own;
# where it cannot be installed, the script builds the seeded network without it and says so.
models/build/mobilenet_v2_%.tflite: $(VENV)/.installed
	@VENV_PYTHON=$(BIN)/python PYTHON=$(PYTHON) sh models/build_mobilenet_v2.sh $* $@

test: lint types layers tests

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed
	$(BIN)/mypy

layers: $(VENV)/.installed
	$(BIN)/lint-imports

tests: $(VENV)/.installed
	$(BIN)/pytest -n $(JOBS) $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) .venv-tensorflow build models/build benchmarks/results
