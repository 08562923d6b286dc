# Each goal makes .venv and installs what is missing by itself; see README.md.
.PHONY: setup demo run test lint chaos timeline bench docs constraints clean
PY := .venv/bin/python

setup:
	@scripts/system_packages.sh run
	@scripts/venv.sh

# Records a channel and a page with a service of its own, and plays what came out.
demo: setup
	@$(PY) -m scripts.demo

# The service in the foreground on port 8091; Ctrl-C ends it.
run: setup
	@exec $(PY) -m egress_ray

test:
	@scripts/system_packages.sh test
	@scripts/venv.sh
	@scripts/tests.sh $(ARGS)

lint:
	@scripts/venv.sh
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

# Random kills while recordings go on; what was lost: make chaos ARGS="--kills 50"
chaos:
	@scripts/system_packages.sh test
	@scripts/venv.sh
	@$(PY) -m tests.chaos $(ARGS)

# Three minutes of a meeting in a room of a real Janus, held against its script.
timeline:
	@scripts/system_packages.sh test
	@scripts/venv.sh
	@$(PY) -m tests.e2e.janus_timeline $(ARGS)

# All tables, or some: make bench ARGS="native latency"
bench:
	@scripts/system_packages.sh bench
	@scripts/venv.sh
	@$(PY) -m benchmarks $(ARGS)

# Documents that are generated from the code.
docs: setup
	@$(PY) -m scripts.settings_doc

# The versions that were tested, from the present .venv.
constraints: setup
	@$(PY) -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' > constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis egress-data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
