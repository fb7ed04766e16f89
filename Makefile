# Needs only Python >= 3.11 and make. Every target builds its own virtual environment from locked, hashed wheels.
PYTHON ?= python3
ARGS ?=
SEEDS ?= 300
JOBS ?= 4
RUN := .venv/bin/paidup
DEV := .venv-dev/bin
# Where nobody may write bytecode, each of the hundreds of commands that tests start compiles all of Paidup anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo serve sandbox test fuzz fault check format docs pictures bench chaos lock clean

help:           ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: .venv/ready      ## orders paid through three sandboxed channels while callbacks are lost and processes die (ARGS=--once ends by itself)
	@$(RUN) demo $(ARGS)

serve: .venv/ready     ## run Paidup on this machine with an embedded PostgreSQL
	@$(RUN) serve $(ARGS)

sandbox: .venv/ready   ## run the misbehaving payment channels alone
	@$(RUN) sandbox $(ARGS)

test: .venv-dev/ready  ## every test except the long fault runs (under 10 minutes on 2 cores)
	$(DEV)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz: .venv-dev/ready  ## every test by examples with new ones, and of the spoiled messages sixty times as many (12 minutes on 2 quiet cores)
	$(DEV)/python -m pytest -m "fuzz or hypothesis" --hypothesis-profile=long -n $(JOBS) $(ARGS)

fault: .venv-dev/ready ## everything that can go wrong, on a manual clock (SEEDS=300), and every planted defect is caught
	@$(DEV)/paidup simulate --seeds $(SEEDS) $(ARGS)
	$(DEV)/python -m pytest -m fault -n $(JOBS)

check: .venv-dev/ready ## format, lint, strict types, house rules, documents up to date
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/mypy
	$(DEV)/python -m pytest tests/test_house_rules.py tests/test_docs.py

format: .venv-dev/ready ## mend what a formatter can mend
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

docs: .venv-dev/ready  ## write docs/reference anew from the code
	$(DEV)/python docs/generate.py

pictures: .venv-dev/ready ## play the tea house's stories and take docs/console anew (a minute, needs chromium); look at them
	cd tests/browser && PYTHONPATH=.. ../../$(DEV)/python pictures.py ../../docs/console

bench: .venv-dev/ready ## each figure beside its peer and its ceiling, interleaved in one run
	$(DEV)/python -m bench --json bench-report/bench.json --html bench-report/index.html $(ARGS)

chaos: .venv-dev/ready ## kill, freeze, fill and fail over under load, then count the money (about 5 minutes; ARGS="--minutes 1")
	@$(DEV)/python -m chaos $(ARGS)

lock:                  ## resolve the dependencies anew (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements/runtime.lock
	uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements/dev.lock
	uv pip compile -q --group pyproject.toml:build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements/build.lock

clean:                 ## remove the virtual environments and caches (never the data folder)
	rm -rf .venv .venv-dev .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

.venv/ready: requirements/runtime.lock requirements/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Paidup needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@echo "installing locked dependencies into $(@D) …" >&2
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.lock -r requirements/build.lock
	@.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv-dev/ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Paidup needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@echo "installing locked dependencies into $(@D) …" >&2
	@$(PYTHON) -m venv .venv-dev
	@.venv-dev/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@.venv-dev/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
