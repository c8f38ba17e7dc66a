# Everything a fresh machine needs is python3 (3.11 or newer), make and a package index.
# Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
RUN := .venv/bin/python
LOCK := .venv/bin/pip-compile -q --generate-hashes --allow-unsafe --no-strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	--no-header --annotation-style=line $(UPGRADE)

.DEFAULT_GOAL := help
# One environment, one installation into it at a time: `make -j` works, in order.
.NOTPARALLEL:
.PHONY: help setup demo test check bench faults reference lock clean python dev

help:
	@echo "Seawall: make TARGET [PYTHON=python3.12]"
	@echo
	@echo "  setup      make .venv with what development needs; every other target does this by itself"
	@echo "  demo       set up, show five exchanges with sample patients, and keep serving (Ctrl-C ends)"
	@echo "  test       set up, and run every test; warnings are errors"
	@echo "  check      style, types, documentation and the rules of the house"
	@echo "  bench      measure speed on this machine and print the table"
	@echo "  faults     kill the ledger's process 100 times over each database, and check what was told"
	@echo "  reference  write the reference pages that the code determines"
	@echo "  lock       pin dependencies by hash into requirements/ (UPGRADE=--upgrade takes newer ones)"
	@echo "  clean      remove .venv and caches; a demo's data folder stays"

setup: dev
	@echo "==> Ready: make demo, make test, make check"

demo: python
	@$(PYTHON) scripts/environment.py demo
	@if [ -t 1 ]; then \
	  echo "==> Running .venv/bin/seawall demo"; .venv/bin/seawall demo; \
	else \
	  echo "==> Running .venv/bin/seawall demo --once (output is no terminal: it ends after the exchanges)"; \
	  .venv/bin/seawall demo --once; \
	fi

test: dev
	@echo "==> Running every test (warnings are errors)"
	@PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: dev
	@echo "==> Style: ruff check"
	@$(RUN) -m ruff check .
	@echo "==> Layout: ruff format --check"
	@$(RUN) -m ruff format --check .
	@echo "==> Types: mypy"
	@$(RUN) -m mypy
	@echo "==> Every test and every public name is documented: interrogate"
	@$(RUN) -m interrogate src tests
	@echo "==> The rules of the house: tests/test_house.py"
	@$(RUN) -m pytest -q tests/test_house.py

bench: dev
	@echo "==> Measuring on this machine (python -m benchmarks)"
	@$(RUN) -m benchmarks

faults: dev
	@echo "==> Killing a process that appends for 64 clients, on SQLCipher and on PostgreSQL"
	@cd tests && ../$(RUN) -m faults.killing sqlcipher 100
	@cd tests && ../$(RUN) -m faults.killing postgres 100

reference: dev
	@echo "==> Writing docs/reference/ from the code"
	@$(RUN) scripts/reference.py

lock: dev
	@echo "==> Pinning requirements/dev.txt"
	@$(LOCK) --extra demo --extra dev -o requirements/dev.txt pyproject.toml
	@echo "==> Pinning requirements/demo.txt"
	@$(LOCK) --extra demo -o requirements/demo.txt pyproject.toml
	@echo "==> Pinning requirements/runtime.txt"
	@$(LOCK) -o requirements/runtime.txt pyproject.toml
	@echo "==> Pinning requirements/sslyze.txt"
	@$(LOCK) -o requirements/sslyze.txt requirements/sslyze.in

clean:
	@echo "==> Removing .venv, caches and builds (seawall-demo, if there is one, stays)"
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* htmlcov build dist
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

dev: python
	@$(PYTHON) scripts/environment.py dev

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Seawall needs Python 3.11 or newer, and '$(PYTHON)' is not; name one: make PYTHON=python3.12" >&2; \
	exit 1; }
