# Teleglas: `make up` runs the whole product, `make test` proves it. Both need only Python 3.11+.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := libs/contracts libs/common $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml)) sim cli
INSTALLED := $(VENV)/.installed
ARGS ?=
PYTEST_ARGS ?=
REPORTS ?=
report = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)
WORKERS ?= 2
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadgroup
LIVE ?=
CAPTURE ?=
N ?= 20
# What runs on any machine: the other suites need a cluster, containers, root or half an hour.
EVERYWHERE := not chaos and not cluster and not images and not observability and not drill and not platform
COMPOSE := docker compose --env-file .teleglas/compose.env

.DEFAULT_GOAL := help
.PHONY: help install up check test test-unit chaos images test-images k8s test-cluster compose-up compose-down test-platform observability test-observability backup restore restore-drill bench bench-list docs lock contracts clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Install what everything else needs into .venv

$(INSTALLED): requirements.lock requirements-boot.lock $(addsuffix /pyproject.toml,$(PACKAGES))
	@[ -n "$(PYTHON)" ] || { echo "Teleglas needs Python 3.11 or newer on the PATH"; exit 1; }
	@echo "Installing into $(VENV) (the first time downloads about 400 MB) ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-boot.lock
	@$(BIN)/uv pip sync -q --native-tls --python $(BIN)/python --require-hashes requirements.lock requirements-boot.lock
	@$(BIN)/uv pip install -q --native-tls --python $(BIN)/python --offline --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

up: $(INSTALLED) ## Run the whole product: LIVE=1 on the real venues, CAPTURE=path on a capture, ARGS for more
	@$(BIN)/teleglas up $(if $(LIVE),--live) $(if $(CAPTURE),--capture $(CAPTURE)) $(ARGS)

check: $(INSTALLED) ## Lint, types, contracts and generated docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy libs cli sim services scripts tests benchmarks
	@$(BIN)/python scripts/generate_contracts.py --check
	@$(BIN)/python scripts/contract_baseline.py
	@$(BIN)/python scripts/topic_docs.py --check
	@$(BIN)/python scripts/reference_docs.py --check
	@$(BIN)/python scripts/render_k8s.py --check
	@$(BIN)/python scripts/kafka_tables.py --check
	@$(BIN)/python -m scripts.observability --check
	@$(BIN)/python scripts/lock.py --check
	@$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml

test: $(INSTALLED) ## Unit, contract and integration tests, WORKERS at once, then the whole product alone
	@$(PYTEST) -m "$(EVERYWHERE) and not e2e" $(call report,parts) $(PYTEST_ARGS)
	@$(BIN)/pytest -m "$(EVERYWHERE) and e2e" tests/e2e $(call report,e2e) $(PYTEST_ARGS)

test-unit: $(INSTALLED) ## Only what needs no broker or database
	@$(PYTEST) -m "$(EVERYWHERE) and not integration and not e2e" $(PYTEST_ARGS)

test-observability: $(INSTALLED) ## Rules, alerts, dashboards and traces on real Prometheus, Alertmanager and Jaeger
	@$(BIN)/pytest -m observability tests/observability $(PYTEST_ARGS)

observability: $(INSTALLED) ## Rewrite rules, dashboards and the chart's copies of deploy/observability
	@$(BIN)/python -m scripts.observability

chaos: $(INSTALLED) ## Kill services and brokers under load, N times each; TELEGLAS_DOWN_S=300 for the Bot API too
	@TELEGLAS_CHAOS_ROUNDS=$(N) $(BIN)/pytest -m chaos tests/chaos $(call report,chaos) $(PYTEST_ARGS)

images: $(INSTALLED) ## Build every container image, start each, print sizes and start times
	@$(BIN)/python -m scripts.images $(ARGS)

test-images: $(INSTALLED) ## Run the built images locked down, on a container engine
	@$(BIN)/pytest -m images tests/images $(PYTEST_ARGS)

compose-up: ## Run the product in containers: secrets at the first start, then every URL
	@$(PYTHON) deploy/compose/prepare.py
	@$(COMPOSE) up --detach --build --wait
	@[ -s .teleglas/secrets/demo.key ] || ( umask 077; $(COMPOSE) run --rm -T tools keys create --name demo > .teleglas/secrets/demo.key )
	@$(PYTHON) deploy/compose/prepare.py --urls

compose-down: ## Stop the containers; data and secrets stay in .teleglas
	@$(COMPOSE) --profile tools down

test-platform: $(INSTALLED) ## HAProxy, TLS and users before real servers; needs apt-get install haproxy postgresql-15 redis-server
	@$(BIN)/pytest -m platform $(PYTEST_ARGS)

backup: $(INSTALLED) ## Write the database of the running stack to FILE=…
	@$(BIN)/teleglas backup $(FILE)

restore: $(INSTALLED) ## Bring the database back from FILE=…; stop the services first
	@$(BIN)/teleglas restore $(FILE) $(ARGS)

restore-drill: $(INSTALLED) ## Back up a running product, destroy its database, restore it, compare
	@$(BIN)/pytest -m drill -s tests/platform $(PYTEST_ARGS)

test-cluster: $(INSTALLED) ## Install, roll, evict and kill on the Kubernetes cluster that KUBECONFIG names
	@$(BIN)/pytest -m cluster tests/cluster -s $(PYTEST_ARGS)

k8s: $(INSTALLED) ## Render deploy/k8s from the chart
	@$(BIN)/python scripts/render_k8s.py

bench: $(INSTALLED) .venv-peers/.installed ## Run one benchmark: NAME=…
	@$(BIN)/python scripts/bench.py $(NAME) $(ARGS)

bench-list: $(INSTALLED) ## Name the benchmarks
	@$(BIN)/python scripts/bench.py list

.venv-peers/.installed: benchmarks/peers.lock $(INSTALLED)
	@[ -x .venv-peers/bin/python ] || $(PYTHON) -m venv .venv-peers
	@$(BIN)/uv pip sync -q --native-tls --python .venv-peers/bin/python --require-hashes benchmarks/peers.lock
	@touch $@

docs: $(INSTALLED) ## Rewrite the generated docs
	@$(BIN)/python scripts/topic_docs.py
	@$(BIN)/python scripts/reference_docs.py
	@$(BIN)/python scripts/kafka_tables.py

lock: $(INSTALLED) ## Rewrite the lock files after a dependency changed
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python scripts/lock.py $(ARGS)

contracts: $(INSTALLED) ## Generate protobuf code and the topic catalogue from proto/
	@$(BIN)/python scripts/generate_contracts.py
	@$(BIN)/python scripts/contract_baseline.py --accept
	@$(BIN)/python scripts/topic_docs.py

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
