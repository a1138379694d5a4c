# Two commands do everything: make demo, make test. Needs Python 3.11 or newer with venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo docs test train train-smoke lock audit clean

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

OUT ?= runs/mine
train: $(VENV)/.test ## make train DATA=folder-or-manifest [OUT=runs/mine]: the whole line, goes on where it was killed
	@test -n "$(DATA)" || { echo "name the pictures: make train DATA=folder-or-manifest"; exit 2; }
	$(BIN)/python -m zhentu_training run --pictures "$(DATA)" --out "$(OUT)"

SMOKE ?= runs/smoke
FORGED := material_mismatch exaggerated_effect scene_distortion cutout_artifact
train-smoke: $(VENV)/.test ## the whole training line on the sample pictures, under two minutes; the model is worth nothing
	rm -rf $(SMOKE)
	mkdir -p $(SMOKE)/pictures/genuine $(SMOKE)/pictures/ai $(FORGED:%=$(SMOKE)/pictures/%)
	cp src/zhentu/samples/genuine_*.jpg $(SMOKE)/pictures/genuine
	cp src/zhentu/samples/forged_ai_generated*.jpg $(SMOKE)/pictures/ai
	for each in $(FORGED); do cp src/zhentu/samples/forged_$$each*.jpg $(SMOKE)/pictures/$$each || exit 1; done
	$(BIN)/python -m zhentu_training run --pictures $(SMOKE)/pictures --out $(SMOKE) --config configs/train-smoke.yaml
	ZHENTU_MODELS_DIR=$(SMOKE)/models ZHENTU_MODELS_ACTIVE=smoke@0.0.1 $(BIN)/zhentu model verify

clean:
	rm -rf $(VENV) build dist zhentu-demo runs/smoke

# What the image installs, each file by its hash. Needs uv.
lock:
	uv pip compile pyproject.toml --extra postgres --extra s3 --extra tracing --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --output-file requirements.lock

# Known vulnerabilities of what is locked. Needs pip-audit and the network: it asks PyPI's advisory database.
audit:
	pip-audit --requirement requirements.lock --disable-pip --require-hashes
