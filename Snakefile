# The stages of dvc.yaml as Snakemake rules: this file gives order, parallelism and place, and nothing else.
# Commands, dependencies, outputs and params stand in dvc.yaml; each job runs its DVC stage, so that DVC decides
# what is stale and what comes from the cache (workflow/definition.py tells how the two meet).
import shutil
import sys

sys.path.insert(0, workflow.basedir)
from diffusionbert.tracking import engine
from workflow.definition import read

dag = read(ask=workflow.is_main_process)
if workflow.is_main_process:
    engine.tell()  # before any job: one that starts on another node cannot see who its engine is


# DVC's own words go to the log; the stage's progress and errors go to the log and to the terminal.
def stage(name):
    return f"dvc --wait-for-lock repro --single-item {name} 2>&1 >> {{log}} | tee -a {{log}} >&2"


wildcard_constraints:
    key="[a-z][a-z0-9_]*",


report: "workflow/report/workflow.rst"


# Copies of a run that was killed; the lock is ours by now.
onstart:
    shutil.rmtree(".snakemake/backups", ignore_errors=True)


# Tracking is a mirror of what happened: whatever is wrong with it, the run is as it is.
onsuccess:
    shell("python -m diffusionbert.tracking record >&2 || true")


rule all:
    input:
        dag.everything(),
    message:
        "all stages are up to date"


rule corpus:
    input:
        dag.inputs("corpus"),
    output:
        dag.outputs("corpus"),
    log:
        "logs/corpus.log",
    threads: dag.threads
    message:
        "corpus"
    shell:
        stage("corpus")


rule tokenize:
    input:
        dag.inputs("tokenize"),
    output:
        dag.outputs("tokenize"),
    log:
        "logs/tokenize/{key}.log",
    threads: dag.threads
    message:
        "tokenize@{wildcards.key}"
    shell:
        stage("tokenize@{wildcards.key}")


rule information:
    input:
        dag.inputs("information"),
    output:
        dag.outputs("information"),
    log:
        "logs/information/{key}.log",
    threads: dag.threads
    message:
        "information@{wildcards.key}"
    shell:
        stage("information@{wildcards.key}")


rule spindle:
    input:
        dag.inputs("spindle"),
    output:
        dag.outputs("spindle"),
    log:
        "logs/spindle/{key}.log",
    threads: dag.threads
    message:
        "spindle@{wildcards.key}"
    shell:
        stage("spindle@{wildcards.key}")


# `gpu` limits nothing until the user says how many there are: --resources gpu=N.
rule train:
    input:
        dag.inputs("train"),
    output:
        dag.outputs("train"),
    log:
        "logs/train/{key}.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "train@{wildcards.key}"
    shell:
        stage("train@{wildcards.key}")


rule evaluate:
    input:
        dag.inputs("evaluate"),
    output:
        dag.outputs("evaluate"),
    log:
        "logs/evaluate/{key}.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "evaluate@{wildcards.key}"
    shell:
        stage("evaluate@{wildcards.key}")


rule sample:
    input:
        dag.inputs("sample"),
    output:
        dag.outputs("sample"),
    log:
        "logs/sample/{key}.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "sample@{wildcards.key}"
    shell:
        stage("sample@{wildcards.key}")


rule frontier:
    input:
        dag.inputs("frontier"),
    output:
        dag.outputs("frontier"),
    log:
        "logs/frontier/{key}.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "frontier@{wildcards.key}"
    shell:
        stage("frontier@{wildcards.key}")


rule metrics:
    input:
        dag.inputs("metrics"),
    output:
        dag.outputs("metrics"),
    log:
        "logs/metrics.log",
    threads: dag.threads
    message:
        "metrics"
    shell:
        stage("metrics")


rule pairs:
    input:
        dag.inputs("pairs"),
    output:
        dag.outputs("pairs"),
    log:
        "logs/pairs.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "pairs"
    shell:
        stage("pairs")


rule generative:
    input:
        dag.inputs("generative"),
    output:
        dag.outputs("generative"),
    log:
        "logs/generative.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "generative"
    shell:
        stage("generative")


# Seconds are only worth something when nothing else runs.
rule speed:
    input:
        dag.inputs("speed"),
    output:
        dag.outputs("speed"),
    log:
        "logs/speed.log",
    threads: workflow.resource_settings.cores or 1
    resources:
        gpu=1,
    message:
        "speed"
    shell:
        stage("speed")


rule audit:
    input:
        dag.inputs("audit"),
    output:
        dag.outputs("audit"),
    log:
        "logs/audit.log",
    threads: dag.threads
    resources:
        gpu=1,
    message:
        "audit"
    shell:
        stage("audit")


rule report:
    input:
        dag.inputs("report"),
    output:
        dag.outputs("report"),
    log:
        "logs/report.log",
    threads: dag.threads
    message:
        "report"
    shell:
        stage("report")
