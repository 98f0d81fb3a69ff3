# What a person does with the source. `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
HOME_ASSISTANT ?= $(CURDIR)/.venv-ha
export PYTHON HOME_ASSISTANT

.PHONY: help venv dev demo home test test-package test-arm deb vendor-news check docs bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

venv: $(VENV)/.installed ## a virtual environment with edged in it

dev: $(VENV)/.developed ## the same with everything that tests and checks need

demo: venv ## a whole site on loopback: make demo ARGS="..."
	@tools/need.sh --optional mosquitto mosquitto
	@PATH="$$PATH:/usr/sbin" $(BIN)/edged demo $(ARGS)

check: dev ## format, lint, types, import contracts, sizes, the MQTT contract, what is kept
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py
	$(BIN)/python tools/mqtt_contract.py
	$(BIN)/python tools/kept_facts.py

docs: dev ## the MQTT contract as one page: build/docs/mqtt.html
	$(BIN)/python tools/mqtt_page.py

# Four at a time on any machine: most tests wait for a line, a charger or a clock, and not for the processor.
test: dev ## the tests
	@tools/need.sh mosquitto mosquitto
	@tools/need.sh groff-base groff
	@tools/need.sh zsh zsh
	@tools/need.sh faketime faketime
	-@tools/home_assistant.sh $(HOME_ASSISTANT)
	$(BIN)/pytest -n 4 --ignore=tests/packaging $(PYTEST_ARGS)

# Most of their time passes in waiting, too. As root: whole systems are booted, disks mounted.
test-package: dev ## the package, booted: Debian 12 and 13 with a real systemd, power cuts at block writes
	tests/packaging/enter.sh $(BIN)/pytest -n 3 -m "not emulated" --timeout=600 tests/packaging $(PYTEST_ARGS)

test-arm: dev ## the package's smoke test on arm64 and armhf, emulated, Debian 12 and 13
	tests/packaging/enter.sh $(BIN)/pytest -n 2 -m emulated --timeout=1800 tests/packaging $(PYTEST_ARGS)

deb: ## the Debian package: build/deb/edged_*_all.deb
	tools/build_deb.sh

vendor-news: dev ## newer versions of the libraries in the package
	$(BIN)/python tools/vendor.py news

home: ## Home Assistant for the tests that run it; wants Python 3.13
	tools/home_assistant.sh $(HOME_ASSISTANT)

bench: dev ## measure: make bench ARGS="--quick"
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the virtual environment and every cache
	rm -rf $(VENV) .venv-ha .venv-ha-uv .venv-ha-python .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "edged needs Python 3.11 or later: make PYTHON=python3.11 ..." >&2; exit 1; }
	@tools/need.sh python3-venv python:ensurepip
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[certificates]'
	@touch $@

$(VENV)/.developed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.installed
