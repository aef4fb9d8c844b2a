# Each target is enough on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
# The tested build of torch. For another one (a GPU build, a newer release):
#   make demo TORCH=torch==2.12.1           or   make demo TORCH='torch==2.13.0 --index-url URL'
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-system chaos calibration structure study-tiny lint kernels format bench gpu-check clean

demo: $(READY)
	$(BIN)/sweeper run pursuit

# Two processes with one thread each: more threads would oversubscribe two cores. The kernels are
# compiled during the lint, so that the tests do not wait for them.
test: $(READY)
	$(MAKE) --no-print-directory -j 2 lint kernels
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

# What needs a server, an sshd or many processes. Missing programs are installed where apt-get
# can; otherwise their tests are skipped, and say why.
test-system: $(READY)
	tests/install_programs.sh
	$(MAKE) --no-print-directory kernels
	$(BIN)/pytest -m 'system and not chaos' -rs --durations=10

# Every fault, with a table of what was required and measured. CHAOS_SEED=n draws other moments.
chaos: $(READY)
	$(BIN)/pytest tests/faults -m '' --durations=10

# Error rates of every test of structure: at least 200 draws of what it must not find and of what it
# must find. SEED=n: other draws.
calibration: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.calibration --seed $(or $(SEED),0)

# What SmolLM2's rows hold besides sparse features, each vs. its null; under 15 minutes on two cores.
structure: $(READY)
	$(BIN)/sweeper run atom-map
	$(BIN)/sweeper run circles
	$(BIN)/sweeper run matrix-binding
	$(BIN)/sweeper run residual
	$(BIN)/sweeper study report -o structure.html

# A small study from nothing to a verdict, within an hour on two cores. Rerun it to resume.
study-tiny: $(READY)
	$(BIN)/sweeper run frozen
	$(BIN)/sweeper run checkpoints
	$(BIN)/sweeper run checkpoints-sizes
	$(BIN)/sweeper run checkpoints-residual
	$(BIN)/sweeper verdict
	$(BIN)/sweeper study report -o study.html

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Fill numba's cache. Does nothing if no kernel has changed.
kernels: $(READY)
	$(BIN)/python -m trials.kernels.warm_up

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	env -u OPENBLAS_CORETYPE $(BIN)/python -m benchmarks.sparse_coding
	env -u OPENBLAS_CORETYPE $(BIN)/python -m benchmarks.penalty_path
	env -u OPENBLAS_CORETYPE $(BIN)/python -m benchmarks.dictionary_learning
	env -u OPENBLAS_CORETYPE $(BIN)/python -m benchmarks.training
	env -u OPENBLAS_CORETYPE $(BIN)/python -m benchmarks.service
	env -u OPENBLAS_CORETYPE $(BIN)/python -m benchmarks.queries
	env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.search

# What a GPU does with kernels and training, into gpu-check.json; at most eight minutes, with nothing
# to download. Without a GPU it says so, and every check in the file is "not run".
gpu-check: $(READY)
	$(BIN)/python -m benchmarks.gpu_check

# torch goes first and by itself: its build is the user's choice, everything else is pinned.
$(READY): pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit("sweeper needs Python 3.11 or newer") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(TORCH)
	grep -v '^torch==' constraints.txt > .venv/constraints.txt
	$(BIN)/python -m pip install --quiet -c .venv/constraints.txt -e '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
