# Two commands matter: `make demo` and `make test`. Both set up what they need, in .venv and ~/.cache, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test faults lint format bench lock clean

demo: $(READY)
	$(BIN)/bank-triggers demo

# Side by side on the cores there are; four at most, for each starts a broker of its own when a test asks for one.
test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# Each fault of the table, those of many moments with a hundred seeds.
faults: $(READY)
	$(BIN)/python -m pytest tests/faults --numprocesses 2 --dist worksteal --fault-seeds $(or $(SEEDS),100) $(if $(TABLE),--fault-table $(TABLE))

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The figures of the README, one table for each mode; drain runs on real Kafka and Redis.
bench: $(READY)
	$(BIN)/python -m tests.benchmarks drain
	$(BIN)/python -m tests.benchmarks engine
	$(BIN)/python -m tests.benchmarks backtest
	$(BIN)/python -m tests.benchmarks authoring
	$(BIN)/python -m tests.benchmarks expressions

# Pins every dependency with its hashes. Run it after changing pyproject.toml.
lock: $(READY)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
