# make run and make test do all the set-up by themselves; a second call starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The environment is made anew exactly when the pins change.
READY = $(VENV)/.ready

.PHONY: run test check format venv ui dashboard reproduce clean

# The main job: the chapter's ensemble of five dropout networks, on the digits that come with scikit-learn, so that it
# needs no network; `make run DATA=mnist EXP=conv2_relu` runs another.
EXP ?= ensemble
DATA ?= digits
ARGS ?=
run: $(READY)
	$(BIN)/python -m src.train +exp=$(EXP) data=$(DATA) $(ARGS)

# The tests of a file stay together, in one of a few processes. `make check` counts the lines that they reach as well,
# which takes half as long again.
PROCESSES ?= auto
COVERAGE ?=
test: $(READY)
	$(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses=4 --dist=loadfile $(COVERAGE)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test COVERAGE='--cov --cov-report=term --cov-fail-under=90'

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ui: $(READY)
	$(BIN)/python -m src.ui

# Optuna's dashboard on the studies; `make dashboard STORAGE=postgresql://…` shows those of another store. On PORT, or on
# the next one that is free.
STORAGE ?= sqlite:///mlruns/studies.db
PORT = 8080
dashboard: $(READY)
	@$(BIN)/python -m src.studies 'storage=$(STORAGE)'
	@test -x $(BIN)/optuna-dashboard || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dashboard]'
	@port=$$($(BIN)/python -m src.commands.port $(PORT)) && \
		exec $(BIN)/optuna-dashboard --host 127.0.0.1 --port $$port '$(STORAGE)'

# The whole chapter on MNIST, three repeats each: hours on two cores. Goes on where it was stopped.
reproduce: $(READY)
	$(BIN)/python -m src.reproduce $(ARGS)

venv: $(READY)

# torch by itself first: plain pip then takes the build that fits this machine's index, and nothing replaces it.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sweepstack needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info
