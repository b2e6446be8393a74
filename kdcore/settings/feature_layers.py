"""Which layers of teacher and student a method of features looks at, and the shapes of their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from kdcore.datasets import dataset_info
from kdcore.methods.method import FeatureComparison
from kdcore.methods.registry import find_method
from kdcore.networks.features import default_layer, feature_shape
from kdcore.networks.registry import model_without_weights
from kdcore.teachers.building.catalog import model_of

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig


class _Layer(NamedTuple):
    """A layer's path, and the shape of its output for one picture: (C, h, w) or (C,)."""

    path: str
    shape: tuple[int, ...]


def find_layers(
    comparison: FeatureComparison,
    settings: Mapping[str, float | str],
    student: nn.Module,
    teacher: nn.Module,
    image_shape: tuple[int, int, int],
) -> tuple[_Layer, _Layer]:
    """Return the layers that a method compares, the student's and the teacher's: those named in `settings`, or else
    the networks' default layers for this method.

    Raises:
        ConfigError: the layers cannot be compared.
        UnknownName: a network has no layer of the given name.
    """
    found = []
    for name, network in (("student_layer", student), ("teacher_layer", teacher)):
        path = str(settings[name]) or default_layer(network, comparison.layer, image_shape)
        found.append(_Layer(path, feature_shape(network, path, image_shape)))
    student_layer, teacher_layer = found
    if comparison.check is not None:
        comparison.check(student_layer.shape, teacher_layer.shape)
    return student_layer, teacher_layer


def compared_shapes(config: RunConfig) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the output shapes of the layers that a run's method compares, the student's and the teacher's: (C, h, w)
    or (C,). None if the method compares no layers, or if the teacher is an ensemble or unknown.

    Raises:
        ConfigError, UnknownName: as `find_layers`.
    """
    comparison = find_method(config.method).features
    if comparison is None:
        return None
    teacher = model_of(config.teacher)
    if teacher is None:
        return None
    info = dataset_info(config.dataset)
    return _shapes(comparison, config.parameters, config.student, teacher, info.image_shape, info.num_classes)


@lru_cache(maxsize=64)
def _shapes(
    comparison: FeatureComparison,
    settings: tuple[tuple[str, float | str], ...],
    student: str,
    teacher: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    student_network = model_without_weights(student, image_shape, num_classes)
    teacher_network = model_without_weights(teacher, image_shape, num_classes)
    student_layer, teacher_layer = find_layers(
        comparison, dict(settings), student_network, teacher_network, image_shape
    )
    return student_layer.shape, teacher_layer.shape
