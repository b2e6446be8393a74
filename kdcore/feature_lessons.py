"""Lessons in features: what a student learns from inside its teacher, beside the teacher's answers."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from kdcore.errors import ConfigError
from kdcore.feature_losses import attention_loss, attention_map, build_regressor, hint_loss, relational_loss
from kdcore.features import Kind, default_layer, feature_shape, record
from kdcore.students import Objective
from kdcore.teachers import Teacher

# What each method looks at.
LAYERS: dict[str, Kind] = {"fitnets": "middle", "attention-transfer": "map", "rkd": "embedding"}


class FeatureLesson:
    """One student's features beside its teacher's.

    Attributes:
        trained: what learns along with the student: the regressor of hints, nothing for other methods.
    """

    def __init__(
        self, objective: Objective, student: nn.Module, teacher: Teacher, image_shape: tuple[int, int, int], seed: int
    ):
        """
        Args:
            seed: of the first weights of what learns along.

        Raises:
            ConfigError: an ensemble, which has no inner layers of its own; layers that cannot be compared.
            UnknownName: a layer that is not there.
        """
        self.method, self.settings, self.teacher = objective.method.name, objective.settings, teacher
        if teacher.members:
            raise ConfigError(
                f"{objective.method.name} looks inside its teacher, and an ensemble has no inside; choose one member."
            )
        kind = LAYERS[self.method]
        paths = [
            str(self.settings[name]) or default_layer(network, kind, image_shape)
            for name, network in (("student_layer", student), ("teacher_layer", teacher.network))
        ]
        student_shape, teacher_shape = (
            feature_shape(network, path, image_shape)
            for network, path in zip((student, teacher.network), paths, strict=True)
        )
        self.trained: nn.Module = nn.Identity()
        if self.method == "fitnets":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.trained = build_regressor(student_shape, teacher_shape)
        if self.method == "attention-transfer" and not len(student_shape) == len(teacher_shape) == 3:
            raise ConfigError("Attention is compared between maps; choose a layer that gives one in both networks.")
        self.size = tuple(min(sides) for sides in zip(student_shape[1:], teacher_shape[1:], strict=False))
        self._hook = ExitStack()  # it stays as long as this lesson does
        self._student = self._hook.enter_context(record(student, paths[0]))
        self._teacher_layer = paths[1]

    def add_to(self, loss: Tensor, pictures: Tensor, progress: float) -> Tensor:
        """The loss of a step with the feature loss in it, a scalar.

        Args:
            loss: of the logits, whose forward pass has just been recorded.
            pictures: float [B, C, H, W], what the student saw.
            progress: share of the training that is done: hints come first and alone.
        """
        number = {name: value for name, value in self.settings.items() if not isinstance(value, str)}
        if self.method == "fitnets" and progress >= number["hint_share"]:
            return loss
        # Other lessons have the same teacher, and its latency is measured: it is not watched for longer than this.
        with record(self.teacher.network, self._teacher_layer) as seen, self.teacher.device.autocast():
            self.teacher.network(pictures)
        student, teacher = self._student.value.float(), seen.value.float()
        if self.method == "fitnets":
            return hint_loss(self.trained(student), teacher)
        if self.method == "attention-transfer":
            height, width = self.size
            maps = (attention_map(one, (height, width)) for one in (student, teacher))
            return loss + number["attention_weight"] * attention_loss(*maps)
        weights = (number["distance_weight"], number["angle_weight"])
        return loss + relational_loss(student.flatten(1), teacher.flatten(1), *weights)
