# Everything happens in .venv of this folder; nothing else on the machine is touched.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
PORT ?= 9842
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check check-gpu format clean bench docs test-live test-browser dashboards lock kubernetes
help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/demo ## run the exporter over a tiny embedded llama-server, until Ctrl-C (PORT=9842)
	@exec $(VENV)/bin/python -m exporter demo --web.listen-address 127.0.0.1:$(PORT)

test: $(VENV)/test ## run all tests
	$(VENV)/bin/python -m pytest -q

test-live: $(VENV)/test ## run dashboards and rules on a real Prometheus, which has to be on PATH
	$(VENV)/bin/python -m pytest -q tests/live

test-browser: $(VENV)/test ## run the page in Chromium, which has to be on PATH (or CHROMIUM=)
	$(VENV)/bin/python -m pytest -q tests/browser

dashboards: $(VENV)/test ## write grafana/dashboards/*.json anew
	$(VENV)/bin/python -m grafana

check: $(VENV)/test ## run the linters, the type checker, and look for stale dashboards
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m grafana --check

format: $(VENV)/test ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/test ## write docs/metrics.md anew from the catalog
	$(VENV)/bin/python -m docs.generate

bench: $(VENV)/test ## measure what a scrape and a log line cost
	$(VENV)/bin/python benchmarks/scrape.py
	$(VENV)/bin/python benchmarks/logs.py
	$(VENV)/bin/python -m benchmarks.gpu

check-gpu: $(VENV)/test ## compare what we say of NVIDIA GPUs with nvidia-smi
	$(VENV)/bin/python benchmarks/check_gpu.py

# One lock for every Python and machine that the images of llama.cpp have.
LOCK = $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock'

lock: $(VENV)/bin/python ## pin what the container image holds (UPGRADE=--upgrade for newer versions)
	$(VENV)/bin/pip install -q uv
	$(LOCK) $(UPGRADE) pyproject.toml -o deploy/requirements.txt
	$(VENV)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
		| $(LOCK) $(UPGRADE) - -o deploy/requirements-build.txt

kubernetes: $(VENV)/test ## write the Kubernetes resources of rules and dashboards (CHECK=--check only says what is stale)
	$(VENV)/bin/python deploy/kubernetes/generate.py $(CHECK)

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON= to it"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo $(VENV)/test: $(VENV)/%: $(VENV)/bin/python pyproject.toml
	$(VENV)/bin/pip install -q -e '.[$*]'
	@touch $@
