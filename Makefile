# Two commands do everything: make demo, make test. Needs Python 3.11 or newer with venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo docs test train-smoke lock audit clean

demo: $(VENV)/.demo ## install without torch, scan the sample pictures, write a report
	$(BIN)/zhentu demo

docs: $(VENV)/.test ## the documentation as a site in build/site, English and Chinese; broken links end it
	$(BIN)/python scripts/build_docs.py build/site

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
	$(BIN)/python -m pip install --quiet --editable '.[dev,train,cluster]'
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

# What the image installs, each file by its hash. Needs uv.
lock:
	uv pip compile pyproject.toml --extra postgres --extra s3 --extra tracing --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --output-file requirements.lock

# Known vulnerabilities of what is locked. Needs pip-audit and the network: it asks PyPI's advisory database.
audit:
	pip-audit --requirement requirements.lock --disable-pip --require-hashes
