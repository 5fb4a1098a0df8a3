# Everything that is done with this tree. Each recipe is what you would type by hand.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo dashboard build test screenshot bench bench-dashboard bench-peers bench-long bench-instructions lint fmt tools clean

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := tests/.tools/bin

# Named one by one: the hub's `broken-ack` breaks a promise on purpose and must not slip in.
FEATURES := firmware-client/host,proto/json
PAGE := hub/dashboard/dist/page/index.html
SCRIPTS := .ci/run $(wildcard deploy/*.sh tests/tools/*.sh)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: dashboard ## Start a hub and a town of simulated lamps, and watch them; Ctrl-C ends it
	$(CARGO) build --release --package hub --package device-sim --bins
	BIN=$(TARGET)/release deploy/demo.sh

dashboard: $(PAGE) ## Build the dashboard, which the next build of the hub embeds

# What the page is made of; the lock file decides which libraries, to the byte.
$(PAGE): $(shell find hub/dashboard hub/sdk -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/test/*')
	cd hub/dashboard && npm ci --no-audit --no-fund --loglevel=error && npm run build

build: dashboard ## Build all programs for development
	$(CARGO) build --workspace --bins

# Beside the hub itself the crash tests need one that acknowledges before the disk has it: a test
# that doesn't catch that one proves nothing.
test: tools dashboard ## Run all tests
	cd hub/dashboard && npm test
	$(CARGO) build --workspace --bins --features hub/broken-ack
	cp --remove-destination $(TARGET)/debug/hub $(TARGET)/debug/hub-broken-ack
	$(CARGO) build --workspace --bins
	LAMPLIGHTER_BIN_DIR=$(abspath $(TARGET))/debug $(CARGO) test --workspace --features $(FEATURES)
	cd tests/dashboard && npm ci --no-audit --no-fund --loglevel=error && LAMPLIGHTER_BIN_DIR=$(abspath $(TARGET))/debug npm test
	$(CARGO) run --release --manifest-path firmware-client/no-std-check/Cargo.toml --target-dir $(TARGET)/no-std-check

screenshot: build ## Take the pictures of the dashboard in docs/ anew, of a simulated town
	cd tests/dashboard && npm ci --no-audit --no-fund --loglevel=error && LAMPLIGHTER_BIN_DIR=$(abspath $(TARGET))/debug npm run screenshot

bench: ## Measure: parts by criterion, the whole by simulated fleets
	$(CARGO) bench --package hub --bench parts
	$(CARGO) build --release --package hub --package device-sim --bins
	BIN=$(TARGET)/release deploy/bench.sh

bench-long: ## Measure what takes long: storms, slow readers, a million values, 100,000 connections
	$(CARGO) build --release --package hub --package device-sim --bins
	BIN=$(TARGET)/release deploy/bench-long.sh

bench-dashboard: dashboard ## Measure the dashboard with 100,000 lamps, in a browser without a window
	$(CARGO) build --release --package hub --package device-sim --bins
	cd tests/dashboard && npm ci --no-audit --no-fund --loglevel=error && LAMPLIGHTER_BIN_DIR=$(abspath $(TARGET))/release npm run large

# The program's name has a hash; the newest is the one that was just built.
bench-instructions: ## Count instructions of the hub's parts, into hub/benches/instructions.txt
	$(CARGO) bench --package hub --bench parts --no-run
	BENCH=$$(ls -t $(TARGET)/release/deps/parts-* | grep -v '\.d$$' | head -n 1) deploy/bench-instructions.sh

bench-peers: ## Compare with Mosquitto, NATS and Socket.IO; writes docs/benchmarks.md
	$(CARGO) build --release --package hub --package device-sim --bins
	BIN=$(TARGET)/release deploy/bench-peers.sh $(ARGUMENTS)

lint: tools ## Check form, lints, licences and bans
	$(CARGO) metadata --locked --format-version 1 >/dev/null
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features $(FEATURES) -- -D warnings
	$(CARGO) clippy --package proto --package firmware-client -- -D warnings
	$(TOOLS)/cargo-deny check bans licenses sources
	$(TOOLS)/shellcheck $(SCRIPTS)

fmt: ## Bring all sources into form
	$(CARGO) fmt --all

tools: ## Install what the checks call into tests/.tools
	@tests/tools/install.sh

clean: ## Remove everything that was built or installed, and the demo's data
	$(CARGO) clean
	rm -rf tests/.tools tests/dashboard/node_modules .demo hub/dashboard/node_modules hub/dashboard/dist/page
