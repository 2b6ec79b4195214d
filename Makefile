# Two commands: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test format clean

demo: .venv/installed
	$(BIN)/vdprobe demo --out demo-output

test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Torch first and by its exact version: asked for by a range, an index may answer with a build for
# another device that is many times larger.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch .venv/installed

clean:
	rm -rf .venv demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
