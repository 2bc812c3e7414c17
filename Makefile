# The product's commands. `make demo` and `make test` work on a bare machine with Python and the package registry.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# A lock file names everything, so that nothing is looked for besides; Python compiles what it imports, when it does.
PIP := $(RUN) -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --no-deps --no-compile

# The test command and the linters choose the settings themselves.
unexport DJANGO_SETTINGS_MODULE
# The tests start the product's processes hundreds of times; each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory
.PHONY: help demo test lint bench proof chaos fuzz release old-code
.DEFAULT_GOAL := help
include deploy/delivery.mk

help:
	@echo "make demo   set up, label the demo catalogue, show the table, serve the site on 127.0.0.1:8000 (PORT=...)"
	@echo "make test   set up and run the whole test suite (TEST_DATABASE_URL and TEST_REDIS_URL use your servers)"
	@echo "make lint   formatting, lint, import contracts, Django's checks, types"
	@echo "make bench  the benchmarks; half an hour on two cores, best with nothing else at work"
	@echo "make proof  the long proofs one after the other, as JSON, from a seed of their own (SEED=...); two hours"
	@echo "            SHOP=DIR replays reviews on that labelled folder as well"
	@echo "make fuzz   10,000 generated requests to the API, from a seed of their own (CASES=..., SEED=...)"
	@echo "make release  a signed tag of this commit, once lint and tests pass (DRY_RUN=1 makes none)"
	@echo "make old-code the tests of the commit BASE on a database that this commit migrated (TESTS=...)"
	@echo "make images the two container images, from any base (BASE=...); see docs/containers.md"
	@echo "make chaos  100,000 labels while workers, broker and database are killed; ten minutes on two cores"

demo: $(VENV)/installed
	@$(RUN) manage.py demo

# A process for each core and one more, since some wait for others; four at most, since each needs a gigabyte.
# See tests/support/side_by_side.py.
SIDE_BY_SIDE := -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 --dist loadscope

# What depends on the kind of database runs on SQLite first, as in the embedded product; then everything on real servers.
test: $(VENV)/installed-dev
	TEST_DATABASE_URL=sqlite:// TEST_REDIS_URL= $(RUN) -m pytest -q $(SIDE_BY_SIDE) -m both_databases -r fE
	$(RUN) -m pytest $(SIDE_BY_SIDE) --line-coverage

lint: export VAR_DIR := $(VENV)/lint
lint: $(VENV)/installed-dev
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(VENV)/bin/lint-imports
	$(RUN) manage.py check --fail-level WARNING
	$(RUN) manage.py makemigrations --check --dry-run
	$(RUN) -m mypy

# Each runs alone too, with options: see docs/benchmarks.md.
bench: $(VENV)/installed-dev
	$(RUN) -m benchmarks.inference
	$(RUN) -m benchmarks.labelling
	$(RUN) -m benchmarks.ledger
	$(RUN) -m benchmarks.adoption
	$(RUN) -m benchmarks.heads
	$(RUN) -m benchmarks.review_queues
	$(RUN) -m benchmarks.history
	$(RUN) -m benchmarks.catalogue
	$(RUN) -m benchmarks.similar
	$(RUN) -m benchmarks.splits
	$(if $(SHOP),$(RUN) -m benchmarks.retraining $(SHOP) --reviews 300)
	$(RUN) -m benchmarks.drift
	$(RUN) -m benchmarks.upgrade

# The long proofs: a program a line, with its counts as options, a seed where it chooses, and a JSON document as its output.
# A failure says its seed; the same seed makes the same choices.
SEED := $(or $(SEED),$(shell date +%s))
proof: $(VENV)/installed-dev
	$(RUN) -m tests.faults --json --seed $(SEED)
	$(RUN) -m tests.deploy.killed --json --seed $(SEED)
	$(RUN) -m tests.site.generated_requests --json --seed $(SEED)
	$(RUN) -m tests.catalog.fetching.published_urls --json --seed $(SEED)
	$(RUN) -m tests.catalog.interchange.legacy_rows --json --seed $(SEED)
	$(RUN) -m tests.config.messages --json --seed $(SEED)
	$(RUN) -m tests.ml.judging.simulated_catalogues --json --seed $(SEED)
	$(RUN) -m tests.ml.judging.simulated_windows --json --seed $(SEED)
	$(RUN) -m tests.ml.judging.drifting_windows --json --seed $(SEED)
	$(RUN) -m tests.classifier.management.lasting_demo --json
	$(RUN) -m tests.classifier.reviews.many_reviewers --json --seed $(SEED)
	$(RUN) -m tests.classifier.splits.arrivals --json --seed $(SEED)
	$(RUN) -m tests.classifier.adoption.registry_operations --json --seed $(SEED)
	$(RUN) -m tests.classifier.adoption.registry_operations --json --seed $(SEED) --embedded
	$(RUN) -m tests.classifier.registry.altered_artefacts --json --seed $(SEED)
	$(RUN) -m tests.ml.judging.simulated_gates --json --seed $(SEED)
	$(RUN) -m tests.ml.judging.simulated_previews --json --seed $(SEED)
	$(RUN) -m tests.site.rolling_upgrade --json --seed $(SEED)
	$(RUN) -m benchmarks.doors --json
	$(if $(SHOP),$(RUN) manage.py replay_reviews $(SHOP) --json)

release:
	$(or $(wildcard $(RUN)),$(PYTHON)) -m config.release $(if $(DRY_RUN),--dry-run)

# What a rolling upgrade has for a while: an earlier commit's code on this one's schema.
old-code: $(VENV)/installed-dev
	$(RUN) -m tests.site.old_code $(if $(BASE),--base $(BASE)) $(TESTS)

# Shorter: make chaos CHAOS="--labels 20000 --kills 80"
chaos: $(VENV)/installed-dev
	$(RUN) -m tests.faults $(CHAOS)

fuzz: CASES ?= 10000
fuzz: $(VENV)/installed-dev
	$(RUN) -m tests.site.generated_requests --cases $(CASES) --seed $(SEED)

$(VENV)/installed: requirements-light.lock | $(RUN)
	@echo "Installing the pinned packages into $(VENV) (0.5 GB on disk; half a minute, once) ..."
	@$(PIP) -r requirements-light.lock
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@echo "Installing the test and lint packages into $(VENV) (2.7 GB on disk with TensorFlow; some minutes, once) ..."
	@$(PIP) -r requirements-dev.lock
	@touch $@

$(RUN):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Expected Python 3.11, 3.12 or 3.13 as '$(PYTHON)', found no such command." \
	       "Name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "Expected Python 3.11, 3.12 or 3.13 as '$(PYTHON)', found $$($(PYTHON) --version)." \
	       "Name another: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Expected '$(PYTHON)' to have the modules venv and ensurepip, it has not." \
	       "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
