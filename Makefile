# greentune needs Python and make; `make` alone says what there is.

VENV ?= .venv
PYTHON ?=
ARGS ?=
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2

BIN := $(VENV)/bin
FOLDERS := tuning models objectives storage reports
# A stamp is touched after pip has ended well, so an interrupted installation is taken up again.
RUN_STAMP := $(VENV)/.greentune-run
DEV_STAMP := $(VENV)/.greentune-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.PHONY: help tune test long chaos check format docs clean view

help:
	@echo "make tune    tune, prove and export a forecaster of the packaged wind farm (5 to 10 minutes on 2 cores)"
	@echo "             make tune ARGS=\"--sampler grid --epochs 2\" passes options; ARGS=--help lists them"
	@echo "make test    run the tests; make test PYTEST_ARGS=\"-k queue\" passes options to pytest,"
	@echo "             TEST_PROCESSES=4 uses more cores"
	@echo "make long    run the tests that take longest: every page of the documentation, whole runs of the command"
	@echo "make chaos   race, kills, outages, load and resume at full size (an hour and a half on 2 cores)"
	@echo "make check   formatting, lint, types, and which folder may import which"
	@echo "make format  format the code and apply the safe fixes of the linter"
	@echo "make docs    write docs/reference/ from the code: every setting, every command"
	@echo "make clean   remove caches and build folders (keeps $(VENV) and runs)"
	@echo
	@echo "The first run makes $(VENV) with the newest Python from 3.11 to 3.13; PYTHON=/path/to/python chooses another,"
	@echo "VENV=folder another place."

tune: $(RUN_STAMP)
	@$(BIN)/greentune $(ARGS)

test: $(DEV_STAMP)
	@$(BIN)/pytest -q -n $(TEST_PROCESSES) -m "not long" $(PYTEST_ARGS)

long: $(DEV_STAMP)
	@$(BIN)/pytest -q -n $(TEST_PROCESSES) -m long $(PYTEST_ARGS)

chaos: $(DEV_STAMP)
	@GREENTUNE_CHAOS=full $(BIN)/pytest -q -p no:cacheprovider tests/chaos $(PYTEST_ARGS)

check: $(DEV_STAMP) view
	@echo "Formatting"; $(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; echo "make format mends it." >&2; exit 1; }
	@echo "Lint"; $(BIN)/ruff check --quiet .
	@echo "Types"; $(BIN)/mypy --no-error-summary
	@echo "Import direction"; $(BIN)/pytest -q --no-header --no-summary tests/project/test_import_direction.py
	@echo "make check: all good"

format: $(DEV_STAMP)
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

docs: $(DEV_STAMP)
	@$(BIN)/python -P docs/generate.py

clean:
	@rm -rf .view build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find $(FOLDERS) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# mypy sees the folders under the names that they have once installed.
view:
	@mkdir -p .view/greentune
	@for folder in $(FOLDERS); do ln -sfn "../../$$folder" ".view/greentune/$$folder"; done

# The environment for running, and the one for developing, which contains it.
$(RUN_STAMP): pyproject.toml constraints.txt
	@$(call install,.)
	@touch $(RUN_STAMP)

$(DEV_STAMP): pyproject.toml constraints.txt
	@$(call install,.[dev])
	@touch $(RUN_STAMP) $(DEV_STAMP)

# Finds a Python that fits (by running it: a version manager's shim may exist and not work), makes the environment if it is
# missing or does not run (its Python is gone), installs. Only a folder that is a virtual environment is ever cleared.
define install
set -e; \
if ! $(BIN)/python -c '$(FITS)' >/dev/null 2>&1; then \
    if $(BIN)/python -c 'pass' >/dev/null 2>&1; then \
        echo "greentune needs Python 3.11, 3.12 or 3.13; $(VENV) holds $$($(BIN)/python -V)." >&2; \
        echo "Remove that folder, or choose another: make $(MAKECMDGOALS) VENV=.venv-greentune" >&2; \
        exit 2; \
    fi; \
    fitting=; \
    for python in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python); do \
        "$$python" -c '$(FITS)' >/dev/null 2>&1 || continue; \
        fitting="$$fitting $$python"; \
        "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
        echo "Making $(VENV) with $$("$$python" -c 'import sys; print("Python", sys.version.split()[0])')"; \
        if [ -f "$(VENV)/pyvenv.cfg" ]; then "$$python" -m venv --clear "$(VENV)"; else "$$python" -m venv "$(VENV)"; fi; \
        break; \
    done; \
    if [ -z "$$fitting" ]; then \
        echo "greentune needs Python 3.11, 3.12 or 3.13; $(if $(PYTHON),$(PYTHON) is not one of them or does not run,found none on the PATH)." >&2; \
        echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
        exit 2; \
    fi; \
    if ! $(BIN)/python -c '$(FITS)' >/dev/null 2>&1; then \
        echo "Python is here (as$$fitting), its modules venv and ensurepip are not." >&2; \
        echo "On Debian and Ubuntu: apt-get install python3-venv (as root). Or name another: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
        exit 2; \
    fi; \
fi; \
$(PIP) --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
rm -f $(RUN_STAMP) $(DEV_STAMP); \
echo "Installing greentune and its libraries into $(VENV) (some 3 GB the first time: minutes)"; \
$(PIP) install --quiet -c constraints.txt -e '$(1)'; \
echo "Installed."
endef
