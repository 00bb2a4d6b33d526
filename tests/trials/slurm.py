"""A sweep of eight on a real Slurm, one job cancelled and one kernel killed: every run must end complete and the same.

    apt-get install slurm-wlm munge && python tests/trials/slurm.py

Starts munge and a Slurm of one node on this machine, reached from this machine only, and stops them at the end. It
needs root, those packages and this project's extra `cluster`; where something is missing it says so and is skipped.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psutil

from experiments.files import load_experiments

PROJECT = Path(__file__).resolve().parents[2]
SWEEP = """
run_name: slurm
logdir: {logdir}
dataset: digits
n_tasks_to_learn: 6
full_testing_tasks: [3]
batch_size: 32
task_embedding_dim: 8
num_chunks: 5
hypernet_hidden_dims: [16]
innernet_all_dims: [64, 16, 10]
sweep:
  iters_per_task: [2000, 2500]
  seed: [0, 1, 2, 3]
"""
CONF = Path("/etc/slurm/slurm.conf")  # where Debian looks; the plugin takes SLURM_CONF from the steps of its jobs
# One node, this machine; no accounting; no control groups, which a container may not use.
SLURM_CONF = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=60 State=UP
"""
SNAKEMAKE = [
    *("snakemake", "--executor", "slurm", "--jobs", "8", "--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
]


def reason_to_skip():
    if os.name != "posix" or os.geteuid() != 0:
        return "starting Slurm needs root"
    missing = [program for program in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(program)]
    if missing:
        return f"{', '.join(missing)} not installed; on Debian: apt-get install slurm-wlm munge"
    if CONF.exists() or CONF.is_symlink():
        return f"{CONF} is there: a Slurm is set up on this machine"
    if not find_spec("snakemake_executor_plugin_slurm"):
        return "Snakemake and its Slurm plugin are not installed: pip install -e .[cluster]"
    return None


def start_slurm(folder, services):
    """munge, the controller and the node, as children of this process, added to services; until the node is idle."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    controller, node = [port.getsockname()[1] for port in ports]
    for port in ports:
        port.close()
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    host, cores = socket.gethostname().split(".")[0], os.cpu_count()
    memory = psutil.virtual_memory().total * 9 // 10 // 2**20  # MiB
    text = SLURM_CONF.format(folder=folder, host=host, cores=cores, memory=memory, controller=controller, node=node)
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)
    CONF.symlink_to(folder / "slurm.conf")
    places = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
    munge = ["munged", "--foreground", *(f"--{option}={folder}/munge.{end}" for option, end in places.items())]
    for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
        with open(folder / f"{command[0]}.out", "w") as log:
            services.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        wait_for((folder / "munge.socket").exists, "munge to start")
    wait_for(lambda: "idle" in output("sinfo", "--noheader", "--format", "%t"), "the node to be idle")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def wait_for(what, name, seconds=300):
    """What the function returns, once that is true."""
    for _ in range(seconds * 10):
        if found := what():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds} seconds for {name}")


def kernels(runs):
    """{run name: the process that carries it out}, for every run that has learned a task and is not finished."""
    locks, found = {str(runs / ".locks" / run.parent.name): run.parent.name for run in runs.glob("*/metrics.csv")}, {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has just ended
            for lock in {file.path for file in process.open_files()} & locks.keys():
                if not (runs / locks[lock] / "summary.json").exists():
                    found[locks[lock]] = process
    return found


def sweep(folder, logdir):
    """Write the sweep for that folder of runs, and read its experiments."""
    (folder / "sweep.yaml").write_text(SWEEP.format(logdir=logdir))
    return load_experiments(folder / "sweep.yaml")


def trial(folder):
    """The sweep undisturbed, then by Slurm with accidents; True where both gave the same."""
    undisturbed, runs, files = folder / "undisturbed", folder / "runs", []
    for experiment in sweep(folder, undisturbed):
        files.append(folder / f"{experiment.run_name}.yaml")
        files[-1].write_text(experiment.to_yaml())
    code = "import sys, loop; [loop.main(file) for file in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", code, *files], cwd=PROJECT / "tests", check=True)
    print(f"{len(files)} runs undisturbed, without Slurm", flush=True)

    names, begun = [experiment.run_name for experiment in sweep(folder, runs)], time.perf_counter()
    command = [sys.executable, "-m", *SNAKEMAKE, "--config", f"file={folder / 'sweep.yaml'}"]
    with open(folder / "snakemake.out", "w") as log:
        snakemake = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)

    def in_hand(but=None):
        if snakemake.poll() is not None:
            raise RuntimeError("Snakemake ended before there was anything to disturb")
        return next(((name, kernel) for name, kernel in kernels(runs).items() if name != but), None)

    killed, kernel = wait_for(in_hand, "a run in hand")
    kernel.kill()
    print(f"killed the kernel of {killed}", flush=True)
    cancelled, kernel = wait_for(lambda: in_hand(but=killed), "another run in hand")
    job = kernel.environ()["SLURM_JOB_ID"]
    subprocess.run(["scancel", job], check=True)
    print(f"cancelled Slurm job {job}, which carried out {cancelled}", flush=True)
    status, seconds = snakemake.wait(), time.perf_counter() - begun
    submitted = set(re.findall(r"submit_batch_job: (JobId=\d+)", (folder / "slurmctld.out").read_text()))

    same = True
    for name in names:
        finished = (runs / name / "summary.json").exists() and (runs / name / "run.ipynb").exists()
        equal = (
            finished and (runs / name / "metrics.csv").read_bytes() == (undisturbed / name / "metrics.csv").read_bytes()
        )
        resumed = finished and "are learned already" in (runs / name / "run.ipynb").read_text()
        print(f"{name}: {'the same' if equal else 'DIFFERENT'}{', went on after its last finished task' * resumed}")
        same = same and equal and resumed == (name in (killed, cancelled))
    print(f"{len(names)} runs by {len(submitted)} Slurm jobs in {seconds:.0f} s, Snakemake's exit status {status}")
    return same and status == 0


def main():
    if reason := reason_to_skip():
        print(f"skipped: {reason}")
        return 0
    os.environ["PYTHONPATH"] = str(PROJECT)
    with tempfile.TemporaryDirectory() as name:
        folder, services, passed = Path(name), [], False
        folder.chmod(0o755)
        try:
            start_slurm(folder, services)
            print(output("sinfo").strip(), flush=True)
            passed = trial(folder)
        finally:
            if services:
                subprocess.run(["scancel", "--user", "root"])
            for service in reversed(services):
                service.terminate()
                service.wait()
            CONF.unlink(missing_ok=True)
            if not passed:
                for log in sorted(folder.glob("*.out")):
                    print(f"--- {log.name}\n{log.read_text()[-3000:]}")
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
