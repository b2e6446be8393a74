"""Feature losses of a run: a student learns from an inner layer of its teacher, beside the teacher's logits."""

from __future__ import annotations

import copy
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from kdcore.errors import ConfigError
from kdcore.networks.features import record
from kdcore.networks.seeded import SeededDraws
from kdcore.settings.feature_layers import find_layers
from kdcore.teachers.teacher import Teacher
from kdcore.training.students import Objective


class FeatureLoss:
    """The feature loss between one student and its teacher.

    Attributes:
        adapter: a module that is trained along with the student and maps its features to the teacher's, such as the
            regressor of hints; for a method that needs none it has no weights and changes nothing.
    """

    def __init__(
        self, objective: Objective, student: nn.Module, teacher: Teacher, image_shape: tuple[int, int, int], seed: int
    ):
        """
        Args:
            objective: the objective of a method that compares features.
            seed: seed of the first weights of `adapter`.

        Raises:
            ConfigError: the teacher is an ensemble, which has no inner layers of its own, or the layers cannot be
                compared.
            UnknownName: a network has no layer of the given name.
        """
        method = objective.method
        assert method.features is not None
        self.comparison, self.numbers, self.device = method.features, objective.numbers(), teacher.device
        if teacher.members:
            raise ConfigError(
                f"{method.name} compares inner layers, and an ensemble has none of its own; choose one of its members."
            )
        student_layer, teacher_layer = find_layers(
            self.comparison, objective.settings, student, teacher.network, image_shape
        )
        self.adapter: nn.Module = nn.Identity()
        if self.comparison.build_adapter is not None:
            with SeededDraws(seed):
                self.adapter = self.comparison.build_adapter(student_layer.shape, teacher_layer.shape)
        # A copy of the teacher's modules that shares its weights: the losses of other students may record layers of the
        # same teacher at the same time, in other threads.
        weights = (*teacher.network.parameters(), *teacher.network.buffers())
        network = copy.deepcopy(teacher.network, {id(one): one for one in weights})
        self._hooks = ExitStack()  # never closed: the layers are recorded as long as this object exists
        self._student_features = self._hooks.enter_context(record(student, student_layer.path))
        self._teacher_features = self._hooks.enter_context(record(network, teacher_layer.path))
        # Maps are compared place by place, so the teacher must see the same picture as the student, not the enlarged
        # middle of it that its logits are computed from.
        self._teacher_network = network.network if len(teacher_layer.shape) == 3 else network

    def add_to(self, loss: Tensor, pictures: Tensor, progress: float) -> Tensor:
        """Return the loss of a step including the feature loss, a scalar.

        A method with a share of hint epochs has the feature loss alone during these, and the loss on logits alone
        afterwards.

        Args:
            loss: the student's loss on logits, a scalar. It must come from the student's latest forward pass, in which
                its features were recorded.
            pictures: the pictures that the student saw in that pass, float [B, C, H, W].
            progress: share of the training that is done, 0 to 1.
        """
        hint_share = self.comparison.hint_share
        if hint_share and progress >= self.numbers[hint_share]:
            return loss
        with self.device.autocast(), torch.inference_mode():
            self._teacher_network(pictures)
        student, teacher = self._student_features.value.float(), self._teacher_features.value.float()
        feature_loss = self.comparison.loss(self.adapter(student), teacher, self.numbers)
        return feature_loss if hint_share else loss + feature_loss
