# make demo   installs grokpredict into .venv and runs examples/demo.py
# make test   installs the test tools too and runs the tests
# make lint   ruff and mypy
#
# Needs Python 3.10 or newer and nothing else. Nothing is installed again until pyproject.toml or
# constraints.txt changes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# "pip install --group" came with pip 25.1. torch goes first and alone, at the version that the
# constraints name, so that nothing else can decide which build of it comes.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"
	$(PIP) install --quiet -c constraints.txt torch
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt --group $*
	touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
