"""Descriptions of students before their training: what each learns from, what it minimises, and their schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdcore.methods.method import Method
from kdcore.pictures.views import ViewSet
from kdcore.settings.config import RunConfig
from kdcore.settings.defaults import Recipe, defaults_for
from kdcore.training.transfer_sets import TransferSet

PEER = "peer"  # arm of the second student in mutual learning, of which nothing is reported


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
        arm: name of the arm that it belongs to.
        seed: its seed in the run, which decides the order and the views of its pictures.
        model: name of its network.
        weights_seed: the seed of its first weights.
        teacher: name of the run's teacher; methods that compare features need it.
    """

    arm: str
    seed: int
    model: str
    weights_seed: int
    transfer_set: TransferSet
    objective: Objective
    teacher: str = ""


def student_keys(students: Sequence[Student]) -> list[str]:
    """Return a name for each student that no other student of its run has: its arm and its seed.

    Args:
        students: students of one team, in which a peer directly follows its student.
    """
    keys: list[str] = []
    for student in students:
        keys.append(f"{keys[-1]}/{PEER}" if student.arm == PEER else f"{student.arm}/{student.seed}")
    return keys


@dataclass(frozen=True)
class Schedule:
    """The training schedule that all students trained together share.

    Attributes:
        labels: number of pictures in each transfer set, extra pictures included.
        views: the finite set of views in which the pictures are shown.
    """

    labels: int
    epochs: int
    recipe: Recipe
    views: ViewSet

    @classmethod
    def of(cls, config: RunConfig, extra: int = 0) -> Schedule:
        """Return the schedule of a run with so many extra pictures."""
        return cls(config.labels + extra, config.epochs, config.recipe, defaults_for(config.dataset).views)

    @property
    def batch_size(self) -> int:
        return min(self.recipe.batch_size, self.labels)

    @property
    def steps(self) -> int:
        """Steps per epoch. Pictures that do not fill a last batch are left out of the epoch: a smaller batch would
        upset batch norm, and a new order in every epoch leaves out other pictures."""
        return self.labels // self.batch_size
