"""What a process starts with: this project's code, and none of the user's settings but PYTHONPATH and TFDS_DATA_DIR.

python -m experiments.environment COMMAND...     a command, and the kernels that it starts, in such an environment
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.parameters import ExperimentError
from experiments.store import PROJECT


def check_project(place: Path) -> None:
    """Raise ExperimentError where this place lies in another copy of the project than the code that runs.

    So it is after a folder was copied with its `.venv`: that one still means the code of the first.
    """
    folders = (folder for folder in (place, *place.parents) if (folder / "experiments" / "store.py").is_file())
    folder = next(folders, PROJECT)
    if not folder.samefile(PROJECT):
        raise ExperimentError(
            f"{folder} is another copy of the project than {PROJECT}, whose code this Python has; set up its own: make "
            f"-C {folder} .venv/ready, or, without make, by the commands of its docs/install.md"
        )


def absolute_paths() -> dict[str, str]:
    """The user's variables that name folders, counted from here: other processes look from elsewhere."""
    paths = {"PYTHONPATH": os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    paths["TFDS_DATA_DIR"] = [os.environ.get("TFDS_DATA_DIR", "")]
    absolute = {
        name: [path if "://" in path else str(Path(path).expanduser().absolute()) for path in given if path]
        for name, given in paths.items()
    }
    return {name: os.pathsep.join(found) for name, found in absolute.items() if found}


def kernel_environment(folder: Path) -> dict[str, str]:
    """Variables with which a kernel is this very Python, imports this project, draws its figures where they are shown,
    and reads none of the user's start-up files; what it needs for that is written into `folder`, an empty one.
    """
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    text = json.dumps({"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"})
    (spec / "kernel.json").write_text(text, encoding="utf-8")
    (folder / "matplotlibrc").touch()  # empty: matplotlib's own settings
    given = absolute_paths()
    path = [str(PROJECT), *filter(None, given.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **given,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        "JUPYTER_PATH": str(folder),  # where kernels are looked for first
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_NO_CONFIG": "1",
        "IPYTHONDIR": str(folder / "ipython"),
        "MATPLOTLIBRC": str(folder / "matplotlibrc"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        # Empty is as good as not set. With the second, nothing that a notebook asserts would be checked.
        **dict.fromkeys(["PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT"], ""),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, **kernel_environment(Path(folder))}
        sys.exit(subprocess.run(sys.argv[1:], env=environment).returncode)
