"""The assistants between a teacher and a student."""

from __future__ import annotations

import math

import pytest

from kdcore.datasets import dataset_info
from kdcore.errors import ConfigError
from kdcore.networks.registry import build_model, count_params
from kdcore.settings.config import make_run_config
from kdcore.settings.stages import stages_of
from kdcore.teachers.ensemble_names import members_of
from kdcore.teachers.load import load_teacher


@pytest.mark.parametrize(
    ("dataset", "teacher", "student"),
    [
        ("creatures", "creatures", "convnet-4"),
        ("creatures", "creatures", "convnet-8"),
        ("creatures", "creatures", "convnet-16"),
        ("creatures", "creatures-smoothed", "mlp-16"),  # a teacher that is not here yet
        ("digits", "digits", "mlp-16"),
        ("digits", "digits+digits-smoothed", "mlp-16-8"),
        ("cifar10", "cifar10", "resnet-16"),
        ("cifar10", "cifar10", "airbench-32-80-80"),
        ("animals64", "animals", "resnet18-16"),
    ],
)
def test_the_assistant_lies_between_the_two(dataset: str, teacher: str, student: str) -> None:
    (stage,) = stages_of(make_run_config(dataset, teacher=teacher, student=student, method="teacher-assistant"))
    info = dataset_info(dataset)
    shape = (info.image_shape, info.num_classes)
    least, size = (count_params(build_model(name, *shape)) for name in (student, stage.model))
    most = sum(load_teacher(name.removesuffix("-smoothed")).card.num_params for name in members_of(teacher))
    assert least < size < most and stage.model.startswith(student.partition("-")[0] + "-")
    assert math.log(size / math.sqrt(least * most)) == pytest.approx(0, abs=0.3)  # a quarter of a doubling apart


@pytest.mark.parametrize("student", ["convnet-32", "convnet-64", "mlp-64", "mlp-4096"])
def test_where_none_lies_between_the_assistant_must_be_named(student: str) -> None:
    config = make_run_config("creatures", student=student, method="teacher-assistant")
    with pytest.raises(ConfigError, match="assistants=") as caught:
        stages_of(config)
    assert "109,864" in str(caught.value) and str(caught.value).count(".") == 1
    parameters = {"assistants": "convnet-16"}
    named = make_run_config("creatures", student=student, method="teacher-assistant", parameters=parameters)
    assert [stage.model for stage in stages_of(named)] == ["convnet-16"]
