# Two commands for everybody: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## run the whole pipeline on the example application, export ./report, exit 1 if it does not pass
	@scripts/demo

test: ## run every test that this machine can run; names those it could not run, and why
	@scripts/test

unit: ## run the Go tests that need no engine, no network and no Python
	@scripts/unit

rollouts: ## make 1,000 random rollouts on an unsteady AWS; for a nightly job
	@go test ./ci/rollout/release -count=1 -timeout 20m -run TestRandomRollouts -rollouts 1000

lint: ## check formatting, Go vet, the workflows, and the example's types and style
	@scripts/lint

docs: ## build the documentation as a site in ./site, and check its links
	@scripts/docs

develop: ## generate the Dagger client, so that an editor understands main.go
	@scripts/develop

.PHONY: help demo test unit rollouts lint docs develop
