# The commands of the README. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test browser clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## list these commands
	@sed -n 's/^\([a-z]*\): .*## /  make \1 -- /p' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## install rnnc into .venv and run a small demonstration
	@$(VENV)/bin/python -m tools.demo

test: $(VENV)/.test ## install what the checks need and run all of them
	@$(VENV)/bin/python tools/check.py

browser: ## install Chromium and npm packages for the tests of pages (as root, on Debian)
	@.ci/browser

clean: ## remove .venv
	rm -rf $(VENV)

# Each stamp says what is installed; it is as old as the pyproject.toml that was read.
$(VENV)/.demo: pyproject.toml $(VENV)/.made
	@echo "installing rnnc and what it runs on into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.made
	@echo "installing rnnc and what its checks need into $(VENV)"
	@$(PIP) install --editable '.[test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rnnc needs Python 3.11 or newer: name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make a virtual environment: install your system's python3-venv package" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
