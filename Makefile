# `make run` and `make test` are all that one needs to know; each installs what it needs.

PYTHON ?= python3
VENV := .venv
OPENCV := $(shell sed -n 's/^opencv-python==\([^ ]*\).*/\1/p' requirements.txt)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-appliance test-pi check format bench clean

run: $(VENV)/installed
	@exec $(VENV)/bin/python -m pivision run

test: check
	$(VENV)/bin/python -m pytest

test-appliance: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest tests/machine

test-pi: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest --capture=no tests/pi

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/installed-dev
	$(VENV)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) .*_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "PiVision needs Python 3.11 or newer; choose one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "PiVision needs Python's venv module; install it with: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt
	@$(VENV)/bin/python -c 'import cv2' 2>/dev/null || { \
		echo "opencv-python lacks a system library (libgl1, libglib2.0-0): taking its build without windows instead"; \
		$(VENV)/bin/python -m pip uninstall --quiet --yes opencv-python; \
		$(VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall opencv-python-headless==$(OPENCV) \
			&& $(VENV)/bin/python -c 'import cv2'; }
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet -r requirements-dev.txt
	@touch $@
