"""The stages of a run: which students it trains before its own, and the names that events give them."""

from __future__ import annotations

from functools import partial

from kdcore.datasets import dataset_info
from kdcore.methods.registry import find_method
from kdcore.methods.stages import Stage, StageInputs
from kdcore.settings.config import RunConfig
from kdcore.settings.sweeps import Point
from kdcore.teachers.building.catalog import params_of


def stages_of(config: RunConfig) -> tuple[Stage, ...]:
    """Return the stages of a run's method in their order; most methods have none.

    Raises:
        UnknownName: an assistant is not the name of a network.
        ConfigError: no assistant is named, and no network of the student's family lies in size between student and
            teacher.
    """
    method = find_method(config.method)
    if method.stages is None:
        return ()
    info = dataset_info(config.dataset)
    teacher_params = partial(params_of, config.teacher)
    parameters = dict(config.parameters)
    return method.stages(
        StageInputs(parameters, config.student, config.teacher, teacher_params, info.image_shape, info.num_classes)
    )


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
