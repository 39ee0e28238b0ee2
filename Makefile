# Two commands matter: `make demo` and `make test`. Both set up what they need, in .venv and ~/.cache, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test faults faults-selftest soak lint format bench bench-quick lock clean

demo: $(READY)
	$(BIN)/bank-triggers demo

# Side by side, one more than there are cores, for those with a broker mostly wait; four at most, for each of them starts
# a broker of its own when a test asks for one.
test: $(READY)
	$(BIN)/python -m pytest --numprocesses $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)) --dist worksteal

# Each fault of the table, those of many moments with a hundred seeds.
faults: $(READY)
	$(BIN)/python -m pytest tests/faults --numprocesses 2 --dist loadgroup --fault-seeds $(or $(SEEDS),100) $(if $(TABLE),--fault-table $(TABLE))

# Mixed faults at random for 20 minutes: a table, and soak.svg.
soak: $(READY)
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED))

# Whether the tests of faults see what they are there for: each mechanism taken out of a copy, one of them must fail.
faults-selftest: $(READY)
	$(BIN)/python -m tests.faults.selftest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The figures of the README: a table for each mode with JSON beside it, and a page of all in build/bench. Drain runs on
# real Kafka and Redis, beside peers that it sets up in ~/.cache. Nothing else should run on the machine meanwhile.
bench: $(READY)
	$(BIN)/python -m tests.benchmarks drain --events 80000 --customers 8000 --json build/bench/drain.json
	$(BIN)/python -m tests.benchmarks engine --triggers 10 1 50 200 --events 60000 --json build/bench/engine.json
	$(BIN)/python -m tests.benchmarks latency --json build/bench/latency.json
	$(BIN)/python -m tests.benchmarks growth --pictures build/bench --json build/bench/growth.json
	$(BIN)/python -m tests.benchmarks backtest --json build/bench/backtest.json
	$(BIN)/python -m tests.benchmarks authoring --json build/bench/authoring.json
	$(BIN)/python -m tests.benchmarks expressions
	# Recovery fails where a target is missed: the page of all is made all the same.
	$(BIN)/python -m tests.benchmarks recovery --json build/bench/recovery.json; found=$$?; \
		$(BIN)/python -m tests.benchmarks report build/bench && exit $$found

bench-quick: $(READY)
	$(BIN)/python -m tests.benchmarks drain --events 40000 --customers 4000 --rounds 3 --peers targets \
		--json build/bench/quick-drain.json
	$(BIN)/python -m tests.benchmarks engine --events 60000 --rounds 3 --json build/bench/quick-engine.json
	$(BIN)/python -m tests.benchmarks latency --events 30000 --customers 3000 --json build/bench/quick-latency.json

# Pins every dependency with its hashes, those of the benchmarks' peers too. Run it after changing pyproject.toml.
PIN := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
PEERS := tests/benchmarks/peers/requirements
lock: $(READY)
	$(BIN)/python -m pip install --quiet pip-tools
	$(PIN) --extra dev --output-file requirements.lock pyproject.toml
	$(PIN) --output-file $(PEERS)/quix.txt $(PEERS)/quix.in
	$(PIN) --output-file $(PEERS)/bytewax.txt $(PEERS)/bytewax.in

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
