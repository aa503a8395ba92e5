# `make help` lists the targets. Everything is installed into $(VENV); the stamp files in it
# record what is installed, so that a second call starts at once.

PYTHON ?= python3
VENV ?= .venv
BENCHMARKS ?= $(sort $(wildcard benchmarks/[!_]*.py))

py := $(VENV)/bin/python
stamp := $(VENV)/.installed-
install := $(py) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test doctest lint docs benchmark clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       explain a model from end to end (examples/demo.py)"
	@echo "make test       the test suite"
	@echo "make doctest    the examples in the docstrings"
	@echo "make lint       ruff and mypy"
	@echo "make docs       the documentation, into docs/_build/html"
	@echo "make benchmark  the scripts in benchmarks/ (BENCHMARKS=... for some of them)"
	@echo "make clean      remove $(VENV) and everything built"

demo: $(stamp)demo
	$(py) examples/demo.py

# a process a core, of one thread each: most tests are too small for more
test: $(stamp)test
	OMP_NUM_THREADS=1 $(py) -m pytest -q -n auto --maxprocesses 8 --dist worksteal tests

doctest: $(stamp)test
	OMP_NUM_THREADS=1 $(py) -m pytest -q -n auto --maxprocesses 8 --doctest-modules fastexplain

lint: $(stamp)lint
	$(py) -m ruff check .
	$(py) -m ruff format --check .
	$(py) -m mypy

docs: $(stamp)docs
	$(py) -m sphinx -W --keep-going -q -b html docs docs/_build/html

benchmark: $(stamp)test
	@set -e; for script in $(BENCHMARKS); do echo "$(py) $$script"; $(py) $$script; done

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build docs/auto_examples docs/generated
	rm -f docs/sg_execution_times.rst
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(stamp)demo: extras := shap,plots,pandas
$(stamp)test: extras := test
$(stamp)lint: extras := lint,test
$(stamp)docs: extras := docs

$(stamp)demo $(stamp)test $(stamp)lint $(stamp)docs: pyproject.toml constraints.txt | $(py)
	@echo "installing fastexplain[$(extras)] into $(VENV) ..."
	@$(install) -e ".[$(extras)]"
	@touch $@

$(py):
	$(PYTHON) -m venv $(VENV)
