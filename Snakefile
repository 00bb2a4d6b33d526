"""Experiments by Snakemake, on this machine or on a cluster: a job for each, whose one output is summary.json.

    snakemake --cores 2 --config file=params/sweep.yaml
    snakemake --executor slurm --jobs 50 --config file=params/sweep.yaml

Files are read, expanded and checked, and each experiment is carried out, as run_experiments.py does it. A job that
failed, was cancelled or is tried again finds its checkpoints where it left them, because Snakemake removes nothing but
outputs. profiles/default/ is read too.
"""

import os
import shlex
import sys

from experiments.environment import absolute_paths
from experiments.execution import command
from experiments.parameters import ExperimentError
from experiments.queue import DEFAULT_FILE, TRIES, anchored, plan
from experiments.resources import cores_used, disk_needed, ram_needed
from experiments.store import PROJECT, read_summary, run_folder, shown


os.environ.update(absolute_paths())  # jobs are in the project's folder
given = str(config.get("file", DEFAULT_FILE))  # one file, whose name may have spaces, or several
try:
    planned = plan([given] if anchored(given).exists() else given.split(), jobs=None)
except ExperimentError as error:
    sys.exit(f"wrong input, nothing was started:\n{error}")


workdir: PROJECT


experiments = {shown(run_folder(experiment)): experiment for experiment in planned}
for folder, experiment in experiments.items():
    if (summary := read_summary(folder)) and summary["tasks"] < experiment.n_tasks_to_learn:
        sys.exit(f"{folder}: finished with fewer tasks; remove its summary.json, and start again to go on from there")


rule all:
    input:
        expand("{folder}/summary.json", folder=experiments),


rule run:
    output:
        "{folder}/summary.json",
    log:  # the notebook of a try that failed, as far as it came
        "{folder}.failed.ipynb",
    params:
        command=lambda wildcards, threads: shlex.join(command(experiments[wildcards.folder], threads)),
    threads: lambda wildcards: cores_used(experiments[wildcards.folder])
    resources:
        disk_mb=lambda wildcards: disk_needed(experiments[wildcards.folder]) // 10**6,
        mem_mb=lambda wildcards: ram_needed(experiments[wildcards.folder]) // 10**6,
    retries: TRIES - 1
    shell:
        "{params.command}"
