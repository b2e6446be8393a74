"""Students as values: what each learns from, what it minimises, and the schedule that all share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdcore.config import RunConfig
from kdcore.defaults import Recipe, defaults_for
from kdcore.methods import Method
from kdcore.transfer_sets import TransferSet
from kdcore.views import ViewSet

PEER = "peer"  # the arm of a student's partner in mutual learning, which takes part in no figure


@dataclass(frozen=True)
class Objective:
    """What a student minimises: a method with all of its settings.

    Attributes:
        settings: "temperature", "distill_weight", "label_smoothing" and the method's own parameters.
    """

    method: Method
    settings: Mapping[str, float | str]

    def numbers(self) -> dict[str, float]:
        """The settings that are numbers."""
        return {name: value for name, value in self.settings.items() if not isinstance(value, str)}


@dataclass(frozen=True, eq=False)
class Student:
    """One student of a run.

    Attributes:
        arm: what it is compared as.
        seed: decides the order and the views of its pictures.
        model: its network's name.
        weights: the seed of its first weights.
        teacher: the name of the teacher whose inside it looks at, if its method does.
    """

    arm: str
    seed: int
    model: str
    weights: int
    transfer_set: TransferSet
    objective: Objective
    teacher: str = ""


@dataclass(frozen=True)
class Schedule:
    """What all students that learn together share.

    Attributes:
        labels: pictures of each transfer set.
    """

    labels: int
    epochs: int
    recipe: Recipe
    views: ViewSet

    @classmethod
    def of(cls, config: RunConfig) -> Schedule:
        return cls(config.labels, config.epochs, config.recipe, defaults_for(config.dataset).views)

    @property
    def batch_size(self) -> int:
        return min(self.recipe.batch_size, self.labels)

    @property
    def steps(self) -> int:
        """Steps an epoch; a smaller last batch would upset batch norm, and the order changes anyway."""
        return self.labels // self.batch_size
