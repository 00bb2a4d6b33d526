"""Experiments by Snakemake, on this machine or on a cluster: a job for each, whose one output is summary.json.

    snakemake --cores 2 --config file=params/sweep.yaml
    snakemake --executor slurm --jobs 50 --config file=params/sweep.yaml

Files are read, expanded and checked as run_experiments.py does it. A job that failed, was cancelled or is tried again
finds its checkpoints where it left them, because Snakemake removes nothing but outputs. profiles/default/ is read too.
"""

import sys

import yaml

from hypernet_lib.batch import plan
from hypernet_lib.execution import NOTEBOOK, limited_to, notebook_parameters
from hypernet_lib.experiment import ExperimentError
from hypernet_lib.folders import is_finished, run_folder, shown

try:
    planned = plan(str(config.get("file", "params/experiments.yaml")).split(), jobs=None)
except ExperimentError as error:
    sys.exit(f"wrong input, nothing was started:\n{error}")
experiments = {shown(run_folder(experiment)): experiment for experiment in planned}
for folder, experiment in experiments.items():
    if Path(folder, "summary.json").exists() and not is_finished(experiment):
        sys.exit(f"{folder}: finished with fewer tasks; remove its summary.json, and start again to go on from there")


rule all:
    input:
        expand("{folder}/summary.json", folder=experiments),


rule run:
    output:
        "{folder}/summary.json",
    log:  # the notebook as far as it came; run.ipynb is written from it once it is whole
        "{folder}/log.ipynb",
    params:
        parameters=lambda wildcards: yaml.safe_dump(notebook_parameters(experiments[wildcards.folder])),
        limits=lambda wildcards, threads: [f"{name}={value}" for name, value in limited_to(threads).items()],
    threads: lambda wildcards: experiments[wildcards.folder].cores_used
    resources:
        mem_mb=lambda wildcards: experiments[wildcards.folder].memory_need() // 10**6,
    retries: 1
    shell:
        "env {params.limits} {sys.executable:q} -m papermill {NOTEBOOK:q} {log:q}"
        " --parameters_yaml {params.parameters:q} --kernel python3 --cwd {NOTEBOOK.parent:q} --no-progress-bar --log-level ERROR"
        " && {sys.executable:q} -m hypernet_lib.execution {log:q} {wildcards.folder:q}/run.ipynb"
