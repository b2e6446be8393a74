"""The losses as the entries of the registry hold them: functions of what the networks give and of a run's settings.

Distill losses take student logits [B, K], teacher logits [B, K], hard labels [B] and the settings; feature losses take
the student's features, the teacher's features and the settings. All return a scalar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from kdcore.methods import feature_losses, logit_losses
from kdcore.methods.losses import distill_loss

if TYPE_CHECKING:
    from kdcore.methods.method import Settings


def kd(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    return distill_loss(student_logits, teacher_logits, settings["temperature"])


def standardised_kd(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    return logit_losses.standardised_loss(student_logits, teacher_logits, settings["temperature"])


def dkd(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    weights = (settings["target_weight"], settings["non_target_weight"])
    return logit_losses.dkd_loss(student_logits, teacher_logits, hard_labels, settings["temperature"], *weights)


def dist(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    weights = (settings["between_weight"], settings["within_weight"])
    return logit_losses.dist_loss(student_logits, teacher_logits, settings["temperature"], *weights)


def each_member(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    """Hinton's distill loss with each member of an ensemble, averaged; the teacher logits are [B, M, K]."""
    losses = [distill_loss(student_logits, one, settings["temperature"]) for one in teacher_logits.unbind(1)]
    return sum(losses[1:], losses[0]) / len(losses)


def hints(student_features: Tensor, teacher_features: Tensor, settings: Settings) -> Tensor:
    return feature_losses.hint_loss(student_features, teacher_features)


def attention(student_features: Tensor, teacher_features: Tensor, settings: Settings) -> Tensor:
    """Both maps are averaged to the smaller height and the smaller width of the two."""
    height, width = map(min, student_features.shape[2:], teacher_features.shape[2:])
    maps = (feature_losses.attention_map(one, (height, width)) for one in (student_features, teacher_features))
    return settings["attention_weight"] * feature_losses.attention_loss(*maps)


def relations(student_features: Tensor, teacher_features: Tensor, settings: Settings) -> Tensor:
    weights = (settings["distance_weight"], settings["angle_weight"])
    return feature_losses.relational_loss(student_features.flatten(1), teacher_features.flatten(1), *weights)
