# What one can do here. `make help` lists it.
VENV := .venv
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin
CONFORMANCE := tests/conformance
WORKERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: help install demo test lint format docs pictures bench bench-peers chaos conformance conformance-tools clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## a virtual environment with everything that is locked

$(UV):
	@sh scripts/venv.sh $(VENV)

$(VENV)/.installed: $(UV) pyproject.toml uv.lock
	@$(UV) sync --locked --quiet --python $(RUN)/python
	@touch $@

demo: install  ## start, use, look at and stop examples/web-stack
	@$(RUN)/python examples/demo.py

test: install  ## all tests, two a core: most of the time they wait
	$(RUN)/pytest -n $(WORKERS) --durations=15

lint: install  ## ruff, mypy, import rules, pages made from code
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python -m scripts.generate_docs --check

format: install  ## as ruff wants it
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

docs: install  ## write the pages of docs/ that are made from code
	$(RUN)/python -m scripts.generate_docs

pictures: install  ## make docs/pictures and the examples of docs/mcp.md anew from what the program prints
	$(RUN)/python -m scripts.picture
	$(RUN)/python -W ignore -m scripts.mcp_page

bench: install  ## the figures of docs/design.md, as ratios within one run
	$(RUN)/python -m benchmarks

bench-peers: install  ## docs/benchmarks.md: Runcept beside other tools, installed into .peers; half an hour
	@test -d .peers || $(RUN)/python -m benchmarks.peers --install .peers
	$(RUN)/python -m benchmarks.peers --tools .peers --write-docs

chaos: install  ## a random campaign of faults, the books afterwards, and a thousand processes: make chaos ARGS="--seed 1 --minutes 10"
	@$(RUN)/python -m tests.chaos $(ARGS)
	@RUNCEPT_CHAOS_MANY=1000 $(RUN)/pytest -q tests/chaos/test_exhaustion.py

conformance: install conformance-tools  ## the official MCP suite and the Inspector against our server
	@$(RUN)/python -m tests.conformance

conformance-tools: $(CONFORMANCE)/node_modules/.installed  ## what that needs from npm, 330 MB; an ordinary test run skips the Inspector without

$(CONFORMANCE)/node_modules/.installed: $(CONFORMANCE)/package-lock.json
	@npm ci --prefix $(CONFORMANCE) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

clean:  ## all that was made here
	rm -rf $(VENV) .peers $(CONFORMANCE)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
