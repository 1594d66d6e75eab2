# Needs Python ≥ 3.11, make and git. Everything else is installed into .venv, and downloads are kept in a cache folder.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHARED ?= ../shared

.DEFAULT_GOAL := help
.PHONY: help demo test test-light check bench soak model quality finetune-proof clean

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.demo ## Bring up engine, Valkey and worker, index real text, search it, show before and after
	@$(BIN)/rerank-bridge demo $(ARGS)

test: $(VENV)/.dev ## check + every test (downloads about 6 GB on Linux, because of torch)
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest $(ARGS)

test-light: $(VENV)/.light-dev ## The tests that need no torch
	$(BIN)/python -m pytest -m "not torch" $(ARGS)

check: $(VENV)/.dev ## Lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## Speed, side by side in one run; ARGS="--only scoring --json FILE"
	$(BIN)/python -m tests.bench $(ARGS)

finetune-proof: $(VENV)/.dev ## Fine-tuning over five folds of stackfaq and nq, for docs/quality.md; resumes; SHARED=DIR
	$(BIN)/python -m tests.quality_finetune --eval $(SHARED)/data/eval --write docs/quality.md $(ARGS)

quality: $(VENV)/.dev ## Every evaluation set through `evaluate`, hours; resumes; writes the table of docs/quality.md
	$(BIN)/python -m tests.quality --eval $(SHARED)/data/eval $(ARGS)

model: $(VENV)/.dev ## Make the bundled model again, at most 100 minutes; resumes; SHARED=folder of data/train and data/eval
	$(BIN)/python -m workers.training.recipe --data $(SHARED)/data $(ARGS)

soak: $(VENV)/.dev ## Endurance and kill runs, hours; never in CI
	$(BIN)/python -m pytest tests/soak --override-ini testpaths=tests/soak -m soak $(ARGS)

# One marker file an extra. What is downloaded is said first; pip keeps it in its own cache.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: install your system's python3-venv package" >&2; exit 1; }

$(VENV)/.demo: SAYS = about 140 MB of Python packages (first time only)
$(VENV)/.light-dev: SAYS = about 300 MB of Python packages (first time only)
$(VENV)/.dev: SAYS = about 6 GB of Python packages on Linux, most of it torch with CUDA (first time only)
$(VENV)/.%: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV): $(SAYS)"
	@$(PIP) install -e '.[$*]' -c constraints.txt
	@touch $@

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .bench
