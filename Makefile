# make demo   set up, run the demo study, print its tables, write plots
# make zoo    every method once, on digits at 95 %
# make test   set up, run all checks
# make docs   build the documentation as a site: site/index.html opens without a server
# make chaos  inject faults into a small study for some minutes
# make gpu    check and measure the suite on this machine's GPU, six minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo zoo test docs lint types unit slurm chaos gpu install format clean

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/prunebench run demo
	$(BIN)/prunebench table demo
	$(BIN)/prunebench plot demo

# One seed and two sparsities of the study; `prunebench run zoo` computes all of it.
ZOO := zoo --only seed=0 --only sparsity=0,95%
zoo: $(INSTALLED)
	$(BIN)/prunebench run $(ZOO)
	$(BIN)/prunebench table $(ZOO) --kind accuracy
	$(BIN)/prunebench table $(ZOO) --kind cost
	$(BIN)/python tests/check_zoo.py

test: lint types unit

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/pyright

# One thread per process: results do not depend on the number of threads, and two processes use two cores best.
unit: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m 'not slurm'

# In a temporary SLURM on this machine; needs the packages that `tools/slurm-local packages` prints.
slurm: $(INSTALLED)
	OMP_NUM_THREADS=1 tools/slurm-local run 2 8 -- $(BIN)/python -m pytest -m slurm

# Kills processes, fills a small disk (as root), damages files and compares; SEED and ROUNDS choose the faults.
SEED ?= 0
ROUNDS ?= 20
chaos: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python tests/chaos.py --seed $(SEED) --rounds $(ROUNDS)

# Exits with 1 if something is wrong; docs/gpu.md explains the table.
gpu: $(INSTALLED)
	$(BIN)/python -m prunebench.benchmark.perf.gpu_check

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build site *.egg-info .pytest_cache .ruff_cache .hypothesis
