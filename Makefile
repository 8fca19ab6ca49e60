# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test install lint format types layers unit fuzz faults bench bench-search clean

demo: install
	$(BIN)/python examples/demo.py

test: lint types layers
	$(BIN)/python -m pytest -m "not faults"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), sys.version' \
		|| { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13"; \
		     echo "fix: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# torch first: its pinned build is small, what other packages would draw in is not.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: install
	$(BIN)/python -m pytest tests/unit tests/contract

# Damaged headers, signals, annotations and tables: only errors that name them may come out.
fuzz: install
	$(BIN)/python -m tests.fuzz --inputs 20000 --seed 0

# Kills drivers, workers and heads at many moments; half an hour. Three of the kills are in `test`.
faults: install
	$(BIN)/python -m pytest tests/faults

# What things cost, each beside its peer.
bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/trial_overhead.py
	$(BIN)/python benchmarks/wide_trials.py
	$(BIN)/python benchmarks/data_preparation.py
	$(BIN)/python benchmarks/data_loading.py
	$(BIN)/python benchmarks/detection.py
	$(BIN)/python benchmarks/delineation.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/trials_together.py
	$(BIN)/python benchmarks/baselines.py

# How many epochs searches need, ours and others', in simulation; some hours.
bench-search: install
	$(BIN)/python benchmarks/search_efficiency.py --cache build/search_traces
	$(BIN)/python benchmarks/warm_starts.py

clean:
	rm -rf $(VENV) demo build dist *.egg-info
