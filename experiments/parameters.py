"""One experiment: every parameter with its type, bound, default and meaning.

A default is set here. The library's signatures repeat it, for who uses them alone, and a test names each that differs.
`make report` writes the table of docs/experiments.md, and the meanings in the notebooks' parameters cells, from them.

A parameter that the experiment's method, or its family of tasks, does not use is refused, and is not written. Those
that a method or a family has to itself are nested under its name; `ewc.strength: 10` is another way to write `ewc:
{strength: 10}`, for sweeps and --set.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from experiments.baselines.settings import (
    KEPT_PER_WEIGHT,
    METHODS,
    NOT_GENERATED,
    ONE_NETWORK,
    SETTINGS,
    EWCSettings,
    L2Settings,
    NetworkSizes,
    RehearsalSettings,
    SISettings,
)
from experiments.families import FAMILIES, FAMILY_SETTINGS, OF_FAMILY, RotatedSettings, SplitSettings
from hypernet_lib.datasets import DataError, describe_dataset
from hypernet_lib.sizes import TARGETS, HypernetSizes, TargetSizes

Size = Annotated[int, Field(ge=1, le=1_000_000)]
Strength = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


# Parameters that are settings of their own, by the name of their method or family.
NESTED = SETTINGS | FAMILY_SETTINGS
# Parameters that act on a hypernetwork, and on nothing else.
OF_HYPERNETWORK = (
    "task_embedding_dim", "num_chunks", "hypernet_hidden_dims", "l2_regularization", "l2_memory_regularization",
    "embedding_rate_factor", "embedding_per_chunk", "embedding_init_std", "chunk_embedding_init_std", "head_init_scale",
    "hypernet_activation", "freeze_shared_after", "updates", "regularized_tasks", "precision",
)  # fmt: skip
# The methods that use a parameter, where not all do.
USERS = {
    **dict.fromkeys(OF_HYPERNETWORK, ("hypernetwork",)),
    **dict.fromkeys(("outliers", "outlier_order"), ("hypernetwork", "separate")),  # a network for each task
    "heads": ONE_NETWORK,
    "network_init": NOT_GENERATED,
    **{method: (method,) for method in SETTINGS},
}


class ExperimentError(ValueError):
    """Something in an experiment is wrong; the message names the place, the key, the value and what was expected."""


class Experiment(BaseModel):
    """The parameters of one run. The keys and meanings of the first block are those of the original work."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    run_name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="name of the run and of its folder")
    logdir: str = Field("outputs", pattern=r"^[^\x00-\x1f\x7f]+$", description="folder that holds the run folders")
    n_tasks_to_learn: int = Field(10, ge=1, le=10_000, description="tasks to learn, one after the other")
    full_testing_tasks: list[Size] = Field([], description="task counts after which all tasks so far are tested")
    batch_size: Size = Field(256, description="images in a training step")
    task_embedding_dim: Size = Field(100, description="length of a task embedding, and of a chunk embedding")
    num_chunks: Literal["rows"] | Size = Field(
        30, description="equal slices of the target network's weights; or rows: a slice for each pixel"
    )
    hypernet_hidden_dims: list[Size] = Field([200, 250, 350], description="widths of the trunk's layers; may be empty")
    innernet_all_dims: list[Size] = Field([784, 300, 10], min_length=2, description="all widths of the target network")
    l2_regularization: Strength = Field(1e-6, description="weight decay on the head's kernel")
    l2_memory_regularization: Strength = Field(0.1, description="beta, the strength of the memory loss; 0: no memory")
    iters_per_task: Size = Field(
        500, description="training steps for a task; task 0 gets twice as many, but with separate"
    )

    method: Literal[METHODS] = Field("hypernetwork", description="who learns: " + ", ".join(METHODS))
    dataset: str = Field("mnist", description="mnist, digits, or any TFDS set of single-channel images")
    tasks: Literal[FAMILIES] = Field("permuted", description="what makes a task of it: " + ", ".join(FAMILIES))
    target: Literal[tuple(TARGETS)] = Field("mlp", description="kind of the target network: " + ", ".join(TARGETS))
    evaluate_on: Literal["test", "validation"] = Field(
        "test", description="images to measure on: test; or validation, a twelfth of the training images"
    )
    narrow_tasks: int = Field(0, ge=0, le=10_000, description="first tasks that show two of the classes each, not all")
    seed: int = Field(0, ge=0, lt=2**31, description="decides permutations, initial weights and batches")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="Adam's learning rate at the start of each task")
    final_learning_rate_fraction: float = Field(
        0.02, ge=0, le=1, description="what is left of the rate at a task's end, after a linear fall; 1: constant"
    )
    embedding_rate_factor: float = Field(
        1.0, gt=0, le=1e6, description="the task embedding's learning rate, in units of learning_rate"
    )
    embedding_per_chunk: bool = Field(
        False, description="give a task an embedding for each chunk, in place of one for all"
    )
    embedding_init_std: Strength = Field(1.0, description="standard deviation of a new task embedding")
    chunk_embedding_init_std: Strength = Field(1.0, description="standard deviation of the initial chunk embeddings")
    head_init_scale: Strength = Field(
        1.0, description="size of the head's initial kernel; 1: as Glorot and Bengio draw it"
    )
    hypernet_activation: Literal["relu", "leaky_relu", "gelu"] = Field("gelu", description="the trunk's nonlinearity")
    pixels: Literal["centred", "standardised", "raw"] = Field(
        "centred", description="raw: 0 to 1; standardised: by mean and deviation; centred: each by own mean"
    )
    freeze_shared_after: Literal["never"] | Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        "never", description="tasks after which what they share is frozen, 0: from the start; or never"
    )
    updates: Literal["two", "two_states", "combined", "lookahead"] = Field(
        "two", description="in a step: two with one state of Adam, two_states, one combined, or lookahead"
    )
    regularized_tasks: Literal["all"] | Size = Field(
        "all", description="remembered tasks in each memory loss: all, or a number to sample above 50"
    )

    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the memory loss's wide products; bfloat16: faster on some processors"
    )

    infer_task: Literal["oracle", "logsumexp", "max_logit", "entropy", "mean_image"] = Field(
        "oracle", description="what says of which task an image is: oracle, or a score of every candidate"
    )
    infer_images: int = Field(100, ge=10, le=1_000_000, description="test images of each task whose task is inferred")
    input_dropout: float = Field(
        0.0, ge=0, le=0.9, description="share of an image's pixels that are dropped in each training step"
    )
    outliers: int = Field(
        0, ge=0, le=1_000_000, description="images of a step shown once more as of no class, in another order of pixels"
    )
    outlier_order: Literal["shuffled", "turned"] = Field(
        "shuffled", description="of an outlier's pixels: shuffled, or the image turned, mirrored or both"
    )

    heads: Literal["shared", "per_task"] = Field(
        "shared", description="last layer of a network that is not generated: one for all tasks, or per_task"
    )
    network_init: Literal["glorot", "torch"] = Field(
        "glorot", description="first weights where none are generated: glorot, or torch, as PyTorch's layers"
    )
    l2: L2Settings = L2Settings()
    ewc: EWCSettings = EWCSettings()
    si: SISettings = SISettings()
    rehearsal: RehearsalSettings = RehearsalSettings()
    rotated: RotatedSettings = RotatedSettings()
    split: SplitSettings = SplitSettings()

    @model_serializer(mode="wrap")
    def _what_it_uses(self, dump):
        return {key: value for key, value in dump(self).items() if is_used(key, self.method, self.tasks)}

    @model_validator(mode="after")
    def _uses_all_that_is_given(self) -> Experiment:
        given = [key for key in type(self).model_fields if key in self.model_fields_set]
        unused = [
            f"{key}: the method {self.method} does not use it, only {' and '.join(users(key))}"
            if self.method not in users(key)
            else f"{key}: {self.tasks} tasks do not use it, only {OF_FAMILY[key]} ones"
            for key in given
            if not is_used(key, self.method, self.tasks)
        ]
        if unused:
            raise ValueError("\n".join(unused))
        return self

    @field_validator("dataset")
    @classmethod
    def _dataset_exists(cls, name: str) -> str:
        try:
            describe_dataset(name)
        except DataError as error:
            raise ValueError(str(error)) from None
        return name

    @model_validator(mode="after")
    def _sizes_fit(self) -> Experiment:
        height, width, classes = describe_dataset(self.dataset)
        what = f"{self.dataset} has {height} x {width} = {height * width} pixels and {classes} classes"
        if self.tasks == "split":
            n_parts = classes // self.split.classes
            if self.n_tasks_to_learn > n_parts:
                raise ValueError(
                    f"n_tasks_to_learn: got {self.n_tasks_to_learn}, but {self.dataset} has {classes} classes, of "
                    f"which a task shows {self.split.classes}; expected at most {n_parts}"
                )
            if self.split == SplitSettings(classes=1, relabel=True):
                raise ValueError(
                    "split: got one class in each task, counted from 0; then there is nothing to tell apart"
                )
            if self.split.relabel:
                what, classes = f"{what}, of which a task shows {self.split.classes}", self.split.classes
        if self.tasks == "rotated":
            n, degrees = self.n_tasks_to_learn, self.rotated.degrees
            again = next((task for task in range(1, n) if not task * degrees % 360), None)
            if again:
                raise ValueError(
                    f"rotated.degrees: got {degrees}, by which task {again} shows what task 0 shows; expected so many "
                    f"that all {n} tasks differ, as {360 / n:.6g} does"
                )
        dims, pixels, middle = self.innernet_all_dims, height * width, "..., " if self.target == "mlp" else ""
        if (dims[0], dims[-1]) != (pixels, classes) or self.target == "lenet" and len(dims) > 2:
            own = "" if self.target == "mlp" else "; the layers between are lenet's own"
            raise ValueError(f"innernet_all_dims: got {dims}, but {what}; expected [{pixels}, {middle}{classes}]{own}")
        if self.target == "lenet" and self.method == "hypernetwork" and self.num_chunks == "rows":
            raise ValueError(
                "num_chunks: got 'rows'; a row of lenet's first kernel is no pixel's weights but a filter's, which "
                "moves over the image; expected a number"
            )
        if self.outliers > self.batch_size:
            raise ValueError(f"outliers: got {self.outliers}; expected at most batch_size, {self.batch_size}")
        if self.outliers and self.pixels == "centred" and (self.tasks == "permuted" or self.outlier_order == "turned"):
            raise ValueError(
                "outliers: expected pixels: standardised or raw beside them where tasks are permuted or outliers "
                "turned; with a mean of its own for each pixel, an image in another order is not what another task's is"
            )
        if self.outliers and self.outlier_order == "turned" and height != width:
            raise ValueError(
                f"outlier_order: got 'turned', but an image of {self.dataset} has {height} x {width} pixels; expected "
                f"square images, or shuffled"
            )
        if self.infer_task != "oracle" and not self.is_told_the_task:
            raise ValueError(
                f"infer_task: got {self.infer_task!r}, but one network with one head has no task to be told; expected "
                f"oracle, or heads: per_task"
            )
        if self.method == "hypernetwork" and self.sizes.n_chunks > self.sizes.n_weights:
            raise ValueError(
                f"num_chunks: got {self.num_chunks}; expected at most {self.sizes.n_weights}, the target network's "
                f"weights"
            )
        return self

    @property
    def target_sizes(self) -> TargetSizes:
        """The target network's weight shapes, and how many numbers an image becomes in it."""
        return TARGETS[self.target](self.innernet_all_dims)

    @property
    def sizes(self) -> HypernetSizes | NetworkSizes:
        """P, C, S and the numbers of parameters; without a hypernetwork there are no chunks."""
        if self.method != "hypernetwork":
            return NetworkSizes(self.target_sizes.shapes, self.method == "separate", self.heads == "per_task")
        return HypernetSizes(
            self.target_sizes.shapes,
            self.task_embedding_dim,
            self.embedding_per_chunk,
            self.num_chunks,
            self.hypernet_hidden_dims,
        )

    @property
    def size(self) -> dict[str, float]:
        """How large it is at its end: all parameters; those that one more task adds; the first in target networks.

        And `stored`, what is kept beside the parameters, in order to remember, while the last task is learned.
        """
        sizes, n_tasks = self.sizes, self.n_tasks_to_learn
        return {
            "parameters": sizes.n_parameters(n_tasks),
            "per_task": sizes.per_task,
            "stored": self._stored,
            "in_target_networks": round(sizes.in_target_networks(n_tasks), 4),
        }

    @property
    def _stored(self) -> int | None:
        """In numbers, of which an image has one for each pixel and its label; None: all images, however many."""
        frozen = self.freeze_shared_after != "never" and self.freeze_shared_after < self.n_tasks_to_learn
        own = getattr(self, self.method, None)
        strength = self.l2_memory_regularization if self.method == "hypernetwork" else getattr(own, "strength", None)
        if self.method == "joint":
            return None
        if self.n_tasks_to_learn == 1 or strength == 0 or self.method == "hypernetwork" and frozen:
            return 0
        if self.method == "rehearsal":
            return (self.n_tasks_to_learn - 1) * own.images_per_task * (self.innernet_all_dims[0] + 1)
        return KEPT_PER_WEIGHT.get(self.method, 0) * self.sizes.shared

    @property
    def is_told_the_task(self) -> bool:
        """Whether it is told at test time which task an image is of: task-incremental, or else domain-incremental."""
        return self.method not in ONE_NETWORK or self.heads == "per_task"

    @property
    def notes(self) -> list[str]:
        """What the reader of the file should know although it is no error."""
        beyond = [n for n in self.full_testing_tasks if n > self.n_tasks_to_learn]
        what = f"{self.run_name}: full_testing_tasks {beyond} dropped: only {self.n_tasks_to_learn} tasks are learned"
        notes = [what] if beyond else []
        if self.target == "lenet" and self.tasks == "permuted" and self.n_tasks_to_learn > 1:
            notes.append(f"{self.run_name}: lenet looks for neighbours, and permuted pixels have lost theirs")
        return notes

    def tests_all_after(self, learned: int) -> bool:
        """Whether every task so far is tested once `learned` tasks are learned; always so after the last."""
        return learned == self.n_tasks_to_learn or learned in self.full_testing_tasks

    def infers_after(self, learned: int) -> bool:
        """Whether the task of images is inferred once `learned` tasks are learned: wherever every task is tested."""
        return self.infer_task != "oracle" and self.tests_all_after(learned)

    def to_yaml(self) -> str:
        """Every parameter, resolved, as one YAML document in the order of this class."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, default_flow_style=None)

    @classmethod
    def from_mapping(cls, mapping: object) -> Experiment:
        """Check a mapping of parameters. Raises ExperimentError, one line for each thing wrong."""
        if not isinstance(mapping, dict):
            raise ExperimentError(f"expected a mapping of parameters such as 'run_name: big', got {mapping!r}")
        try:
            return cls(**_nested({str(key): value for key, value in mapping.items()}))
        except ValidationError as error:
            raise ExperimentError("\n".join(_explain(error))) from None

    @classmethod
    def from_notebook(cls, variables: dict[str, object]) -> Experiment:
        """The experiment that a notebook's parameters cell defines: call it with `globals()`.

        Every parameter that its method uses must be there, so that a misspelled one is an error and never a silent
        default.
        """
        method, family = variables.get("method"), variables.get("tasks")
        known = method in METHODS and family in FAMILIES
        every = list(cls.model_fields)
        used = [name for name in every if is_used(name, method, family)] if known else ["method", "tasks", "run_name"]
        missing = [name for name in used if name not in variables]
        if missing:
            raise ExperimentError(f"the parameters cell does not define {', '.join(missing)}")
        try:
            return cls.from_mapping({name: variables[name] for name in used})
        except ExperimentError as error:
            raise ExperimentError("\n".join(f"parameters cell: {line}" for line in str(error).splitlines())) from None


def users(key: str) -> tuple[str, ...]:
    """The methods that use a parameter."""
    return USERS.get(key, METHODS)


def is_used(key: str, method: str, family: str) -> bool:
    """Whether a parameter is one that the method uses, and the family of tasks."""
    return method in users(key) and OF_FAMILY.get(key, family) == family


def fields() -> dict[str, FieldInfo]:
    """Every parameter by its name, those of a method's or a family's own as in `ewc.strength`, in their order."""
    found = {}
    for key, field in Experiment.model_fields.items():
        settings = NESTED[key].model_fields if key in NESTED else None
        found |= {key: field} if settings is None else {f"{key}.{name}": field for name, field in settings.items()}
    return found


def flat(mapping: dict[str, object]) -> dict[str, object]:
    """The parameters with `ewc: {strength: 10}` written as `ewc.strength: 10`.

    Raises ExperimentError where one is given both ways.
    """
    found = {}
    for key, value in mapping.items():
        is_nested = key in NESTED and isinstance(value, dict)
        names = {f"{key}.{name}": setting for name, setting in value.items()} if is_nested else {key: value}
        for name in set(names) & set(found):
            raise ExperimentError(f"{name}: got {found[name]!r}, and {names[name]!r}; expected one of both")
        found |= names
    return found


def _nested(mapping: dict[str, object]) -> dict[str, object]:
    """The parameters with `ewc.strength: 10` written as `ewc: {strength: 10}`."""
    found = {}
    for key, value in flat(mapping).items():
        method, dot, name = key.partition(".")
        if dot and method in NESTED and isinstance(found.get(method, {}), dict):
            found[method] = {**found.get(method, {}), name: value}
        else:
            found[key] = value
    return found


def nearest(name: str, valid: Iterable[str]) -> str:
    """'; did you mean ...?' with the valid name most like `name`; where none is like it, all of them."""
    found = difflib.get_close_matches(str(name), list(valid), n=1)
    return (
        f"; did you mean {found[0]}?" if found else f"; expected one of: {', '.join(sorted(valid)) or 'none is there'}"
    )


def _explain(errors: ValidationError) -> list[str]:
    """pydantic's errors, a line for each key: the key, its value, what was expected."""
    expected: dict[tuple[str, str], list[str]] = {}
    for error in errors.errors():
        first, *rest = error["loc"] or [""]
        key = ".".join([str(first), *(str(part) for part in rest if isinstance(part, int) or first in NESTED)])
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            valid = [name for name in fields() if first not in NESTED or name.startswith(f"{first}.")]
            key, value, message = "", "", f"unknown key {key!r}{nearest(key, valid)}"
        elif error["type"] == "missing" or not key:  # checks over several keys name them themselves
            value = ""
        else:
            value = f"got {error['input']!r}; {_meant(error)}"
        if error["type"] == "literal_error" and isinstance(error["input"], str):
            near = difflib.get_close_matches(error["input"].lower(), re.findall("'(.*?)'", message), n=1)
            message += f"; did you mean {near[0]}?" if near else ""
        if error["type"] == "model_type":
            settings = yaml.safe_dump(NESTED[key]().model_dump(), default_flow_style=True, sort_keys=False)
            message = f"expected its settings, such as {key}: {settings.strip()}"
        if error["type"] == "string_pattern_mismatch":
            message = {
                "logdir": "expected the path of a folder, without control characters",
                "run_name": "expected letters, digits, '.', '_' and '-' only, a letter or digit first, at most 100",
            }[key]
        expected.setdefault((key and f"{key}: ", value), []).append(message[:1].lower() + message[1:])
    return [key + value + ", or ".join(messages) for (key, value), messages in expected.items()]


def _meant(error: dict) -> str:
    """What was meant by a text that only YAML 1.1 takes for a number or a truth value: 010 (for 8), 1_000, 0x10, on."""
    text = error["input"].replace("_", "").lower() if isinstance(error["input"], str) else ""
    if error["type"] == "bool_type" and text in ("yes", "on", "no", "off"):
        return f"did you mean {'true' if text in ('yes', 'on') else 'false'}? "
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return f"did you mean {int(text)}? "
    if re.fullmatch(r"[-+]?0(b[01]+|x[0-9a-f]+|o[0-7]+)", text):
        return f"did you mean {int(text, 0)}? "
    return ""
