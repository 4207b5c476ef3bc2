# Few verbs: run  test  test-all  check  walk  bench  docs  coverage-of-mission  clean
# Needs git, make and Python 3.11 or newer; everything else is brought into .venv from the lock file.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= $(shell command -v uv || echo .tools/bin/uv)
PORT ?= 8000
BIN := .venv/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest
STAMP := .venv/.run
TESTSTAMP := .venv/.test

export PORT
export PYTHONPATH := src:.

.PHONY: run test test-all check walk bench bench-alerts bench-lake docs coverage-of-mission assets clean help

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 24

run: assets ## prepare everything and start a node on http://127.0.0.1:$PORT
	@$(BIN)/lianfang up

test: $(TESTSTAMP) assets ## the default suite: no server needed
	$(PYTEST) -m "not realparts and not slow" -n $(WORKERS) --dist loadgroup

test-all: $(TESTSTAMP) assets ## install and start the real parts (PostgreSQL, MariaDB, Kafka, Spark, Sail, Chromium), then run everything
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON) --group dev --group realparts --group cluster
	$(BIN)/python tools/real_parts.py run -- $(MAKE) --no-print-directory everything

.PHONY: everything
everything:
	$(PYTEST) -n $(WORKERS) --dist loadgroup

check: $(TESTSTAMP) assets ## style, types, the contracts of the house
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST) tests/house -m "not realparts and not slow and not long" -n $(WORKERS)

walk: $(TESTSTAMP) assets ## the walks of docs/walks, end to end
	$(PYTEST) tests/walks -m "not realparts" -v

bench: $(TESTSTAMP) assets ## every headline figure beside its peer; writes benchmarks/latest.json
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON) --group dev --group logbench
	$(BIN)/python benchmarks/run.py

bench-alerts: $(TESTSTAMP) assets ## folding, grouping and ranking over a labelled alert CSV (BENCH_ALERTS) or a generated stream
	$(BIN)/python benchmarks/run.py alerts

bench-lake: $(TESTSTAMP) assets ## the lake over ten million events beside embedded ClickHouse; takes a quarter of an hour
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON) --group dev --group lakebench
	$(BIN)/python benchmarks/run.py lake

docs: $(TESTSTAMP) assets ## regenerate docs/reference from the code
	$(BIN)/python tools/reference.py

coverage-of-mission: $(TESTSTAMP) ## requirement rows and the tests that cover them
	$(BIN)/python tools/mission.py

clean: ## remove what was built (not the node in ./var)
	rm -rf .venv .tools node_modules src/lianfang/commons/frame/static/vendor

# ---- preparation -----------------------------------------------------------------------------------------------

.tools/bin/uv: tools/uv.txt
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r tools/uv.txt
	@touch $@

$(STAMP): uv.lock pyproject.toml $(if $(findstring .tools,$(UV)),.tools/bin/uv)
	$(UV) sync --quiet --frozen --inexact --no-default-groups --python $(PYTHON) $(if $(shell command -v npm),,--group frontend)
	@touch $@

# Both look first whether there is anything to do, and take a tenth of a second when there is not.
assets: $(STAMP) ## front-end files and translations
	@$(BIN)/python tools/assets.py
	@$(BIN)/python tools/compile_messages.py

$(TESTSTAMP): $(STAMP)
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON) --group dev --group realparts
	@touch $@
