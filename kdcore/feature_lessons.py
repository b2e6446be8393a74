"""Feature losses of a run: a student learns from an inner layer of its teacher, beside the teacher's logits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from kdcore.datasets import dataset_info
from kdcore.errors import ConfigError
from kdcore.methods.feature_losses import (
    attention_loss,
    attention_map,
    build_regressor,
    check_shapes,
    hint_loss,
    relational_loss,
)
from kdcore.networks.features import Kind, default_layer, feature_shape, record
from kdcore.networks.registry import outline
from kdcore.students import Objective
from kdcore.teachers.building.catalog import model_of
from kdcore.teachers.teacher import Teacher

if TYPE_CHECKING:
    from kdcore.config import RunConfig

# The kind of layer that each method compares, in student and teacher.
LAYERS: dict[str, Kind] = {"fitnets": "middle", "attention-transfer": "map", "rkd": "embedding"}


class _Layer(NamedTuple):
    """A layer's path, and the shape of its output for one picture: (C, h, w) or (C,)."""

    path: str
    shape: tuple[int, ...]


def _find_layers(
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
        path = str(settings[name]) or default_layer(network, LAYERS[method], image_shape)
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
    if config.method not in LAYERS or teacher is None:
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
    one, other = (outline(name, image_shape, num_classes) for name in (student, teacher))
    own, others = _find_layers(method, dict(settings), one, other, image_shape)
    return own.shape, others.shape


class FeatureLesson:
    """The feature loss between one student and its teacher.

    Attributes:
        trained: a module that is trained along with the student: the regressor of the method "fitnets"; for other
            methods it has no weights.
    """

    def __init__(
        self, objective: Objective, student: nn.Module, teacher: Teacher, image_shape: tuple[int, int, int], seed: int
    ):
        """
        Args:
            seed: seed of the first weights of `trained`.

        Raises:
            ConfigError: the teacher is an ensemble, which has no inner layers of its own, or the layers cannot be
                compared.
            UnknownName: a network has no layer of the given name.
        """
        self.method, self.settings, self.device = objective.method.name, objective.settings, teacher.device
        if teacher.members:
            raise ConfigError(
                f"{objective.method.name} compares inner layers, and an ensemble has none of its own; choose "
                "one of its members."
            )
        own, others = _find_layers(self.method, self.settings, student, teacher.network, image_shape)
        self.trained: nn.Module = nn.Identity()
        if self.method == "fitnets":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.trained = build_regressor(own.shape, others.shape)
        self.size = tuple(min(sides) for sides in zip(own.shape[1:], others.shape[1:], strict=False))
        # A copy of the teacher's modules that shares its weights: other students' lessons may record layers of the same
        # teacher at the same time, in other threads.
        weights = (*teacher.network.parameters(), *teacher.network.buffers())
        network = copy.deepcopy(teacher.network, {id(one): one for one in weights})
        self._hooks = ExitStack()  # never closed: the layers are recorded as long as this object exists
        self._student = self._hooks.enter_context(record(student, own.path))
        self._teacher = self._hooks.enter_context(record(network, others.path))
        # Maps are compared place by place, so the teacher must see the same picture as the student, not the enlarged
        # middle of it that its logits are computed from.
        self._look = network.network if len(others.shape) == 3 else network

    def add_to(self, loss: Tensor, pictures: Tensor, progress: float) -> Tensor:
        """Return the loss of a step including the feature loss, a scalar.

        During the first `hint_share` of the training, the method "fitnets" returns the hint loss alone.

        Args:
            loss: the student's loss on logits, a scalar. It must come from the student's latest forward pass, in which
                its features were recorded.
            pictures: the pictures that the student saw in that pass, float [B, C, H, W].
            progress: share of the training that is done, 0 to 1.
        """
        number = {name: value for name, value in self.settings.items() if not isinstance(value, str)}
        if self.method == "fitnets" and progress >= number["hint_share"]:
            return loss
        with self.device.autocast(), torch.inference_mode():
            self._look(pictures)
        student, teacher = self._student.value.float(), self._teacher.value.float()
        if self.method == "fitnets":
            return hint_loss(self.trained(student), teacher)
        if self.method == "attention-transfer":
            height, width = self.size
            maps = (attention_map(one, (height, width)) for one in (student, teacher))
            return loss + number["attention_weight"] * attention_loss(*maps)
        weights = (number["distance_weight"], number["angle_weight"])
        return loss + relational_loss(student.flatten(1), teacher.flatten(1), *weights)
