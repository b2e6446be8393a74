"""Stages: which students a method has trained before the distilled one, as a function of a run's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdcore.errors import ConfigError
from kdcore.methods.method import Value
from kdcore.networks.registry import medium_model_name, parse_model


@dataclass(frozen=True)
class Stage:
    """One stage: one student for each seed, trained before the main ones.

    Attributes:
        name: such as "generation 1" or "assistant convnet-16".
        model: name of the network.
        uses_soft_labels: whether the students learn soft labels: those of the previous stage, or, in the first stage,
            those of the run's teacher. Otherwise they learn hard labels only.
    """

    name: str
    model: str
    uses_soft_labels: bool


@dataclass(frozen=True)
class StageInputs:
    """What the stages of a run depend on.

    Attributes:
        parameters: the method's own parameters by name.
        student: name of the student's network.
        teacher: name of the run's teacher.
        teacher_params: returns the teacher's number of parameters, or None if it is not known. It is a function
            because the answer takes time, and few methods ask.
        image_shape: (C, H, W).
    """

    parameters: Mapping[str, Value]
    student: str
    teacher: str
    teacher_params: Callable[[], int | None]
    image_shape: tuple[int, int, int]
    num_classes: int


def generations(run: StageInputs) -> tuple[Stage, ...]:
    """Return one stage for each of the parameter `generations`: the student's own network, again and again (Furlanello
    et al. 2018, "Born-Again Neural Networks", section 3). The first learns the hard labels only."""
    count = int(run.parameters["generations"])
    return tuple(Stage(f"generation {i + 1}", run.student, uses_soft_labels=i > 0) for i in range(count))


def assistants(run: StageInputs) -> tuple[Stage, ...]:
    """Return one stage for each network that the parameter `assistants` names, or one of medium size if it names none
    (Mirzadeh et al. 2020, "Improved Knowledge Distillation via Teacher Assistant", section 4).

    Raises:
        UnknownName: an assistant is not the name of a network.
        ConfigError: no assistant is named, and no network of the student's family lies in size between student and
            teacher.
    """
    names = [name.strip() for name in str(run.parameters["assistants"]).split(",") if name.strip()]
    names = names or [_medium_assistant(run)]
    for name in names:
        parse_model(name)
    return tuple(Stage(f"assistant {name}", name, uses_soft_labels=True) for name in names)


def _medium_assistant(run: StageInputs) -> str:
    """Return the name of a network of the student's family whose number of parameters is nearest to the geometric mean
    of the student's and the teacher's.

    Raises:
        ConfigError: no such network lies strictly between the two.
    """
    most = run.teacher_params()
    found = None if most is None else medium_model_name(run.student, most, run.image_shape, run.num_classes)
    if found is None:
        size = "whose size is not known" if most is None else f"of {most:,} parameters"
        raise ConfigError(
            f"No network of the family of {run.student} lies in size between it and the teacher {run.teacher} "
            f"{size}; name an assistant, such as assistants=convnet-16, or choose a smaller student."
        )
    return found


def taught_through_assistants(teacher: str, parameters: Mapping[str, Any]) -> str:
    """Return words of a report that say who teaches the student."""
    several = "," in str(parameters.get("assistants", ""))
    return f"taught by {teacher} through {'assistants' if several else 'an assistant'}"
