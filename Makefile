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

# Every figure: tests/benchmarks/FIGURES.md with its pictures and JSON, to be committed. On real Kafka and Redis, beside
# peers that are set up in ~/.cache; nothing else should run on the machine meanwhile. Ends within 40 minutes: each mode
# has until so many minutes of all of them for its five rounds, and says so where there was no time for the last ones. One
# that fails is void on the page, and the command fails when all are through; it fails, too, where figures are missing,
# are not of one commit as it is committed, or what is missed is not explained.
# Figures are of the Python that .venv was made with; `make bench VENV=build/venv PYTHON=/usr/bin/python3.11` takes another.
BENCH := $(BIN)/python -m tests.benchmarks
BY = make $@$(if $(filter command,$(origin PYTHON)), PYTHON=$(PYTHON))$(if $(filter command,$(origin VENV)), VENV=$(VENV))
FIGURES := tests/benchmarks/figures
bench: $(READY)
	rm -rf $(FIGURES)
	-$(BENCH) drain --until 11.5 --json $(FIGURES)/drain.json
	-$(BENCH) engine --triggers 10 200 --until 16 --json $(FIGURES)/engine.json
	-$(BENCH) latency --until 20.5 --pictures $(FIGURES) --json $(FIGURES)/latency.json
	-$(BENCH) growth --until 28 --pictures $(FIGURES) --json $(FIGURES)/growth.json
	-$(BENCH) recovery --until 36.5 --json $(FIGURES)/recovery.json
	-$(BENCH) backtest --jobs 2 --until 37.5 --json $(FIGURES)/backtest.json
	-$(BENCH) authoring --until 38 --json $(FIGURES)/authoring.json
	-$(BENCH) profile --drain 120000 12000 --events 60000 --customers 6000 --json $(FIGURES)/profile.json
	$(BENCH) report $(FIGURES) --by "$(BY)" --needs drain engine latency growth recovery backtest authoring profile

# The main figures, a page of them in build/bench-quick; within 6 minutes.
QUICK := build/bench-quick
bench-quick: $(READY)
	rm -rf $(QUICK)
	-$(BENCH) drain --events 20000 --customers 2500 --warm 5000 --rounds 3 --minutes 2.5 --peers targets --json $(QUICK)/drain.json
	-$(BENCH) engine --events 40000 --customers 4000 --rounds 3 --minutes 1 --json $(QUICK)/engine.json
	-$(BENCH) latency --events 30000 --customers 3000 --rounds 3 --seconds 6 --minutes 2 --json $(QUICK)/latency.json
	$(BENCH) report $(QUICK) --page $(QUICK)/README.md --by "$(BY)" --part --within 6 --needs drain engine latency

# Pins every dependency with its hashes, those of the benchmarks' peers too. Run it after changing pyproject.toml.
PIN := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
PEERS := tests/benchmarks/peers/requirements
TOOLS := tests/benchmarks/tools
lock: $(READY)
	$(BIN)/python -m pip install --quiet pip-tools
	$(PIN) --extra dev --output-file requirements.lock pyproject.toml
	$(PIN) --output-file $(PEERS)/quix.txt $(PEERS)/quix.in
	$(PIN) --output-file $(PEERS)/bytewax.txt $(PEERS)/bytewax.in
	$(PIN) --output-file $(TOOLS)/py-spy.txt $(TOOLS)/py-spy.in

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
