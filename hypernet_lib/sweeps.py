"""A sweep: one document that stands for many experiments, one for each combination of the values in its lists."""

from __future__ import annotations

import itertools

from hypernet_lib.experiment import Experiment, ExperimentError, nearest

MAX_EXPERIMENTS = 10_000
# How a run's name shortens the keys that are swept most; any other key is written out.
SHORT = {"seed": "s", "l2_memory_regularization": "beta", "learning_rate": "rate"}


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
    keys = [key for key in Experiment.model_fields if key not in ("run_name", "logdir")]
    for key, values in sweep.items():
        if key not in keys:
            raise ExperimentError(f"sweep: cannot sweep {key!r}{nearest(key, keys)}")
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
        name = "-".join([str(fixed.get("run_name", "")), *(SHORT.get(k, k) + _shown(v) for k, v in chosen.items())])
        if name in expanded:
            raise ExperimentError(f"sweep: two experiments would be called {name!r}; expected every value only once")
        # Without a name of its own the document is wrong as a whole, and is left so that the check says it.
        expanded[name] = {**fixed, **chosen, **({"run_name": name} if "run_name" in fixed else {})}
    return list(expanded.values())


def _shown(value: object) -> str:
    """A value as a part of a run's name: 0.01, 200x250x350, emnist.letters."""
    if isinstance(value, list):
        return "x".join(map(_shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("/", ".")
