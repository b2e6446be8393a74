"""Which layers of teacher and student a method of features looks at, and the shapes of their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from kdcore.datasets import dataset_info
from kdcore.errors import ConfigError
from kdcore.methods.feature_losses import check_shapes
from kdcore.networks.features import Kind, default_layer, feature_shape
from kdcore.networks.registry import model_without_weights
from kdcore.teachers.building.catalog import model_of

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig


# The kind of layer that each method compares, in student and teacher.
LAYER_KINDS: dict[str, Kind] = {"fitnets": "middle", "attention-transfer": "map", "rkd": "embedding"}


class _Layer(NamedTuple):
    """A layer's path, and the shape of its output for one picture: (C, h, w) or (C,)."""

    path: str
    shape: tuple[int, ...]


def find_layers(
    method: str,
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
        path = str(settings[name]) or default_layer(network, LAYER_KINDS[method], image_shape)
        found.append(_Layer(path, feature_shape(network, path, image_shape)))
    shapes = [layer.shape for layer in found]
    if method == "fitnets":
        check_shapes(*shapes)
    if method == "attention-transfer" and any(len(shape) != 3 for shape in shapes):
        raise ConfigError("Attention is compared between maps; choose a layer that gives one in both networks.")
    return found[0], found[1]


def lesson_shapes(config: RunConfig) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the output shapes of the layers that a run's method compares, the student's and the teacher's: (C, h, w)
    or (C,). None if the method compares no layers, or if the teacher is an ensemble or unknown.

    Raises:
        ConfigError, UnknownName: as `FeatureLesson`.
    """
    teacher = model_of(config.teacher)
    if config.method not in LAYER_KINDS or teacher is None:
        return None
    info = dataset_info(config.dataset)
    return _shapes(config.method, config.parameters, config.student, teacher, info.image_shape, info.num_classes)


@lru_cache(maxsize=64)
def _shapes(
    method: str,
    settings: tuple[tuple[str, float | str], ...],
    student: str,
    teacher: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    one, other = (model_without_weights(name, image_shape, num_classes) for name in (student, teacher))
    own, others = find_layers(method, dict(settings), one, other, image_shape)
    return own.shape, others.shape
