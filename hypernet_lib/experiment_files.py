"""Experiments from YAML files: several documents in one file, separated by ---."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from hypernet_lib.experiment import Experiment, ExperimentError, nearest
from hypernet_lib.sweeps import expand

MAX_BYTES = 1_000_000
# What PyYAML raises for a broken text: numbers too long for int() and nesting too deep are not errors of its own.
BROKEN = (yaml.YAMLError, ValueError, RecursionError)


def load_experiments(path: str | Path, settings: dict[str, object] | None = None) -> list[Experiment]:
    """Read every experiment of a multi-document YAML file, `settings` laid over each.

    Raises ExperimentError, its message naming the file, the document, the key, the value and what was expected.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExperimentError(f"{path}: {path.stat().st_size:,} bytes; expected at most {MAX_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")])
        raise ExperimentError(f"{path}: no such file{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read as text ({getattr(error, 'strerror', None) or error})") from None
    try:
        documents = [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]
    except BROKEN as error:
        raise ExperimentError(f"{path}: broken YAML: {_on_one_line(error)}") from None
    if not documents:
        raise ExperimentError(f"{path}: holds no experiment; expected YAML documents separated by ---")
    experiments, problems = [], []
    for number, document in enumerate(documents, start=1):
        name = document.get("run_name") if isinstance(document, dict) else None
        place = f"{path}, document {number}" + (f" ({name})" if name else "")
        try:
            if not isinstance(document, dict):
                Experiment.from_mapping(document)
            for expanded in expand({**document, **(settings or {})}):
                experiments.append(Experiment.from_mapping(expanded))
        except ExperimentError as error:
            problems += [f"{place}: {line}" for line in str(error).splitlines()]
    if problems:
        raise ExperimentError("\n".join(problems))
    return experiments


def parse_value(text: str) -> object:
    """The value of KEY=VALUE on the command line, read as the same YAML that the files are written in."""
    try:
        return yaml.load(text, Loader=_Loader)
    except BROKEN as error:
        raise ExperimentError(f"{text!r} is no YAML value: {_on_one_line(error)}") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but 1e-5 is a number, as in YAML 1.2; a key given twice and an alias are errors."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):  # a few of them can stand for billions of values
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed", problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
