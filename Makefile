SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
# cargo and go use all cores by themselves; steps in turn keep their output readable.
.NOTPARALLEL:
.DEFAULT_GOAL := help

target := $(or $(CARGO_TARGET_DIR),target)
step = @echo "== $(1)"

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: tools ## from nothing to a pool at work, on simulated clouds; ACT=chaos SEED=1: under random faults
	$(call step,building poolkeeper, its simulator and the demo)
	@cargo build --release --package poolkeeper --package poolkeeper-simulator --package poolkeeper-harness --bins
	@$(target)/release/demo

.PHONY: day
day: ## one day of a job trace at 200 times the speed: make day TRACE=FILE
	@[[ -n "$(TRACE)" ]] || { echo "name the trace: make day TRACE=FILE" >&2; exit 2; }
	@[[ -r "$(TRACE)" ]] || { echo "cannot read $(TRACE)" >&2; exit 2; }
	@$(MAKE) tools
	$(call step,building poolkeeper, its simulator and the day)
	@cargo build --release --package poolkeeper --package poolkeeper-simulator --package poolkeeper-harness --bins
	@$(target)/release/day "$(TRACE)"

.PHONY: limits
limits: tools ## calls a minute of 300 scale sets against Azure's limits, and a storm of 429 on one
	$(call step,building poolkeeper, its simulator and the measurement)
	@cargo build --release --package poolkeeper --package poolkeeper-simulator --package poolkeeper-harness --bins
	@$(target)/release/limits

.PHONY: test
test: lint tools clients build ## every check and test; ends with a line of sums
	$(call step,tests)
	@hack/test.sh

.PHONY: lint
lint: ## formatting, clippy, documentation, generated files; warnings are errors
	$(call step,cargo fmt)
	@cargo fmt --all --check
	$(call step,cargo clippy)
	@cargo clippy --workspace --all-targets -- -D warnings
	$(call step,cargo doc)
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	$(call step,generated files)
	@cargo build --workspace --bin xtask --quiet
	@$(target)/debug/xtask check

.PHONY: fmt
fmt: ## format all sources
	@cargo fmt --all
	@command -v gofmt >/dev/null && gofmt -w tests/control-plane tests/clients/go || echo "no gofmt: the Go sources are left as they are"

.PHONY: gen
gen: ## write crds/, the chart's copies and the API reference
	@cargo run --package xtask -- gen

.PHONY: build
build: ## all programs and tests, unoptimized
	$(call step,building programs and tests)
	@cargo build --workspace --bins --tests

.PHONY: tools
tools: ## control plane, kubectl and helm, once, into a cache (minutes at first)
	$(call step,tools)
	@tests/control-plane/build.sh

.PHONY: clients
clients: ## Microsoft's clients for the tests, once, into a cache
	$(call step,clients)
	@tests/clients/setup.sh

.PHONY: soak
soak: ## a million simulated jobs under random faults, and 100,000 short worlds: make soak JOBS= WORLDS= SEED=
	$(call step,building the soak)
	@cargo build --release --package poolkeeper-proof --bin soak
	@JOBS="$(or $(JOBS),1000000)" WORLDS="$(or $(WORLDS),100000)" SEED="$(or $(SEED),1)" $(target)/release/soak

.PHONY: bench
bench: ## how long a decision takes
	@cargo bench --package poolkeeper-policy
