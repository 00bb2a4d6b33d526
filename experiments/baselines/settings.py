"""The methods: which there are, the settings that each has to itself, and its size. Needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hypernet_lib.sizes import Sizes, count_weights

Strength = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class Settings(BaseModel):
    """What one method has to itself: in an experiment a mapping under the method's name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class L2Settings(Settings):
    """Decay towards the weights of the task before."""

    strength: Strength = Field(0.1, description="of the pull towards the weights of the task before")


class EWCSettings(Settings):
    """Elastic weight consolidation."""

    strength: Strength = Field(10.0, description="lambda")
    images: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        5000, description="images of a task from which its Fisher information is taken"
    )


class SISettings(Settings):
    """Synaptic intelligence."""

    strength: Strength = Field(1.0, description="c")
    damping: float = Field(0.1, gt=0, le=1e6, description="xi, added to a weight's squared change")


class RehearsalSettings(Settings):
    """Learning stored images of earlier tasks again."""

    images_per_task: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10, description="images of each earlier task that are stored"
    )


# The settings of those methods that have some, by the method's name.
SETTINGS: dict[str, type[Settings]] = {
    "l2": L2Settings,
    "ewc": EWCSettings,
    "si": SISettings,
    "rehearsal": RehearsalSettings,
}
# How many numbers a method keeps for each shared weight, in order to remember, while it learns one more task.
KEPT_PER_WEIGHT = {
    "hypernetwork": 1,  # the snapshot
    "l2": 1,  # the weights of the task before
    "ewc": 2,  # those, and their Fisher information
    "si": 3,  # those, their importance, and the path's sum of the task in hand
}
# Methods that learn one target network, with one head for all tasks or one for each.
ONE_NETWORK = ("in_a_row", "l2", "ewc", "si", "rehearsal", "joint")
# Methods whose target networks nothing generates.
NOT_GENERATED = (*ONE_NETWORK, "separate")
METHODS = ("hypernetwork", *NOT_GENERATED)


@dataclass(frozen=True)
class NetworkSizes(Sizes):
    """The sizes of target networks that nothing generates: one for all tasks, or one for each (`separate`).

    Of one, the last layer is what tasks share like the rest, or each has its own (`head_per_task`).
    """

    separate: bool = False
    head_per_task: bool = False

    @property
    def per_task(self) -> int:
        """How many parameters one more task adds: a network, a head, or none."""
        return self.n_weights if self.separate else count_weights(self.shapes[-2:]) if self.head_per_task else 0

    @property
    def shared(self) -> int:
        """How many parameters all tasks share."""
        return self.n_weights - self.per_task
