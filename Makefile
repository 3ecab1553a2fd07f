# `make run` and `make test` are all that one needs to know; each installs what it needs.

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-opencvs test-debians test-appliance test-pi check lock format bench bench-vision bench-web install upgrade uninstall clean

run: $(VENV)/installed
	@exec $(VENV)/bin/python -m pivision run

test: check
	$(VENV)/bin/python -m pytest --numprocesses=2 --dist=loadfile

test-opencvs: $(VENV)/installed-dev
	$(VENV)/bin/python -m tests.opencvs

test-debians: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest -rP tests/debians --numprocesses=2

test-appliance: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest tests/machine --numprocesses=3 --dist=loadfile

test-pi: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest --capture=no tests/pi

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --python-version=3.11
	$(VENV)/bin/mypy --python-version=3.13
	$(VENV)/bin/lint-imports

# After a change of pins: the SHA-256 of every file that PyPI has for them, and what is in them, by name and licence.
lock: $(VENV)/installed-dev
	$(VENV)/bin/python -m pip install --quiet uv==$(UV_VERSION)
	$(VENV)/bin/python -m tests.lock

format: $(VENV)/installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/installed-dev
	$(VENV)/bin/python -m benchmarks

bench-vision: $(VENV)/installed-dev
	$(VENV)/bin/python -m benchmarks operations networks readers warmth

bench-web: $(VENV)/installed-dev
	$(VENV)/bin/python -m benchmarks web

# With options: sudo make install OPTIONS="--user djg --wheels DIR"
install:
	@$(PYTHON) -B -m pivision install $(OPTIONS)

upgrade:
	@$(PYTHON) -B -m pivision upgrade $(OPTIONS)

uninstall:
	@$(PYTHON) -B -m pivision uninstall $(OPTIONS)

clean:
	rm -rf $(VENV) $(VENV)s .opencvs .*_cache .hypothesis

$(VENV)/installed: requirements.txt requirements-text.txt
	@$(PYTHON) -m pivision venv

$(VENV)/installed-dev: requirements-dev.txt requirements-text.txt $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet -r requirements-dev.txt
	$(VENV)/bin/python -m pip install --quiet --no-deps -r requirements-text.txt
	@touch $@
