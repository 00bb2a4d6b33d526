"""Experiments from YAML files: several documents in one file, separated by ---; sweeps; what documents share."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from experiments.baselines.settings import METHODS
from experiments.families import FAMILIES
from experiments.parameters import NESTED, Experiment, ExperimentError, fields, flat, is_used, nearest

MAX_BYTES = 1_000_000
MAX_EXPERIMENTS = 10_000  # that one sweep may stand for
# How a run's name shortens the keys that are swept most; any other key is written out, `ewc.strength` by its last word.
SHORT = {"seed": "s", "l2_memory_regularization": "beta", "learning_rate": "rate", "method": "", "heads": ""} | {
    "tasks": "",
    "target": "",
}
# What PyYAML raises for a broken text: numbers too long for int() and nesting too deep are not errors of its own.
BROKEN = (yaml.YAMLError, ValueError, RecursionError)


def load_experiments(
    path: str | Path, settings: dict[str, object] | None = None, only: Iterable[str] = ()
) -> list[Experiment]:
    """Read every experiment of a multi-document YAML file, or `only` those of these names; `settings` laid over each.

    The first document may be `shared: {key: value, ...}`: what every other document has that does not say otherwise,
    and whose method and tasks use it.
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
        documents = list(yaml.load_all(text, Loader=_Loader))
    except BROKEN as error:
        raise ExperimentError(f"{path}: broken YAML: {_on_one_line(error)}") from None
    if not any(document is not None for document in documents):
        raise ExperimentError(f"{path}: holds no experiment; expected YAML documents separated by ---")
    shared, settings = _shared(path, documents), flat(settings or {})
    for_all = flat(shared)
    experiments, problems = [], []
    for number, document in enumerate(documents, start=1):
        if document is None or number == 1 and shared:
            continue
        name = document.get("run_name") if isinstance(document, dict) else None
        place = f"{path}, document {number}" + (f" ({name})" if name else "")
        try:
            if not isinstance(document, dict):
                Experiment.from_mapping(document)
            document, swept = flat(document), document.get("sweep")
            if isinstance(swept, dict):
                document["sweep"] = swept = flat(swept)
            common = {k: v for k, v in for_all.items() if not isinstance(swept, dict) or k not in swept}
            only_shared = set(common) - set(document) - set(settings)
            plain = expand({**common, **document})
            chosen = [not only or one.get("run_name") in only for one in plain]
            laid_over = expand({**common, **document, **settings}) if settings and any(chosen) else plain
            for expanded, is_chosen in zip(laid_over, chosen, strict=True):
                experiment = Experiment.from_mapping(_without_unused(expanded, only_shared))
                if is_chosen:
                    experiments.append(experiment)
        except ExperimentError as error:
            problems += [(place, line) for line in str(error).splitlines()]
    if problems:
        raise ExperimentError(
            "\n".join(_in_their_places(problems, path, shared, sum(d is not None for d in documents) - 1))
        )
    return experiments


def expand(document: dict) -> list[dict]:
    """The documents that a document with `sweep: {key: [value, ...]}` stands for; itself where it has no sweep.

    Each is named after its values, such as big-beta0.01-s2. Raises ExperimentError for anything that is no sweep, and
    where two of the names are the same.
    """
    if "sweep" not in document:
        return [document]
    fixed, sweep = {key: value for key, value in document.items() if key != "sweep"}, document["sweep"]
    if not isinstance(sweep, dict) or not sweep:
        raise ExperimentError(f"sweep: got {sweep!r}; expected lists of values, such as 'sweep: {{seed: [0, 1, 2]}}'")
    can_be = [key for key in fields() if key not in ("run_name", "logdir")]
    for key, values in sweep.items():
        if key not in can_be:
            raise ExperimentError(f"sweep: cannot sweep {key!r}{nearest(key, can_be)}")
        if key in fixed:
            raise ExperimentError(
                f"{key}: got the single value {fixed[key]!r}, and a list in sweep; expected one of both"
            )
        if not isinstance(values, list) or not values:
            raise ExperimentError(f"sweep: {key}: got {values!r}; expected a list of values")
    count = 1
    for values in sweep.values():
        count *= len(values)
    if count > MAX_EXPERIMENTS:
        raise ExperimentError(f"sweep: stands for {count:,} experiments; expected at most {MAX_EXPERIMENTS:,}")
    expanded = {}
    for values in itertools.product(*sweep.values()):
        chosen = dict(zip(sweep, values, strict=True))
        name = _name(str(fixed.get("run_name", "")), chosen)
        if name in expanded:
            raise ExperimentError(f"sweep: two experiments would be called {name!r}; expected every value only once")
        # Without a name of its own the document is wrong as a whole, and is left so that the check says it.
        expanded[name] = {**fixed, **chosen, **({"run_name": name} if "run_name" in fixed else {})}
    return list(expanded.values())


def parse_value(text: str) -> object:
    """The value of KEY=VALUE on the command line, read as the same YAML that the files are written in."""
    try:
        return yaml.load(text, Loader=_Loader)
    except BROKEN as error:
        raise ExperimentError(f"{text!r} is no YAML value: {_on_one_line(error)}") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key given twice and an alias are errors, and numbers are decimal, as in YAML 1.2.

    What YAML 1.1 takes for other values (010, 1_000, 1:30, 0b1, on, dates) is text, and refused where that is wrong.
    """

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


_PATTERNS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
_TAG = "tag:yaml.org,2002:"
_REPLACED = [_TAG + kind for kind in (*_PATTERNS, "timestamp")]
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_pattern, _first) in _PATTERNS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^({_pattern})$"), list(_first))


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _shared(path: Path, documents: list) -> dict:
    """What the first document says of all others; nothing where it is an experiment like them."""
    if not (isinstance(documents[0], dict) and "shared" in documents[0]):
        return {}
    others, shared = [key for key in documents[0] if key != "shared"], documents[0]["shared"]
    can_be = [key for key in (*fields(), *NESTED) if key != "run_name"]
    if others or len(documents) == 1:
        what = f"{others[0]!r} beside it" if others else "no document after it"
        raise ExperimentError(f"{path}, document 1: shared: {what}; expected it alone, and experiments after ---")
    if not isinstance(shared, dict) or not shared:
        raise ExperimentError(f"{path}, document 1: shared: got {shared!r}; expected parameters such as 'seed: 1'")
    try:
        wrong = [f"cannot share {key!r}{nearest(key, can_be)}" for key in flat(shared) if key not in can_be]
    except ExperimentError as error:
        wrong = [str(error)]
    if wrong:
        raise ExperimentError("\n".join(f"{path}, document 1: shared: {line}" for line in wrong))
    return shared


def _without_unused(document: dict, shared: set[str]) -> dict:
    """The document without those of the shared parameters that its method, or its family of tasks, does not use."""
    method, family = (document.get(key, Experiment.model_fields[key].default) for key in ("method", "tasks"))
    if method not in METHODS or family not in FAMILIES:  # which the check will say
        return document
    return {k: v for k, v in document.items() if k not in shared or is_used(k.split(".")[0], method, family)}


def _in_their_places(problems: list[tuple[str, str]], path: Path, shared: dict, n_others: int) -> list[str]:
    """Each problem with its place; what is wrong with a shared parameter in all other documents is said once."""
    lines = [line for _, line in problems]
    in_shared = {line for line in lines if line.split(":")[0].split(".")[0] in {key.split(".")[0] for key in shared}}
    everywhere = {line for line in in_shared if lines.count(line) == n_others}
    said = [f"{path}, document 1: shared: {line}" for line in dict.fromkeys(lines) if line in everywhere]
    return said + [f"{place}: {line}" for place, line in problems if line not in everywhere]


def _name(run_name: str, chosen: dict) -> str:
    """A run's name with the values of its sweep; one that would be too long is cut, and ends in a sum of the whole."""
    name = "-".join([run_name, *(SHORT.get(key, key.split(".")[-1]) + _shown(value) for key, value in chosen.items())])
    return name if len(name) <= 100 else f"{name[:91]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _shown(value: object) -> str:
    """A value, exactly, as a part of a run's name: 0.01, 1e06, 200x250x350, emnist.letters."""
    if isinstance(value, list):
        return "x".join(map(_shown, value)) or "none"
    if isinstance(value, float):
        short = f"{value:g}"
        return (short if float(short) == value else repr(value)).replace("+", "")
    return str(value).replace("/", ".")
