# Two commands do everything: make demo, make test. Needs Python 3.11 or newer with venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test train-smoke clean

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

SMOKE ?= runs/smoke
train-smoke: $(VENV)/.test ## the whole training line on the sample pictures, under two minutes; the model is worth nothing
	rm -rf $(SMOKE)
	$(BIN)/zhentu-forge src/zhentu/samples/genuine_*.jpg $(SMOKE)/train --per-picture 6
	$(BIN)/python -m zhentu_training.features --manifest $(SMOKE)/train/manifest.csv --features $(SMOKE)/features --config configs/train-smoke.yaml
	$(BIN)/python -m zhentu_training.fit --manifest $(SMOKE)/train/manifest.csv --features $(SMOKE)/features --run $(SMOKE)/run --config configs/train-smoke.yaml
	$(BIN)/python -m zhentu_training.locate --manifest $(SMOKE)/train/manifest.csv --features $(SMOKE)/features --run $(SMOKE)/run
	$(BIN)/python -m zhentu_training.export --run $(SMOKE)/run --models $(SMOKE)/models
	ZHENTU_MODELS_DIR=$(SMOKE)/models $(BIN)/zhentu model verify

clean:
	rm -rf $(VENV) build dist zhentu-demo runs/smoke
