# Two commands do everything: make demo, make test. Needs Python 3.11 or newer with venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint train-smoke clean

demo: $(VENV)/.demo ## install without torch, scan the sample pictures, write a report
	$(BIN)/zhentu demo

test: $(VENV)/.test ## install what tests need, lint, type-check, test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev,train]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist zhentu-demo
