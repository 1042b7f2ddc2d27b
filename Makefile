# make demo   installs grokpredict into .venv and runs examples/demo.py
# make test   installs the test tools too and runs the tests
# make lint   ruff and mypy
# make docs   builds the site into build/docs, with the short examples run; GALLERY=full runs all
# make docs-links   looks up every link to another site; needs a network
# make test-lowest   a part of the tests, on the lowest versions that pyproject.toml allows
#
# Needs Python 3.10 or newer and nothing else. Nothing is installed again until pyproject.toml or
# constraints.txt changes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-lowest lint docs docs-links clean

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

# The part that meets every dependency: features (NumPy, SciPy, MNE), training and its processes
# (scikit-learn, joblib, threadpoolctl), the command line (click, tqdm), logs (PyYAML and the extras),
# the callback (Lightning). Old libraries warn of new ones, so warnings are not errors here.
test-lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest -o filterwarnings= $(LOWEST_TESTS)

LOWEST_TESTS := $(addprefix tests/test_,$(addsuffix .py, \
	packaging features conditioning curves classifier cli logs gathering \
	evaluate_rivals monitor callback)) \
	$(patsubst %,tests/test_log_formats.py::test_all_is_read[%], \
	lightning_csv lightning_tensorboard summary_writer wandb_parquet)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	OMP_NUM_THREADS=1 $(SPHINX) -b html $(if $(GALLERY),-t $(GALLERY)) . build/docs

docs-links: $(VENV)/.installed-docs
	$(SPHINX) -b linkcheck -D plot_gallery=0 . build/docs-links

# -W: a warning is an error. -E: nothing is left from an earlier build.
SPHINX := $(BIN)/python -m sphinx -W --keep-going -E -q -c docs -d build/doctrees

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

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	rm -rf $(LOWEST)
	python3.11 -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt torch
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt \
		-e ".[optuna,parquet,report,tensorboard]" pytest hypothesis antropy
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) dist build docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis
