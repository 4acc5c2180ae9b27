# SPDX-License-Identifier: Apache-2.0
# A fresh machine needs python3 (3.10 or later, with venv) and make; everything else is installed
# into .venv.  Both commands are idempotent: a second run installs nothing.
#
#   make demo      set up, build MobileNetV2, rewrite it for 8 devices, run and verify the result
#   make test      set up, lint, check types and layers, run every test
#   make coverage  set up, line coverage of the firmware's core by its tests: 90 % or an error
#   make fuzz      set up, fuzz the firmware's libraries for FUZZ_SECONDS each (clang)
#   make docs      set up, write the API reference to build/api/index.html
#   make site      set up, write the documents as a site to build/site/index.html

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# groups of pyproject.toml: the engines, the page of `report`, the tests' tools, PlatformIO, pdoc
EXTRAS ?= host,report,dev,firmware,docs
# tests on both cores of a small machine; more help little, the longest test bounds them
JOBS ?= 2
PYTEST_ARGS ?=

# what `make demo` splits: MobileNetV2 of this width and size, or MODEL=any_int8_model.tflite
ALPHA ?= 1.0
SIZE ?= 224
MOBILENET := models/build/mobilenet_v2_$(ALPHA)_$(SIZE).tflite
MODEL ?= $(MOBILENET)
DEVICES ?= 8
DEMO ?= build/demo
# TensorFlow (Keras' network, ImageNet weights) is large, and what it requires must not decide the
# versions of the rest, so it has an environment of its own; TENSORFLOW=no does without
TENSORFLOW ?= yes
# of each fuzz harness; CI gives them a minute, an hour looks further
FUZZ_SECONDS ?= 60
# so that a run of CI can be repeated; 0 looks elsewhere each time
FUZZ_SEED ?= 1

.PHONY: help setup demo test lint format types layers tests coverage fuzz docs site clean

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
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(MODEL) | $(VENV)/.installed
	$(BIN)/tflsplit rewrite $(MODEL) -n $(DEVICES) -o $(DEMO) --force
	$(BIN)/tflsplit verify $(DEMO) --runs 3

# Without TensorFlow (not wanted, no wheel for this Python, no network) the same architecture comes
# with seeded weights from models/mobilenet_v2.py, in seconds.
$(MOBILENET): | $(VENV)/.installed
	@{ test "$(TENSORFLOW)" = yes && $(MAKE) --no-print-directory .venv-tensorflow/.installed \
	     && .venv-tensorflow/bin/python -m models.build_mobilenet_v2 \
	          --alpha $(ALPHA) --size $(SIZE) -o $@; } \
	  || { echo "building the seeded MobileNetV2, without TensorFlow" \
	     && $(BIN)/python -m models build mobilenet_v2 --alpha $(ALPHA) --size $(SIZE) -o $@; }

.venv-tensorflow/.installed: pyproject.toml
	@echo "setting up .venv-tensorflow (once; some minutes on a slow line)"
	@$(PYTHON) -m venv .venv-tensorflow
	@.venv-tensorflow/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
	  --editable '.[tensorflow]'
	@touch $@

# A release of TFLM from after its move to namespace tflite::micro, beside the pinned one: the firmware
# is linked against both.  Not for Python to import, so a folder is enough.
TFLM_NEXT := 0.dev20261023182759
build/tflm-next/.installed: Makefile | $(VENV)/.installed
	@rm -rf build/tflm-next
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps \
	  --target build/tflm-next 'tflite-micro==$(TFLM_NEXT)'
	@touch $@

# The RP2040's emulator, for `tflsplit emulate` and the tests; needs npm.
build/rp2040js/.installed: tflm_app/tools/rp2040/package.json tflm_app/tools/rp2040/package-lock.json
	@mkdir -p build/rp2040js
	@cp $^ build/rp2040js
	@npm ci --prefix build/rp2040js --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

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
	$(BIN)/pytest -n $(JOBS) --dist loadgroup $(PYTEST_ARGS)

coverage: $(VENV)/.installed
	$(BIN)/python -m tests.native_coverage

fuzz: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) --jobs $(JOBS) --seed $(FUZZ_SEED)

# the command line is left out: its reference is --help
docs: $(VENV)/.installed
	$(BIN)/pdoc --no-show-source -o build/api tflsplit '!tflsplit.cli' '!tflsplit.__main__'

# fails at a dead link
site: $(VENV)/.installed
	$(BIN)/python -m docs.make_site

clean:
	rm -rf $(VENV) .venv-tensorflow build models/build benchmarks/results
