# make search, make test: the two commands; both create .venv by themselves.
PYTHON ?= python3
SPACE ?= search_spaces/quickstart.yaml
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

GPU := .venv-gpu
ORACLES := .venv-oracles
WHEEL := build/wheel

.PHONY: install tables search test test-long test-gpu test-oracles test-wheel check docs clean chaos fuzz

install: $(VENV)/.installed

search: $(VENV)/.installed
	$(BIN)/python -m suite.search --space $(SPACE)

# A file of tests at a time goes to each of the JOBS processes, those that run searches first (tests/conftest.py).
test: $(VENV)/.installed-dev check
	$(PYTEST) -m "not long"

# What takes minutes: all committed results, and searches: the tutorial, a pool of GPUs, lost nodes, servers, disks, power.
test-long: $(VENV)/.installed-dev
	$(PYTEST) -m long tests/docs tests/reports tests/suite

# The GPU kernel, on a GPU or interpreted on the CPU. Triton unpacks to 1 GB, so only this job has it; where
# PyTorch brought its own, that one is used.
test-gpu: $(VENV)/.installed-dev $(GPU)/.installed
	PYTHONPATH=$(CURDIR)/$(GPU) $(BIN)/python -m pytest tests/gpu

# The models against other people's code, in an environment of its own: its packages want older versions of some.
# The imports come first, because a test whose package is absent is skipped.
test-oracles: $(ORACLES)/.installed
	$(ORACLES)/bin/python -c 'import cgcnn2.model, e3nn.o3, matgl.layers, torch_geometric'
	$(ORACLES)/bin/python -m pytest tests/oracles

# The wheel in a new environment, used from another folder.
test-wheel: $(VENV)/.installed-dev
	rm -rf $(WHEEL) && mkdir -p $(WHEEL)/elsewhere
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEEL) .
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(WHEEL)/*.whl
	$(WHEEL)/venv/bin/python -m pip check
	cd $(WHEEL)/elsewhere && ../venv/bin/crystalformer-suite predict --list
	cd $(WHEEL)/elsewhere && ../venv/bin/crystalformer-suite search --space search_spaces/quickstart.yaml --trials 2 \
	  --set budget.epochs=6 --set data.subset=64 --set 'final.seeds=[0]'
	cd $(WHEEL)/elsewhere && ../venv/bin/crystalformer-suite trace runs/quickstart --all

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# A long storm over a search, a node whose link is cut, and others that take gigabytes of its memory.
chaos: $(VENV)/.installed-dev
	CHAOS=long $(BIN)/python -m pytest -s -k "storm or cut_link or the_memory" tests/chaos \
	  tests/suite/test_cluster_search.py tests/suite/test_host_memory.py

# Damaged data files, ten thousand of them; `make test` reads some.
fuzz: $(VENV)/.installed-dev
	FUZZ=10000 $(BIN)/python -m pytest -o timeout=3600 tests/crystalformer/sources/test_fuzz.py

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	touch $@

$(GPU)/.installed: $(VENV)/.installed-dev
	mkdir -p $(GPU)
	$(BIN)/python -c 'import triton' 2>/dev/null || $(PIP) --no-deps --target $(GPU) --upgrade triton
	touch $@

$(ORACLES)/.installed: pyproject.toml constraints.txt constraints-oracles.txt
	test -x $(ORACLES)/bin/python || $(PYTHON) -m venv $(ORACLES)
	awk -F== '!seen[$$1]++' constraints-oracles.txt constraints.txt > $(ORACLES)/constraints.txt
	$(ORACLES)/bin/python -m pip install --quiet --disable-pip-version-check -c $(ORACLES)/constraints.txt -e '.[dev,oracles]'
	touch $@

# The tables of committed results, and their summary in the README; the tests fail where one differs.
tables: $(VENV)/.installed
	$(BIN)/python -m reports.tables results

clean:
	rm -rf $(VENV) $(GPU) $(ORACLES) build data runs site
