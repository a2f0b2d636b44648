.DEFAULT_GOAL := help
.PHONY: help demo test bench fuzz lint

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:  ## the gateway and a small backend on https://localhost:8443
	cargo run --locked --example demo

test:  ## every test; sets up what the browser and application tests need
	scripts/setup-tests.sh
	cargo test --locked

bench:  ## beside nginx and HAProxy, in one run; ARGS=--quick for a look
	benches/compare/run.py $(ARGS)

fuzz:  ## coverage-guided fuzzing of everything that parses
	fuzz/run.sh

lint:  ## formatting and clippy, as strict as CI would be
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
