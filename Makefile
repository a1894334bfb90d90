# Every target sets up what it needs; a second start finds it done.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Quiet to the errors: extra wheel folders that pip is configured with may be out of reach, which is harmless.
INSTALL := $(BIN)/pip install --quiet --quiet --disable-pip-version-check -c constraints.txt

# Tests start hundreds of programs, and each would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check promises bench docs image-test clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make needs $(PYTHON); name another one with: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Debian keeps venv in its own package: apt-get install python3-venv" >&2; exit 1; }

# One stamp per set of packages, so that `make demo` installs no test tools and a second start installs nothing.
$(VENV)/.demo-ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing (some minutes the first time) ...'
	$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing (some minutes the first time) ...'
	$(INSTALL) -e '.[all,dev]'
	@touch $@ $(VENV)/.demo-ready

demo: $(VENV)/.demo-ready  ## a month of an example help centre in time lapse; two things break
	@$(BIN)/driftwatch demo $(DEMO)

test: $(VENV)/.ready  ## all tests but the slow ones; what is missing here is skipped with its reason
	$(BIN)/pytest -n 2 --dist loadfile $(PYTEST)

FAST := 'not slow and not process and not model and not postgres'

check: $(VENV)/.ready  ## what a commit must pass: format, lint, types, layers, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -m $(FAST) --hypothesis-profile quick $(PYTEST)

promises: $(VENV)/.ready  ## the slow tests, examples drawn anew, and the promises that the benchmarks assert
	$(BIN)/pytest -m slow --timeout 1800 $(PYTEST)
	$(BIN)/pytest -n 2 -m 'hypothesis and not slow' --hypothesis-profile explore $(PYTEST)
	$(MAKE) bench

bench: $(VENV)/.ready  ## every benchmark, the bare alternative timed beside it
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: $(VENV)/.ready  ## write the generated parts of docs/ again, pictures of the pages where Chromium is installed
	$(BIN)/python -m driftwatch.settings_docs
	$(BIN)/python -m tests.bad_inputs
	$(BIN)/python -m tests.faults
	$(BIN)/python -m tests.browser

image-test: $(VENV)/.ready  ## build the image and run it for real, with buildah, as root
	$(BIN)/python deploy/image_test.py $(IMAGE_TEST)

clean:  ## remove the environment and what the tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
