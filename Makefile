# One file for every command of the project; `make` alone lists them.
PYTHON ?= python3.11
PROFILE ?= default
BIN := .venv/bin
PY := $(BIN)/python

# Stages are started as `python` by DVC, so the environment comes first in PATH. No telemetry, nowhere.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help run test lint unit engines test-faults test-slurm test-remote test-lm1b golden bench bench-scale deviations ui track deps readme use clean gc

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Wheels come from wherever pip is configured to look. The tracking store is made here, because two stages that
# both find none would both try to create it.
.venv/.ok: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(PY) -m diffusionbert.tracking setup
	@touch $@

# What a cluster and a remote in S3 need beside the rest: Snakemake's executor, DVC's remote.
.venv/.slurm .venv/.s3: .venv/.%: .venv/.ok
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,$*]'
	@touch $@

run: .venv/.ok $(if $(filter slurm,$(ON)),.venv/.slurm)  ## the whole DAG: PROFILE=default, ARMS=a,b for some of its arms, CORES=n, ON=slurm
	@$(PY) -m workflow.run --profile $(PROFILE) $(if $(ARMS),--arms $(ARMS)) $(if $(CORES),--cores $(CORES)) $(if $(ON),--on $(ON))

test: lint unit engines  ## lint, types, import contract, all tests

lint: .venv/.ok  ## format, lint, types, import contract
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile

unit: export HF_HUB_OFFLINE := 1
unit: export OMP_NUM_THREADS := 1
unit: .venv/.ok
	$(PY) -m pytest -n 2 -m "not engines and not faults"

engines: export HF_HUB_OFFLINE := 1
engines: export OMP_NUM_THREADS := 1
engines: .venv/.ok
	$(PY) -m pytest -m engines

test-faults: export HF_HUB_OFFLINE := 1
test-faults: export OMP_NUM_THREADS := 1
test-faults: .venv/.ok  ## kills, full disks, flipped bytes, dead servers: SEED=n repeats a run's moments; docs/benchmarks.md
	$(PY) -m pytest -s tests/faults $(if $(SEED),--faults-seed $(SEED)) --faults-json results/bench/faults.json
	$(PY) -m diffusionbert.bench.page

test-slurm: .venv/.slurm  ## the ci profile on a real Slurm, installed (root, apt) and started here: docs/scale.md
	$(PY) -m workflow.slurm_trial

test-remote: .venv/.s3  ## push from one clone, pull in another, over a folder and a local S3 server: docs/scale.md
	$(PY) -m workflow.remote_trial

test-lm1b: .venv/.ok  ## the paper's run started on a corpus of LM1B's layout, after `make run`: hours and disk in docs/scale.md
	$(PY) -m workflow.lm1b_trial

golden: .venv/.ok  ## renew the golden values of the ci profile, showing what moved
	$(PY) -m workflow.golden

bench: .venv/.ok  ## times and memory against the plain masked-LM step: docs/benchmarks.md
	$(PY) -m diffusionbert.bench
	$(PY) -m workflow.bench

bench-scale: .venv/.ok  ## time and memory of the data stages against the corpus size, after `make run`: docs/scale-data.md
	$(PY) -m workflow.bench_scale $(if $(SIZES),--sizes $(SIZES))

deviations: .venv/.ok  ## what each difference from paper and release is worth, after `make run`: docs/deviations.md
	$(PY) -m diffusionbert.deviations

ui: .venv/.ok  ## the MLflow page of all tracked runs
	$(BIN)/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

track: .venv/.ok  ## record the stages that came from the cache, and whatever was not sent
	$(PY) -m diffusionbert.tracking record

deps: .venv/.ok  ## rewrite the code under deps in dvc.yaml from the import graph
	$(PY) -m workflow.deps

readme: .venv/.ok  ## rewrite the table in README.md from results/default
	$(PY) -m diffusionbert.report.readme

use: .venv/.ok  ## run the commands of docs/use.md again, on the arms of results/default and results/pairs
	$(PY) -m diffusionbert.commands.document

clean: .venv/.ok  ## remove results, checkpoints and logs; DVC's cache keeps what it holds
	@$(PY) -m workflow.clean results

gc: .venv/.ok  ## remove from DVC's cache what no profile and no commit needs
	@$(PY) -m workflow.clean cache
