# Two commands: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test test-newest-zarr format clean

demo: .venv/installed
	$(BIN)/vdprobe demo --out demo-output

test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2  # two processes with a thread each: 1.7 times as fast as with two

# The store on the newest zarr, which wants a newer Python than the rest; needs no torch.
test-newest-zarr:
	$(or $(PYTHON312),python3.12) -m venv .venv-zarr
	.venv-zarr/bin/pip install --quiet zarr h5py safetensors pydantic pyyaml platformdirs jaxtyping beartype \
		hypothesis pytest google-crc32c
	PYTHONPATH=. .venv-zarr/bin/python -m pytest -q tests/store

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
	rm -rf .venv .venv-zarr demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
