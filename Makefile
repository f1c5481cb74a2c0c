# benefit-ledger: `make run` starts everything, `make test` proves it. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := service client tests migrations bench

.DEFAULT_GOAL := help
.PHONY: help run test check bench fuzz soak lock format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) from requirements.lock ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## set up and serve on 127.0.0.1:8000, with a demo platform at the first start
	@$(BIN)/benefit-ledger up

test: $(READY) ## run every test, on a PostgreSQL of its own
	@$(BIN)/pytest -n auto --dist loadscope

check: $(READY) ## format, lint, types, import contract, openapi.yaml
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@PYTHONPATH=client $(BIN)/lint-imports
	@$(BIN)/openapi-spec-validator openapi.yaml

bench: $(READY) ## measure beside a baseline of the same run: make bench [ONLY=name]
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

fuzz: $(READY) ## the property tests with many more examples
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -n auto --dist loadscope tests

soak: $(READY) ## every crash point, and random kills for longer
	@SOAK=1 $(BIN)/pytest -n auto --dist loadscope tests/crash tests/payouts

lock: ## pin the newest versions that are a week old, with hashes (needs uv)
	@uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --exclude-newer "$$(date -d '7 days ago' +%F)" -o requirements.lock

format: $(READY) ## format the code
	@$(BIN)/ruff check --fix-only --quiet $(CODE)
	@$(BIN)/ruff format $(CODE)

clean: ## remove what the targets made, but not var/
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
