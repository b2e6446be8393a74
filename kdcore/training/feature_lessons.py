"""Feature losses of a run: a student learns from an inner layer of its teacher, beside the teacher's logits."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kdcore.errors import ConfigError
from kdcore.methods.feature_losses import (
    attention_loss,
    attention_map,
    build_regressor,
    hint_loss,
    relational_loss,
)
from kdcore.networks.features import record
from kdcore.settings.feature_layers import find_layers
from kdcore.teachers.teacher import Teacher
from kdcore.training.students import Objective

if TYPE_CHECKING:
    pass


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
        own, others = find_layers(self.method, self.settings, student, teacher.network, image_shape)
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
