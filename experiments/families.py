"""The families of tasks: which there are, and the settings that each has to itself. Needs no TensorFlow."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from experiments.baselines.settings import Settings


class RotatedSettings(Settings):
    """Each task turns the images further."""

    degrees: Annotated[float, Field(gt=0, lt=360)] = Field(
        10.0, description="by which each task turns the images further than the one before"
    )


class SplitSettings(Settings):
    """Each task shows other classes."""

    classes: Annotated[int, Field(ge=1, le=1_000_000)] = Field(2, description="classes that each task shows")
    relabel: bool = Field(True, description="whether each task counts its classes from 0")


FAMILIES = ("permuted", "rotated", "split")
FAMILY_SETTINGS: dict[str, type[Settings]] = {"rotated": RotatedSettings, "split": SplitSettings}
# Parameters that only one family uses.
OF_FAMILY = {"narrow_tasks": "permuted"} | {family: family for family in FAMILY_SETTINGS}
