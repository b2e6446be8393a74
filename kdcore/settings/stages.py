"""Which students a run trains before its own: earlier generations and teacher assistants."""

from __future__ import annotations

from dataclasses import dataclass

from kdcore.datasets import dataset_info
from kdcore.errors import ConfigError
from kdcore.networks.registry import medium_model_name, parse_model
from kdcore.settings.config import RunConfig
from kdcore.settings.sweeps import Point
from kdcore.teachers.building.catalog import params_of


@dataclass(frozen=True)
class Stage:
    """One stage: one student for each seed, trained before the main ones.

    Attributes:
        name: such as "generation 1" or "assistant convnet-16".
        model: name of the network.
        taught: whether the students learn soft labels: those of the previous stage, or, in the first stage, those of
            the run's teacher. Otherwise they learn hard labels only.
    """

    name: str
    model: str
    taught: bool


def stages_of(config: RunConfig) -> tuple[Stage, ...]:
    """Return the stages of a run's method in their order; most methods have none.

    Raises:
        UnknownName: an assistant is not the name of a network.
        ConfigError: no assistant is named, and no network of the student's family lies in size between student and
            teacher.
    """
    parameters = dict(config.parameters)
    if config.method == "born-again":
        generations = int(parameters["generations"])
        return tuple(Stage(f"generation {i + 1}", config.student, taught=i > 0) for i in range(generations))
    if config.method == "teacher-assistant":
        names = [name.strip() for name in str(parameters["assistants"]).split(",") if name.strip()]
        names = names or [_assistant(config)]
        for name in names:
            parse_model(name)
        return tuple(Stage(f"assistant {name}", name, taught=True) for name in names)
    return ()


def event_names(point: Point) -> tuple[str, ...]:
    """Return the names under which events report the stages of a point, in the order of the stages.

    No two stages of a run have the same name: equal names of one point are numbered, and at a point of a sweep the
    point's label follows.
    """
    names = [stage.name for stage in stages_of(point.config)]
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    where = f" ({point.label})" if point.label else ""
    return tuple(
        f"{name}{f' number {count}' if count > 1 else ''}{where}" for name, count in zip(names, counts, strict=True)
    )


def _assistant(config: RunConfig) -> str:
    """Return the name of a network of the student's family whose number of parameters is nearest to the geometric mean
    of the student's and the teacher's.

    Raises:
        ConfigError: no such network lies strictly between the two.
    """
    info, most = dataset_info(config.dataset), params_of(config.teacher)
    found = medium_model_name(config.student, most, info.image_shape, info.num_classes) if most is not None else None
    if found is None:
        size = "whose size is not known" if most is None else f"of {most:,} parameters"
        raise ConfigError(
            f"No network of the family of {config.student} lies in size between it and the teacher {config.teacher} "
            f"{size}; name an assistant, such as assistants=convnet-16, or choose a smaller student."
        )
    return found
