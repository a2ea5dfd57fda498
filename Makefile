# Two commands for everyone: `make demo` and `make test`. The rest is for those who work on Ironworks.
PYTHON ?= python3
FOR ?= 20
BIN := .venv/bin
LONG := -o timeout=0 -o faulthandler_timeout=0
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Each start of a plant compiles all of Ironworks, and takes twice as long, where no bytecode may be written.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test campaign nightly conformance lint format bench screenshots clean

demo: .venv/ready
	@$(BIN)/ironworks demo $(if $(HEADLESS),--headless --for $(FOR)) $(if $(LANGUAGE),--lang $(LANGUAGE))

# A test that ends its worker is not handed to the next one, and the next.
test: .venv/dev
	@$(BIN)/python -m pytest -n $(or $(WORKERS),4) --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 0 $(if $(K),-k "$(K)") $(if $(CI),|| $(BIN)/python .ci/again.py $$?)

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# The long form of the campaigns that make test runs in short: make campaign ROUNDS=50
campaign: .venv/dev
	@$(BIN)/python -m pytest -m campaign --rounds $(or $(ROUNDS),50) -s -q $(LONG)

# 20,000 random ST programs against the tree-walking evaluator, then the decoders of the drivers ten minutes each:
# make nightly PROGRAMS=20000 SEED=0 SECONDS=600
nightly: .venv/dev
	@IRONWORKS_ST_PROGRAMS=$(or $(PROGRAMS),20000) IRONWORKS_ST_SEED=$(or $(SEED),0) $(BIN)/python -m pytest -q \
	-n auto --maxprocesses 2 $(LONG) tests/softplc_blackbox/test_st_differential.py
	@$(INSTALL) atheris || echo "atheris cannot be had for this Python: mutations by chance instead"
	@for each in opcua modbus stream; do $(BIN)/python -m drivers.abuse.fuzz $$each \
	--seconds $(or $(SECONDS),600) --folder .fuzz/$$each || exit 1; done

# docs/conformance.md, out of tests/conformance
conformance: .venv/dev
	@$(BIN)/python -m tests.conformance

format: .venv/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/ready
	@$(BIN)/ironworks bench bus
	@$(BIN)/ironworks bench start

screenshots: .venv/ready
	@folder=$$(mktemp -d) && { $(BIN)/ironworks demo --headless --for 340 --folder $$folder/line & } && \
	sleep 200 && $(BIN)/ironworks write line/speed_sp_bpm 45 --for 10min --reason "trial of the new caps" --yes \
	--plant $$folder/line && \
	sleep 20 && $(BIN)/ironworks twin fault capper.jam --plant $$folder/line && sleep 30 && \
	$(BIN)/ironworks console --plant $$folder/line --screenshot docs/screenshots; wait; rm -rf $$folder

clean:
	rm -rf .venv .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@echo "installing into .venv (about a minute)"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -e .
	@touch $@

.venv/dev: .venv/ready
	@$(INSTALL) -e '.[dev]'
	@touch $@
